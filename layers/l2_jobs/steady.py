"""Steady: a clock that reads as the time of day and never runs backwards while a process lives."""

from aiops.layers.core.clock import Clock


class Steady:
    """Seconds since the epoch: the time of day at the start, and what has passed since by the monotonic clock.

    So a clock that is set under a running controller ends no lease, and what was written down by an earlier process
    can still be compared.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now().timestamp() - clock.monotonic()

    def __call__(self) -> float:
        """Now."""
        return self._offset + self._clock.monotonic()
