"""Completion: nodes that Slurm keeps from a restart for an attempt before it are looked at, and given back."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l2_jobs.attempt import Key

from .bureau import Bureau
from .enlisted import Enlisted, Forerunner
from .freeing import Kept, being_freed, completing, kept, may_be_freed, proved_over
from .groundwork import Groundwork
from .reading import SlurmNode, named

_ATTEMPTS = 8
"""Of a job so many are kept in mind after they were let go: Slurm completes none for longer than a few take."""

_JOBS = 1024
"""Of so many jobs, the latest."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What keeps nodes from a restart.

    Attributes:
        kept: Those that only earlier attempts of its job keep from it.
        due: Those of them that are given back: nothing of those attempts runs there.
    """

    kept: tuple[Kept, ...] = ()
    due: tuple[Kept, ...] = ()


class Completion:
    """What is known of attempts that were let go, and of the nodes that Slurm keeps for them.

    What a controller knew of them is lost with it: the next one waits, as for what it does not know.
    """

    def __init__(self, inventory: Inventory, bureau: Bureau, groundwork: Groundwork) -> None:
        """Ask nobody yet.

        Args:
            inventory: The nodes.
            bureau: Asks slurmctld.
            groundwork: Asks the nodes.
        """
        self._inventory = inventory
        self._bureau = bureau
        self._groundwork = groundwork
        self._left: OrderedDict[str, tuple[Forerunner, ...]] = OrderedDict()
        self.owed = True
        """Whether a node may be down by our doing: an earlier controller may have been cut off as well."""

    def before(self, key: Key) -> tuple[Forerunner, ...]:
        """Attempts of the same job that were let go before."""
        return tuple(one for one in self._left.get(key.job, ()) if one.key.number < key.number)

    def let_go(self, one: Enlisted) -> None:
        """Keep in mind what an attempt was that is let go."""
        if one.number:
            self._left[one.key.job] = (*self._left.pop(one.key.job, ()), one.forerunner)[-_ATTEMPTS:]
            while len(self._left) > _JOBS:
                self._left.popitem(last=False)

    def survey(self, one: Enlisted) -> Survey:
        """Look at the nodes of a restart that waits, as slurmctld has them and then, where it matters, as they are.

        Raises:
            AwayError: slurmctld does not answer.
            DeposedError: A node has seen a later controller.
        """
        known = self._mended()
        mine = {name: known[name] for name in one.nodes if name in known and completing(known[name])}
        found = [
            kept(one, name, node, self._bureau.tenants(node.name), self._bureau.store) for name, node in mine.items()
        ]
        held = tuple(each for each in found if each is not None)
        return Survey(held, tuple(each for each in held if may_be_freed(one, each) and self._proved(one, each)))

    def _proved(self, one: Enlisted, found: Kept) -> bool:
        numbers = [tenant.number for tenant in found.tenants]
        answers = self._groundwork.remains(one.job.owner, numbers, self._inventory.node(found.name)).answers
        return found.name in answers and proved_over(one, found, answers[found.name])

    def free(self, found: Kept) -> str | None:
        """Give a node back to Slurm; what came of it where that was not all, None where it was left as it is.

        Raises:
            AwayError: The head does not answer; it may have been done in part.
        """
        self.owed = True
        try:
            done, said = self._bureau.free(found.node, found.tenants)
        finally:
            self.owed = True  # one who has looked meanwhile may have looked too early
        if done in {"changed", "refused"}:
            return None
        return f"it is still to be resumed: {said}" if done == "down" else ""

    def mend(self) -> None:
        """Resume nodes that are down by our doing, as where a controller was cut off.

        Raises:
            AwayError: slurmctld does not answer.
            DeposedError: A node has seen a later controller.
        """
        self._mended()

    def _mended(self) -> Mapping[str, SlurmNode]:
        """All nodes that Slurm has, by our names; those that were down by our doing were resumed."""
        self.owed = False  # before it is asked: what is begun meanwhile is owed again
        try:
            known = named(self._inventory, self._bureau.nodes())
            self._resume([name for name, node in known.items() if being_freed(node)], known)
        except BaseException:
            self.owed = True
            raise
        return known

    def _resume(self, names: Sequence[str], known: Mapping[str, SlurmNode]) -> None:
        if names:
            self.owed = True  # until it is seen that they are back
            self._groundwork.require_latest([self._inventory.node(name) for name in names])
        for name in names:
            self._bureau.resume(known[name])
