"""One stream of events feeds the screen, the log, the store and the tests.

Kinds are past participles (`phase_started` is "a phase was started"). Layers emit; who listens is none of
their business. `data` is JSON: strings, numbers, booleans, null, lists and maps, and never a secret.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .clock import Clock

VERSION = 1


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        seq: 1, 2, 3 ... within one run.
        node: The node it happened on, or None for the run as a whole.
    """

    at: datetime
    run: str
    seq: int
    kind: str
    node: str | None
    message: str
    data: Mapping[str, Any]
    v: int = VERSION

    def document(self) -> dict[str, Any]:
        """The event as JSON-ready values, times in RFC 3339."""
        return {
            "v": self.v,
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "run": self.run,
            "seq": self.seq,
            "kind": self.kind,
            "node": self.node,
            "message": self.message,
            "data": dict(self.data),
        }


Listener = Callable[[Event], None]
BatchListener = Callable[[Sequence[Event]], None]


class EventStream:
    """Numbers the events of one run and hands each to every listener, in order, from any thread."""

    def __init__(self, run: str, clock: Clock) -> None:
        self.run = run
        self._clock = clock
        self._listeners: list[Listener] = []
        self._recorders: list[BatchListener] = []
        self._together: list[Event] | None = None
        self._seq = 0
        self._lock = threading.Lock()

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` for every later event. It must be quick and must not emit."""
        self._listeners.append(listener)

    def record(self, recorder: BatchListener) -> None:
        """Call `recorder` for every later event, at once or with all those of one `together`, as `subscribe`'s."""
        self._recorders.append(recorder)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Hand the events of this block to recorders all at once, at its end, however it ends.

        Only for what is known already: nothing may be done in the block that must not be done unrecorded.
        """
        outer = self._together is not None
        try:
            if not outer:
                self._together = []
            yield
        finally:
            if not outer:
                with self._lock:
                    events, self._together = self._together or [], None
                    for recorder in self._recorders if events else ():
                        recorder(events)

    def emit(self, kind: str, message: str = "", *, node: str | None = None, **data: Any) -> Event:
        """Record that something happened and tell every listener."""
        with self._lock:
            self._seq += 1
            event = Event(self._clock.now(), self.run, self._seq, kind, node, message, data)
            if self._together is not None:
                self._together.append(event)
            else:
                for recorder in self._recorders:
                    recorder([event])
            for listener in self._listeners:
                listener(event)
        return event
