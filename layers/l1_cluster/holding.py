"""Holding nodes out of service for a reboot, and giving them back: nothing of it once the cluster lock is another's."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from aiops.layers.core.clock import Clock
from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold

from .admission import insist
from .draining import Draining, Hold, Standing
from .patience import PatientLock, ended_by_lock
from .reboot import RETURN_SECONDS, Limits, at_once, spell

POLL_SECONDS = 2.0


class Reboots:
    """The reboots of one deploy."""

    def __init__(
        self,
        draining: Draining,
        clock: Clock,
        everybody: Sequence[Node],
        *,
        drain_seconds: float,
        batch: Callable[[int], int] = at_once,
    ) -> None:
        """Prepare; nobody is asked yet.

        Args:
            draining: Who is asked.
            clock: Waits between two looks.
            everybody: All nodes of the cluster: a share of those in service may be out at once.
            drain_seconds: How long what runs on a node has to end.
            batch: How many may be out at once, of so many that may be given work.
        """
        self.draining = draining
        self.clock = clock
        self.sessions: dict[str, str | None] = {}
        """Sessions of the nodes' daemons before the reboots of this deploy."""
        self.kept: set[str] = set()
        """Nodes that stay out of service until a later phase reboots them."""
        self.lost: set[str] = set()
        """Nodes that stay out of service because of us: they failed, or were not drained or back in time."""
        self._everybody = tuple(everybody)
        self._drain_seconds = drain_seconds
        self._batch = batch
        self._limits: Limits | None = None

    @property
    def limits(self) -> Limits:
        """What may be asked; worked out when it is first needed."""
        if self._limits is None:
            standings = self.draining.look(self._everybody)
            known = sum(standing.state != "down" for standing in standings.values())
            self._limits = Limits(max(1, self._batch(known)), self._drain_seconds)
        return self._limits

    def serving(self, nodes: Sequence[Node]) -> list[Node]:
        """Those of `nodes` that must be cleared before they are rebooted: they may have work, or we hold them."""
        standings = self.draining.look(nodes)
        return [node for node in nodes if _serves(standings.get(node.name))]

    def note(self, nodes: Sequence[Node]) -> str:
        """What those who work on `nodes` are to know before these are rebooted; empty where nobody works there."""
        serving = [node.name for node in self.serving(nodes)]
        if not serving:
            return ""
        count, drained = self.limits.at_once, "is" if len(serving) == 1 else "are"
        few = f", {count} at a time" if count < len(serving) else ""
        return (
            f"{fold(serving)} {drained} drained before the reboot{few}; "
            f"what runs there has {spell(self._drain_seconds)} to end"
        )

    def give_back(self, nodes: Sequence[Node], lock: PatientLock) -> dict[str, str]:
        """Give back `nodes`, all held by us or a run before us; why one was not, by node.

        Raises:
            ConflictError: The cluster lock was lost.
            FailedError: Its keeper does not answer.
        """
        by_name = {node.name: node for node in nodes}
        waiting = set(by_name)
        deadline = self.clock.monotonic() + RETURN_SECONDS
        failed: dict[str, str] = {}
        while waiting:
            standings = self.draining.look([by_name[name] for name in sorted(waiting)])
            waiting = {name for name in waiting if Hold.of(standings.get(name)) or _unknown(standings.get(name))}
            back = [by_name[name] for name in sorted(waiting) if _reported(standings[name], self.sessions.get(name))]
            if back and (error := self.release(back, lock)) is not None:
                failed |= {node.name: f"it could not be given back: {error.message}" for node in back}
            waiting -= {node.name for node in back}
            if waiting and self.clock.monotonic() >= deadline:
                reason = f"{self.draining.who} has not heard of it since it was rebooted; it stays drained"
                return {**failed, **dict.fromkeys(sorted(waiting), reason)}
            if waiting:
                self.clock.sleep(POLL_SECONDS)
        return failed

    def hold(self, nodes: Sequence[Node], phase: str, why: Mapping[str, str], lock: PatientLock) -> AiopsError | None:
        """Set nodes draining, or write down anew why they are held; why it could not be done.

        Raises:
            ConflictError: The cluster lock was lost.
            FailedError: Its keeper does not answer.
        """
        return self._act(lambda epoch: self.draining.hold(nodes, phase, why, epoch), lock)

    def release(self, nodes: Sequence[Node], lock: PatientLock) -> AiopsError | None:
        """Give nodes back that were seen to be held; why it could not be done.

        The keeper is asked in between: while the lock is ours, what was held when we looked is held by us, or by a run
        that is over.

        Raises:
            ConflictError: The cluster lock was lost.
            FailedError: Its keeper does not answer.
        """
        error = self._act(lambda epoch: self.draining.release(nodes, epoch), lock)
        if error is None:
            self.forget(node.name for node in nodes)
        return error

    def forget(self, names: Iterable[str]) -> None:
        """Nodes that are out of service because of us no more."""
        gone = set(names)
        self.kept -= gone
        self.lost -= gone

    def recount(self) -> None:
        """Ask whether nodes that stay out of service because of us still do: somebody may have given one back."""
        out = [node for node in self._everybody if node.name in self.kept | self.lost]
        standings = self.draining.look(out) if out else {}
        self.forget(name for name, one in standings.items() if Hold.of(one) is None and not _unknown(one))

    def _act(self, act: Callable[[int], None], lock: PatientLock) -> AiopsError | None:
        lock.confirm()
        try:
            insist(lock, act)
        except AiopsError as error:
            if ended_by_lock(error):
                raise
            return error
        return None

    def held(self, nodes: Sequence[Node], phases: Collection[str]) -> list[Node]:
        """Those of `nodes` that are held for a reboot in one of `phases`, by this run or by an earlier one."""
        standings = self.draining.look(nodes)
        holds = {name: Hold.of(standing) for name, standing in standings.items()}
        return [node for node in nodes if (hold := holds.get(node.name)) is not None and hold.phase in phases]


def _serves(standing: Standing | None) -> bool:
    if standing is None or standing.state == "down":
        return False
    return standing.state != "drained" or Hold.of(standing) is not None


def _reported(standing: Standing, before: str | None) -> bool:
    return standing.state != "unknown" and standing.session not in {None, before}


def _unknown(standing: Standing | None) -> bool:
    return standing is not None and standing.state == "unknown"
