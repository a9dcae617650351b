"""Pulse: signs of life of what comes after the last step, which may take any time. Standard library only.

A phase that lasts is taken for a hang once its time is over, and a word that was told before is no news. So whoever
works on tells two phases in turn, only when something was really done since.
"""

import time

from aiops import checkpoint

from .work import LeaveError, Work

EVERY = 1.0
"""Seconds between two of them: launchers tell no more."""


class Pulse:
    """What handing on a tuned model tells of itself."""

    def __init__(self, work: Work) -> None:
        """Nothing was told yet."""
        self._steps = work.steps
        self._saves = False
        self._told = -EVERY

    def beat(self) -> None:
        """Tell that something was done.

        Raises:
            LeaveError: This process was asked to leave; whoever comes after it begins with the handing on.
        """
        if checkpoint.stop_requested():
            raise LeaveError
        now = time.monotonic()
        if now - self._told < EVERY:
            return
        self._told = now
        self._saves = not self._saves
        checkpoint.progress(self._steps, phase="save" if self._saves else "evaluate", total=self._steps)
