"""Clearance: nodes are set draining, handed over once nothing runs on them, and given back after the reboot.

What is decided, and why, is in `reboot`; here it is done. Nodes are found again by the reason they were drained with,
so that a deploy that was killed is taken up by the next one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from aiops.layers.core.clock import rfc3339
from aiops.layers.l0_nodes.node import Node

from .draining import Hold, Standing
from .holding import POLL_SECONDS, Reboots
from .patience import PatientLock
from .reboot import Candidate, Queue, Rebooted, advance, running


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a turn may do next.

    Attributes:
        go: Nodes that may be worked on.
        refused: Nodes that may not in this run, and why.
    """

    go: frozenset[str]
    refused: Mapping[str, str]


class Clearance:
    """Clears the nodes of one turn for their reboot, in batches.

    ```
    for cleared in clearance.steps():
        ...  # work on cleared.go
        clearance.finished(name, failure, rebooted=True)  # for each of them
    ```
    The first is handed over at once, for what else there is to do while nodes drain; it may be empty.
    """

    def __init__(
        self,
        reboots: Reboots,
        nodes: Sequence[Node],
        phase: str,
        why: Mapping[str, str],
        *,
        lock: PatientLock,
        last: Collection[str] = (),
    ) -> None:
        """Prepare it.

        Args:
            reboots: The deploy's.
            nodes: Nodes that are to be rebooted.
            phase: The phase that needs it.
            why: What for, by node.
            lock: The cluster's, held; each step is taken only while it is ours.
            last: Names of nodes that are drained after all others.
        """
        self._lock = lock
        self._reboots = reboots
        self._draining = reboots.draining
        self._nodes = {node.name: node for node in nodes}
        self._phase = phase
        self._why = dict(why)
        self._queue = Queue(tuple(Candidate(node.name, last=node.name in last) for node in nodes))
        self._standings: dict[str, Standing] = {}
        self._told: list[object] = []

    def steps(self) -> Iterator[Cleared]:
        """Hand over what may be worked on, until all nodes are through.

        Raises:
            ConflictError: The cluster lock was lost.
            FailedError: Its keeper does not answer.
        """
        first = True
        while first or self._queue.candidates or self._queue.returning:
            self._lock.guard()
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
        self._reboots.forget([node])
        if failure:
            self._reboots.lost.add(node)
            self._hold([node], {node: f"failed: {failure}"})
        elif rebooted:
            back = Rebooted(node, self._reboots.clock.monotonic(), standing.session)
            self._reboots.sessions[node] = standing.session
            self._queue = replace(self._queue, returning=(*self._queue.returning, back))
        else:
            self._reboots.kept.add(node)

    def _step(self) -> Cleared:
        now = self._reboots.clock.monotonic()
        names = [*(one.node for one in self._queue.candidates), *(one.node for one in self._queue.returning)]
        self._standings |= self._look(names)
        self._reboots.recount()
        queue = replace(self._queue, kept=tuple(sorted((self._reboots.kept | self._reboots.lost) - set(names))))
        since = {one.node: one.since for one in queue.candidates}
        self._queue, decision = advance(queue, self._standings, self._reboots.limits, now)
        for name in decision.go:
            asked = since.get(name)
            if asked is not None:
                self._draining.tell_drained(name, self._phase, now - asked)
        self._reboots.lost |= set(decision.stay)
        if decision.resume:
            self._release(decision.resume)
        refused = dict(decision.refused)
        unheld = self._hold(decision.drain, self._why)
        for name, reason in (self._look_again(unheld) if unheld else {}).items():
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
        if not names:
            return {}
        error = self._reboots.hold([self._nodes[name] for name in names], self._phase, why, self._lock)
        return {} if error is None else dict.fromkeys(names, error.message)

    def _look_again(self, unheld: Mapping[str, str]) -> dict[str, str]:
        """Those of nodes that could not be set draining which serve on: what was not answered may be done all the same.

        A node that drains after all is waited for like others. One that nothing is known of is not drained, as far as
        we know, and counts as out of service until somebody can say.
        """
        found = self._look(list(unheld))
        self._standings |= found
        held = {name for name in unheld if Hold.of(found.get(name)) is not None}
        unsure = {name for name in unheld if name in found and found[name].state == "unknown"}
        self._reboots.lost |= unsure
        self._draining.note({name: name in held | unsure for name in unheld})
        asked = [replace(one, since=None, held=False) if one.node in unsure else one for one in self._queue.candidates]
        self._queue = replace(self._queue, candidates=tuple(asked))
        return {name: reason for name, reason in unheld.items() if name not in held | unsure}

    def _release(self, names: Sequence[str]) -> None:
        error = self._reboots.release([self._nodes[name] for name in names], self._lock)
        if error is not None:  # still held: it is tried again at the end of the deploy, and told there
            self._reboots.lost |= set(names)

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
