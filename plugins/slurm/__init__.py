"""Slurm: which nodes it may give work to, what runs on them, and how one is drained and given back.

Everything is asked of the head with Slurm's own commands. Where they get no answer, nothing is known of any node. Where
the head has none of them, or no configuration, Slurm was never deployed, or the head was installed anew while daemons
and jobs on the others live on: then each node is asked whether daemons of Slurm run there. Where none do nobody works.
So is a node that Slurm lists and has not heard of: before its first deploy is done it is in nobody's service.
"""

from collections.abc import Mapping, Sequence

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, ConflictError, FailedError
from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.draining import PREFIX, Standing, Workload
from aiops.layers.l1_cluster.gate import STALE, fenced
from aiops.layers.l1_cluster.remote.fence import STALE_STATUS

from .commands import drain, resume, show_jobs, show_nodes
from .daemons import daemons_in, show_processes
from .reading import SlurmNode, jobs_by_node, named, read_nodes, standing_of

_NOT_FOUND = 127
_NO_CONFIGURATION = "Could not establish a configuration source"
_ABSENT = "slurm.absent"


class Slurm:
    """The workload manager, as `aiops.layers.l1_cluster.draining.Workload` asks it to be."""

    name = "Slurm"

    def __init__(self, head: Transport, fleet: Fleet) -> None:
        """Connect to nobody yet.

        Args:
            head: Where Slurm's commands are run.
            fleet: Reaches the nodes, where the head has no Slurm.
        """
        self._head = head
        self._fleet = fleet

    def standings(self, nodes: Sequence[Node]) -> Mapping[str, Standing]:
        """Where `nodes` stand, those that Slurm has; all unknown while it does not answer.

        A head that is no worker is not: what must be mended before Slurm answers again must not wait for its answer.
        """
        try:
            found = self._look(nodes)
        except AiopsError as error:
            here = self._head.node.name
            served = [node for node in nodes if node.name != here or "workers" in node.roles]
            if error.code == _ABSENT:
                return self._left_alone(served, error.message)
            return {node.name: Standing("unknown", error.message) for node in served}
        silent = [node for node in nodes if node.name in found and found[node.name][0].silent]
        working = self._left_alone(silent, "Slurm has not heard of it") if silent else {}
        free = {node.name for node in silent} - set(working)
        return {name: standing for name, (_, standing) in found.items() if name not in free or standing.work}

    def _left_alone(self, nodes: Sequence[Node], why: str) -> Mapping[str, Standing]:
        """Those of `nodes` on which daemons of Slurm run, or may, without a head that could tell of them."""

        def daemons(transport: Transport) -> str:
            shown = transport.run(show_processes())
            if not shown.ok or not shown.text.strip():
                raise FailedError(f"{why}, and {transport.node.name} does not say what runs there", code=_ABSENT)
            return " and ".join(daemons_in(shown.text))

        found = {}
        for one in self._fleet.each(nodes, daemons):
            name = one.node.name
            if one.error is not None:
                found[name] = Standing("unknown", one.error.message)
            elif one.value:
                found[name] = Standing("unknown", f"{why}, and on {name} runs {one.value}: deploy to the head first")
        return found

    def drain(self, nodes: Sequence[Node], reason: str, epoch: int) -> None:
        """Set those of `nodes` draining that are in service, or drain for a reason of ours."""
        chosen = [
            slurm.name
            for slurm, standing in self._look(nodes).values()
            if standing.state == "in_service" or _ours(standing)
        ]
        if chosen:
            self._act(drain(chosen, reason), epoch)

    def resume(self, nodes: Sequence[Node], epoch: int) -> None:
        """Give those of `nodes` work again that drain for a reason of ours."""
        chosen = [slurm.name for slurm, standing in self._look(nodes).values() if _ours(standing)]
        if chosen:
            self._act(resume(chosen), epoch)

    def _look(self, nodes: Sequence[Node]) -> dict[str, tuple[SlurmNode, Standing]]:
        """What Slurm has of `nodes`, by our names.

        Raises:
            UnreachableError: The head does not answer.
            FailedError: Slurm does not, or there is none on the head (`slurm.absent`).
        """
        shown = self._head.run(show_nodes())
        if shown.exit_status == _NOT_FOUND or _NO_CONFIGURATION in shown.error_text:
            raise FailedError(f"there is no Slurm on {self._head.node.name}", code=_ABSENT)
        known = named(nodes, read_nodes(self._answer(shown)))
        # Asked second: a node that drained in the first answer has been given nothing since.
        jobs = jobs_by_node(self._answer(self._head.run(show_jobs()))) if known else {}
        return {name: (one, standing_of(one, jobs.get(one.name, ()))) for name, one in known.items()}

    def _answer(self, done: Completed) -> str:
        if done.ok:
            return done.text
        raise self._failure(done)

    def _act(self, command: Command, epoch: int) -> None:
        """Run what changes something behind the head's fence: an owner of the cluster lock that woke late does not."""
        done = self._head.run(fenced(self._head.node, epoch, command))
        if done.exit_status == STALE_STATUS:
            raise ConflictError(f"{self._head.node.name}: {done.error_text}", code=STALE)
        if not done.ok:
            raise self._failure(done, command)

    def _failure(self, done: Completed, command: Command | None = None) -> FailedError:
        said = "no answer in time" if done.timed_out else (done.error_text.splitlines() or ["no reason was given"])[-1]
        head = self._head.node.name
        return FailedError(
            f"`{(command or done.command).argv[0]}` on {head}: {said}",
            code="slurm.silent",
            hints=[f"look at its controller: `aiops node exec --on {head} -- systemctl status slurmctld`"],
        )


def _ours(standing: Standing) -> bool:
    return standing.state in {"draining", "drained"} and standing.reason.startswith(PREFIX)


@hookimpl
def workload(inventory: Inventory, fleet: Fleet) -> Workload | None:
    """Slurm on the head; None for a cluster without one."""
    return Slurm(fleet.transport(inventory.head), fleet) if inventory.head is not None else None
