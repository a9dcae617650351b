"""Clearance: nodes are set draining, handed over once nothing runs on them, and given back after the reboot.

What is decided, and why, is in `reboot`; here it is done. Nodes are found again by the reason they were drained with,
so that a deploy that was killed is taken up by the next one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from aiops.layers.core.clock import Clock, rfc3339
from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold

from .draining import Draining, Hold, Standing
from .reboot import RETURN_SECONDS, Candidate, Limits, Queue, Returning, advance, at_once, running, spell

POLL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a turn may do next.

    Attributes:
        go: Nodes that may be worked on.
        refused: Nodes that may not in this run, and why.
    """

    go: frozenset[str]
    refused: Mapping[str, str]


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

    def give_back(self, nodes: Sequence[Node]) -> dict[str, str]:
        """Give back `nodes`, all held by us; why one was not, by node."""
        by_name = {node.name: node for node in nodes}
        waiting = set(by_name)
        deadline = self.clock.monotonic() + RETURN_SECONDS
        failed: dict[str, str] = {}
        while waiting:
            standings = self.draining.look([by_name[name] for name in sorted(waiting)])
            waiting = {name for name in waiting if Hold.of(standings.get(name)) or _unknown(standings.get(name))}
            back = [by_name[name] for name in sorted(waiting) if _reported(standings[name], self.sessions.get(name))]
            try:
                if back:
                    self.draining.release(back)
            except AiopsError as error:
                failed |= {node.name: f"it could not be given back: {error.message}" for node in back}
            waiting -= {node.name for node in back}
            if waiting and self.clock.monotonic() >= deadline:
                reason = f"{self.draining.who} has not heard of it since it was rebooted; it stays drained"
                return {**failed, **dict.fromkeys(sorted(waiting), reason)}
            if waiting:
                self.clock.sleep(POLL_SECONDS)
        return failed

    def held(self, nodes: Sequence[Node], phases: Collection[str]) -> list[Node]:
        """Those of `nodes` that are held for a reboot in one of `phases`, by this run or by an earlier one."""
        standings = self.draining.look(nodes)
        holds = {name: Hold.of(standing) for name, standing in standings.items()}
        return [node for node in nodes if (hold := holds.get(node.name)) is not None and hold.phase in phases]


class Clearance:
    """Clears the nodes of one turn for their reboot, in batches.

    ```
    for cleared in clearance.steps(guard):
        ...  # work on cleared.go
        clearance.finished(name, failure, rebooted=True)  # for each of them
    ```
    The first is handed over at once, for what else there is to do while nodes drain; it may be empty.
    """

    def __init__(self, reboots: Reboots, nodes: Sequence[Node], phase: str, why: Mapping[str, str]) -> None:
        """Prepare it.

        Args:
            reboots: The deploy's.
            nodes: Nodes that are to be rebooted.
            phase: The phase that needs it.
            why: What for, by node.
        """
        self._reboots = reboots
        self._draining = reboots.draining
        self._nodes = {node.name: node for node in nodes}
        self._phase = phase
        self._why = dict(why)
        kept = len(reboots.kept - set(self._nodes))
        self._queue = Queue(tuple(Candidate(node.name) for node in nodes), kept=kept)
        self._standings: dict[str, Standing] = {}
        self._told: list[object] = []

    def steps(self, guard: Callable[[], None]) -> Iterator[Cleared]:
        """Hand over what may be worked on, until all nodes are through.

        Args:
            guard: Called before each look; what it raises ends it.
        """
        first = True
        while first or self._queue.candidates or self._queue.returning:
            guard()
            cleared = self._step()
            self._tell()
            if first or cleared.go or cleared.refused:
                first = False
                yield cleared
            elif self._queue.candidates or self._queue.returning:
                self._reboots.clock.sleep(POLL_SECONDS)

    def abandon(self) -> list[str]:
        """Give up all nodes that were not handed over yet, unchanged as they are; those we drained serve again."""
        given_up = [one.node for one in self._queue.candidates]
        held = [one.node for one in self._queue.candidates if Hold.of(self._standings.get(one.node)) or one.held]
        self._queue = replace(self._queue, candidates=())
        if held:
            self._release(held)
        return given_up

    def finished(self, node: str, failure: str, *, rebooted: bool) -> None:
        """Say what became of a node that was handed over: `failure` is empty where it is as wanted."""
        standing = self._standings.get(node)
        if standing is None or Hold.of(standing) is None:
            return  # not ours to give back
        if failure:
            self._hold([node], {node: f"failed: {failure}"})
        elif rebooted:
            back = Returning(node, self._reboots.clock.monotonic(), standing.session)
            self._reboots.sessions[node] = standing.session
            self._reboots.kept.discard(node)
            self._queue = replace(self._queue, returning=(*self._queue.returning, back))
        else:
            self._reboots.kept.add(node)
            self._queue = replace(self._queue, kept=self._queue.kept + 1)

    def _step(self) -> Cleared:
        now = self._reboots.clock.monotonic()
        queue = self._queue
        names = [*(one.node for one in queue.candidates), *(one.node for one in queue.returning)]
        self._standings |= self._look(names)
        since = {one.node: one.since for one in queue.candidates}
        self._queue, decision = advance(queue, self._standings, self._reboots.limits, now)
        for name in decision.go:
            asked = since.get(name)
            if asked is not None:
                self._draining.tell_drained(name, self._phase, now - asked)
        if decision.resume:
            self._release(decision.resume)
        refused = dict(decision.refused)
        for name, reason in self._hold(decision.drain, self._why).items():
            refused[name] = f"it needs a reboot and could not be set draining: {reason}"
        self._queue = replace(
            self._queue, candidates=tuple(one for one in self._queue.candidates if one.node not in refused)
        )
        return Cleared(frozenset(decision.go), refused)

    def _look(self, names: Sequence[str]) -> dict[str, Standing]:
        found = self._draining.look([self._nodes[name] for name in names])
        for name in names:
            if name not in found:
                self._standings.pop(name, None)
        return found

    def _hold(self, names: Sequence[str], why: Mapping[str, str]) -> dict[str, str]:
        """Set nodes draining, or write down anew why they are held; by node, why it could not be done."""
        try:
            if names:
                self._draining.hold([self._nodes[name] for name in names], self._phase, why)
        except AiopsError as error:
            return dict.fromkeys(names, error.message)
        return {}

    def _release(self, names: Sequence[str]) -> None:
        try:
            self._draining.release([self._nodes[name] for name in names])
        except AiopsError:
            return  # still held: it is tried again at the end of the deploy, and told there

    def _tell(self) -> None:
        """Say what is waited for, whenever that is something new."""
        now, drain_seconds = self._reboots.clock.monotonic(), self._reboots.limits.drain_seconds
        waiting = []
        for one in self._queue.candidates:
            standing = self._standings.get(one.node)
            if one.since is not None and standing is not None and standing.state == "draining":
                until = self._reboots.clock.now() + timedelta(seconds=one.since + drain_seconds - now)
                waiting.append((one.node, standing.work, until))
        returning = [one.node for one in self._queue.returning]
        told: list[object] = [*((node, work) for node, work, _ in waiting), *returning]
        if told == self._told:
            return
        self._told = told
        if not told:
            return
        self._draining.tell_awaited(
            self._phase,
            "; ".join(f"{node}: {running(work)}" for node, work, _ in waiting),
            draining=[{"node": node, "work": list(work), "until": rfc3339(until)} for node, work, until in waiting],
            returning=returning,
            queued=sum(one.since is None for one in self._queue.candidates),
        )


def _serves(standing: Standing | None) -> bool:
    if standing is None or standing.state == "down":
        return False
    return standing.state != "drained" or Hold.of(standing) is not None


def _reported(standing: Standing, before: str | None) -> bool:
    return standing.state != "unknown" and standing.session not in {None, before}


def _unknown(standing: Standing | None) -> bool:
    return standing is not None and standing.state == "unknown"
