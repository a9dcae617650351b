"""Defects: one of ours that a single node's words, or a single job's files, have met is told, and is theirs alone.

Who serves many and meets one goes on with the others. It is told once for each subject, class and place, so that words
which come again and again fill no log; the stacks go to stderr, which is the log of the controller's service.
"""

import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from types import TracebackType

LEAST, MOST = 1.0, 60.0
"""Seconds that a subject is let be after its first defect; doubled with each that follows, up to this."""

_REMEMBERED = 1024
"""Of those that were told; then all are forgotten, and one that comes again is told again."""


class OfOneJobError(Exception):
    """A defect that is one job's alone: it was met while that one was decided about."""

    def __init__(self, job: str, defect: Exception) -> None:
        super().__init__(f"{type(defect).__name__}, about {job}")
        self.job = job
        self.defect = defect


class About:
    """While one job is decided about: a defect that is met meanwhile is that job's (`OfOneJobError`)."""

    __slots__ = ("_job",)

    def __init__(self, job: str) -> None:
        self._job = job

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, met: BaseException | None, at: TracebackType | None) -> None:
        """Say whose it is."""
        if isinstance(met, Exception) and not isinstance(met, OfOneJobError):
            raise OfOneJobError(self._job, met) from met


def nobody(words: str) -> None:
    """Tell nobody; the stacks are on stderr all the same."""
    del words


class Defects:
    """Tells of them; safe to use from several threads."""

    def __init__(self, warn: Callable[[str], None] = nobody) -> None:
        """`warn` is told in words what was met where, once for each."""
        self._warn = warn
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def met(self, subject: str, error: Exception, outcome: str) -> str:
        """Tell of a defect, unless it was told; its class and where it was met.

        What the error itself says goes to stderr only, for it may quote what a node or a user has written.

        Args:
            subject: Whose words have met it: a node, an attempt, a job.
            error: It.
            outcome: What becomes of the subject now, in words.
        """
        why = f"a defect of aiops, {type(error).__name__} at {place_of(error)}"
        with self._lock:
            if (subject, why) in self._told:
                return why
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told.add((subject, why))
        stacks = "".join(traceback.format_exception(error))
        sys.stderr.write(f"{subject}: {stacks}")
        sys.stderr.flush()
        self._warn(f"{subject}: {why}: {outcome}; please report it with the stacks in the controller's log")
        return why


def place_of(error: BaseException) -> str:
    """Where an error was raised: `FILE:LINE in FUNCTION`. Pure."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "nowhere"
    last = frames[-1]
    return f"{PurePath(last.filename).name}:{last.lineno} in {last.name}"


@dataclass(frozen=True, slots=True)
class Setback:
    """How long somebody is let be who has met defects. Pure.

    Attributes:
        count: So many in a row.
        until: When it is tried again (steady clock).
    """

    count: int = 0
    until: float = float("-inf")

    def again(self, now: float) -> "Setback":
        """After one more; who has gone on well for as long as `MOST` begins anew."""
        count = 1 if now - self.until > MOST else self.count + 1
        return Setback(count, now + min(LEAST * 2.0 ** (min(count, 16) - 1), MOST))
