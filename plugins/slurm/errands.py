"""Errands: work that waits for somebody, each piece in a thread of its own, and none of a kind twice at a time."""

import threading
from collections.abc import Callable, Hashable

_AT_ONCE = 16
"""Of all that are begun so many go on at once; the others wait."""


class Errands:
    """What is being done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: set[Hashable] = set()
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._closed = False

    def send(self, name: Hashable, work: Callable[[], None]) -> None:
        """Have `work` done, unless what is called so is being done. Nobody waits for its thread."""
        with self._lock:
            if name in self._busy or self._closed:
                return
            self._busy.add(name)

        def errand() -> None:
            try:
                with self._room:
                    work()
            finally:
                with self._lock:
                    self._busy.discard(name)

        threading.Thread(target=errand, name=f"errand-{name}", daemon=True).start()

    def close(self) -> None:
        """Begin no more."""
        with self._lock:
            self._closed = True
