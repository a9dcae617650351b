"""Signals that ask us to end: they unwind like Ctrl-C, so that locks are released and journals closed."""

import signal
from types import FrameType


class TerminatedError(BaseException):
    """SIGTERM or SIGHUP arrived. Not an `Exception`, so that no handler on the way takes it for a failure."""


def unwind_on_termination() -> None:
    """Raise `TerminatedError` in the main thread on SIGTERM, and on SIGHUP unless `nohup` ignores it."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise TerminatedError
