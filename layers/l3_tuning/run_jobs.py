"""The jobs of a run, as `jobs.json` in its folder lists them, and the one that is about to be handed in.

A job's id says something to one store alone, so it stands with the desk that has taken it. Another desk can neither ask
for it nor see it end; what it may know is the state that was written down by whoever has seen that.

What is to be done is written down before: a word that no other job has goes into jobs.json, then the job is handed in
with that word in its text, then its id takes the word's place. Whoever comes after `kill -9` between any two of these
asks the desk for a job with the word: it was taken, or it surely was not.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import FailedError
from aiops.layers.core.file import write_atomic

JOBS = "jobs.json"

_OVER = frozenset({"succeeded", "failed", "cancelled"})
"""States of a job that has ended; one that is held goes on as soon as somebody lets it."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A job that is about to be handed in.

    Attributes:
        word: Stands in its text, and in that of no other job.
        desk: Where it is handed in: `HOST:SOCKET`.
        at: When, as RFC 3339.
    """

    word: str
    desk: str
    at: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A job that a desk has taken.

    Attributes:
        job: Its id there.
        desk: `HOST:SOCKET`; None where that was not written down, as runs of before have it.
        state: How it has ended; None where nobody has seen that.
    """

    job: str
    desk: str | None = None
    state: str | None = None

    @property
    def over(self) -> bool:
        """Whether it is known to have ended, so that nobody writes for it any more."""
        return self.state in _OVER


def marked(text: str, intent: Intent) -> str:
    """The text of a job with the word of its intent."""
    return f"{text.rstrip()}\n{_mark(intent)}\n"


def carries(text: str, intent: Intent) -> bool:
    """Whether the text of a job is what was handed in with this intent."""
    return _mark(intent) in text.splitlines()


def _mark(intent: Intent) -> str:
    return f"# Handed in as {intent.word}."


def taken(place: Path) -> tuple[Taken, ...]:
    """The jobs that have run it, the newest last, with the desks that have taken them.

    Raises:
        FailedError: jobs.json cannot be read (`run.jobs`).
    """
    return tuple(one for one in _read(place) if isinstance(one, Taken))


def jobs(place: Path) -> list[str]:
    """The ids of the jobs that have run it, the newest last.

    Raises:
        FailedError: jobs.json cannot be read (`run.jobs`).
    """
    return [one.job for one in taken(place)]


def intended(place: Path) -> Intent | None:
    """The job that somebody was about to hand in and has not written down since; None without one.

    Raises:
        FailedError: jobs.json cannot be read (`run.jobs`).
    """
    found = [one for one in _read(place) if isinstance(one, Intent)]
    return found[-1] if found else None


def intend(place: Path, intent: Intent) -> None:
    """Write down that a job is about to be handed in.

    Raises:
        FailedError: jobs.json cannot be read, or written (`run.jobs`).
    """
    _write(place, (*taken(place), intent))


def record(place: Path, job: str, desk: str) -> None:
    """Write down that a job runs it; what was intended has come to be.

    Raises:
        FailedError: jobs.json cannot be read, or written (`run.jobs`).
    """
    _write(place, (*taken(place), Taken(job, desk)))


def ended(place: Path, job: str, desk: str, state: str) -> None:
    """Write down how a job that runs it has ended, where it is listed and that was not seen before.

    Raises:
        FailedError: jobs.json cannot be read, or written (`run.jobs`).
    """
    found = _read(place)
    told = [
        replace(one, desk=desk, state=state)
        if isinstance(one, Taken) and one.job == job and one.desk in {None, desk} and not one.over
        else one
        for one in found
    ]
    if told != found:
        _write(place, told)


def withdraw(place: Path) -> None:
    """What was intended has surely not come to be.

    Raises:
        FailedError: jobs.json cannot be read, or written (`run.jobs`).
    """
    _write(place, taken(place))


def _read(place: Path) -> list[Taken | Intent]:
    path = place / JOBS
    try:
        return [_item(one) for one in json.loads(path.read_text("utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FailedError(
            f"{path} cannot be read, and it lists the jobs of {place.name}: {error}",
            code="run.jobs",
            hints=['begin a new run, or put in that file what `aiops job list --all` knows: `[{"job": "JOB"}]`'],
        ) from error


def _item(said: Any) -> Taken | Intent:
    if isinstance(said, str):  # of a run that was begun before desks were written down
        return Taken(said)
    return Intent(**said["intended"]) if "intended" in said else Taken(**said)


def _write(place: Path, found: Iterable[Taken | Intent]) -> None:
    path = place / JOBS
    said = [{"intended": asdict(one)} if isinstance(one, Intent) else asdict(one) for one in found]
    try:
        write_atomic(path, (json.dumps(said, indent=1) + "\n").encode(), 0o644)
    except OSError as error:
        raise FailedError(
            f"{path} cannot be written: {error.strerror}",
            code="run.jobs",
            hints=[f"make room there, or see whose it is: `ls -l {place}`"],
        ) from error
