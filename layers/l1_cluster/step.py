"""The two ends of one phase, as events."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiops.layers.core.clock import Clock
from aiops.layers.core.event import EventStream

from .ledger import OUTCOMES, Ledger


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is told when a phase begins."""

    phase: str
    title: str
    nodes: list[str]


class Step:
    """Emits `phase_started` and, unless the block raised, `phase_finished` with the ledger's counts.

    The block is given a function that tells the seconds since its start.
    """

    def __init__(self, events: EventStream, clock: Clock, ledger: Ledger, beginning: Beginning) -> None:
        self._events = events
        self._clock = clock
        self._ledger = ledger
        self._beginning = beginning
        self._start = 0.0
        self.summary = ""

    def __enter__(self) -> Callable[[], float]:
        self._start = self._clock.monotonic()
        one = self._beginning
        self._events.emit("phase_started", one.title, phase=one.phase, nodes=one.nodes)
        return lambda: self._clock.monotonic() - self._start

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            return
        one = self._beginning
        nodes = set(one.nodes)  # a phase comes once per batch
        outcomes = [entry.outcome for entry in self._ledger if entry.phase == one.phase and entry.node in nodes]
        counts: dict[str, Any] = {name: outcomes.count(name) for name in OUTCOMES}
        seconds = round(self._clock.monotonic() - self._start, 3)
        data = {"phase": one.phase, "nodes": len(one.nodes), "seconds": seconds, **counts}
        self._events.emit("phase_finished", self.summary, **data)
