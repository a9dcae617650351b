"""Draining: a node in service takes no new work, and what runs on it ends, before it is rebooted.

L1 decides that a node is to drain and when it is given back; whoever runs work there is asked through the hook
`workload` and answers where the node stands. Nobody of that name on a cluster: then nothing runs there.

What we drain carries a reason that begins with `aiops:` and names the phase and the run. Only nodes with such a reason
are given back by us; a node that somebody else has drained stays as it is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from aiops.layers.core.event import EventStream
from aiops.layers.core.plugin import Plugins, hookspec
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node

PREFIX = "aiops:"
"""What every reason of ours begins with."""

State = Literal["in_service", "draining", "drained", "down", "unknown"]
"""`in_service`: it may be given work. `draining`: no new work, and some still runs. `drained`: nothing runs and nothing
will. `down`: given up by whoever runs work there. `unknown`: it could not be told, which is never taken for drained."""

_WORST: tuple[State, ...] = ("unknown", "in_service", "draining", "drained", "down")
_HOLD = re.compile(r"aiops: reboot in (\S+), run ([^\s:]+): ?(.*)", re.DOTALL)
_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one node stands with whoever runs work there.

    Attributes:
        reason: Why it drains or is down, in the words of who did it; for `unknown`, why it could not be told.
        work: What runs on it, in a few words each: `job 42 of alice`.
        session: Tells one start of the node's daemon from the next, once the daemon has reported; None before.
    """

    state: State
    reason: str = ""
    work: tuple[str, ...] = ()
    session: str | None = None


class Workload(Protocol):
    """Who runs work on nodes. `tests/l1_cluster/test_workload_contract.py` is what all of them do alike."""

    @property
    def name(self) -> str:
        """As the operator calls it, e.g. `Slurm`."""
        ...

    def standings(self, nodes: Sequence[Node]) -> Mapping[str, Standing]:
        """Where those of `nodes` stand that may be given work; others are not in it.

        It never fails: while it cannot be told, every one of `nodes` is `unknown` with the reason.
        """
        ...

    def drain(self, nodes: Sequence[Node], reason: str, epoch: int) -> None:
        """Give `nodes` no new work, with `reason`, which begins with `PREFIX`; twice is harmless.

        A node that drains for a reason of ours gets the new one. One that somebody else has drained, or that is down,
        stays as it is.

        Args:
            nodes: The nodes.
            reason: Why.
            epoch: Of the cluster lock that is held: a step that a later owner has overtaken is refused (`gate`).

        Raises:
            ConflictError: The cluster lock is another's by now (`gate.STALE`).
            UnreachableError: It cannot be reached.
            FailedError: It refuses.
        """
        ...

    def resume(self, nodes: Sequence[Node], epoch: int) -> None:
        """Give `nodes` work again, those that drain for a reason of ours; others stay as they are.

        Args:
            nodes: The nodes.
            epoch: As for `drain`.

        Raises:
            ConflictError: The cluster lock is another's by now (`gate.STALE`).
            UnreachableError: It cannot be reached.
            FailedError: It refuses.
        """
        ...


class WorkloadHooks:
    """Hooks of the kind `workload`."""

    @hookspec
    def workload(self, inventory: Inventory, fleet: Fleet) -> Workload | None:
        """Who runs work on the nodes of `inventory`, reached over `fleet`; None where that is nobody of this kind.

        It is called before anything is known of the nodes, and must connect to none.
        """


def workloads_of(plugins: Plugins, inventory: Inventory, fleet: Fleet) -> tuple[Workload, ...]:
    """All who may run work on the nodes of `inventory`.

    Raises:
        PluginError: A plugin is broken.
    """
    return tuple(plugins.hooks("workload", WorkloadHooks).workload(inventory=inventory, fleet=fleet))


@dataclass(frozen=True, slots=True)
class Hold:
    """That a node is held out of service for a reboot.

    Attributes:
        phase: The phase that needs the reboot.
        run: The run that set it draining.
        why: What for, or what has gone wrong since.
    """

    phase: str
    run: str
    why: str

    def __str__(self) -> str:
        words = " ".join(self.why.split())
        return f"{PREFIX} reboot in {self.phase}, run {self.run}: {words}"[:_REASON_LENGTH]

    @classmethod
    def of(cls, standing: Standing | None) -> "Hold | None":
        """The hold that a node is under; None where it is under none of ours."""
        if standing is None or standing.state not in {"draining", "drained"}:
            return None
        found = _HOLD.fullmatch(standing.reason)
        return cls(found[1], found[2], found[3]) if found else None


class Draining:
    """Sets nodes draining and gives them back, and says so in the journal: first said, then done."""

    def __init__(self, workloads: Iterable[Workload], events: EventStream) -> None:
        self._workloads = tuple(workloads)
        self._events = events
        self.held: dict[str, None] = {}
        """Nodes that were set draining and not given back."""

    @property
    def who(self) -> str:
        """Those who run work, as the operator calls them."""
        return " and ".join(one.name for one in self._workloads)

    def look(self, nodes: Sequence[Node]) -> dict[str, Standing]:
        """Where `nodes` stand; one on which nobody runs work is not in it."""
        return standings(self._workloads, nodes)

    def hold(self, nodes: Sequence[Node], phase: str, why: Mapping[str, str], epoch: int) -> None:
        """Set `nodes` draining for a reboot in `phase`, or write down anew why they are held.

        Raises:
            ConflictError: The cluster lock is another's by now.
            UnreachableError: Whoever runs work there cannot be reached.
            FailedError: They refuse.
        """
        for reason, names in _by_reason(nodes, why).items():
            hold = Hold(phase, self._events.run, reason)
            for node in names:
                self._events.emit("node_draining", reason, node=node.name, phase=phase, reason=str(hold))
            for workload in self._workloads:
                workload.drain(names, str(hold), epoch)
            self.note({node.name: True for node in names})

    def note(self, held: Mapping[str, bool]) -> None:
        """Remember of nodes, by name, that they are held, or may be, and are to be given back; or that they are not."""
        for name, is_held in held.items():
            if is_held:
                self.held[name] = None
            else:
                self.held.pop(name, None)

    def tell_drained(self, node: str, phase: str, seconds: float) -> None:
        """Write down that nothing runs on a node any more, and how long that took."""
        self._events.emit("node_drained", node=node, phase=phase, seconds=round(seconds, 3))

    def tell_awaited(self, phase: str, message: str, **data: Any) -> None:
        """Write down what is waited for before nodes can be rebooted, for a screen too."""
        self._events.emit("drain_awaited", message, phase=phase, **data)

    def release(self, nodes: Sequence[Node], epoch: int) -> None:
        """Give `nodes` back, those that we hold.

        Raises:
            ConflictError: The cluster lock is another's by now.
            UnreachableError: Whoever runs work there cannot be reached.
            FailedError: They refuse.
        """
        for workload in self._workloads:
            workload.resume(nodes, epoch)
        for node in nodes:
            self.held.pop(node.name, None)
            self._events.emit("node_resumed", node=node.name)


def standings(workloads: Sequence[Workload], nodes: Sequence[Node]) -> dict[str, Standing]:
    """Where `nodes` stand with all who run work there; a node that nobody gives work to is not in it."""
    found: dict[str, Standing] = {}
    for workload in workloads:
        for name, standing in workload.standings(nodes).items():
            found[name] = worse(found[name], standing) if name in found else standing
    return found


def worse(one: Standing, other: Standing) -> Standing:
    """The standing of a node that two run work on: the one that stands more in the way; the work of both. Pure."""
    first, second = sorted((one, other), key=lambda standing: _WORST.index(standing.state))
    return Standing(first.state, first.reason or second.reason, (*first.work, *second.work), first.session)


def _by_reason(nodes: Iterable[Node], why: Mapping[str, str]) -> dict[str, list[Node]]:
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(why[node.name], []).append(node)
    return groups
