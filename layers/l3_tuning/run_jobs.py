"""The jobs of a run, as `jobs.json` in its folder lists them, and the one that is about to be handed in.

What is to be done is written down before: a word that no other job has goes into jobs.json, then the job is handed in
with that word in its text, then its id takes the word's place. Whoever comes after `kill -9` between any two of these
asks the desk for a job with the word: it was taken, or it surely was not.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import FailedError
from aiops.layers.core.file import write_atomic

JOBS = "jobs.json"


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


def marked(text: str, intent: Intent) -> str:
    """The text of a job with the word of its intent."""
    return f"{text.rstrip()}\n{_mark(intent)}\n"


def carries(text: str, intent: Intent) -> bool:
    """Whether the text of a job is what was handed in with this intent."""
    return _mark(intent) in text.splitlines()


def _mark(intent: Intent) -> str:
    return f"# Handed in as {intent.word}."


def jobs(place: Path) -> list[str]:
    """The jobs that have run it, the newest last.

    Raises:
        FailedError: jobs.json cannot be read (`run.jobs`).
    """
    return [one for one in _read(place) if isinstance(one, str)]


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
    _write(place, [*jobs(place), {"intended": asdict(intent)}])


def record(place: Path, job: str) -> None:
    """Write down that a job runs it; what was intended has come to be.

    Raises:
        FailedError: jobs.json cannot be read, or written (`run.jobs`).
    """
    _write(place, [*jobs(place), job])


def withdraw(place: Path) -> None:
    """What was intended has surely not come to be.

    Raises:
        FailedError: jobs.json cannot be read, or written (`run.jobs`).
    """
    _write(place, list(jobs(place)))


def _read(place: Path) -> list[str | Intent]:
    path = place / JOBS
    try:
        found = json.loads(path.read_text("utf-8"))
        return [one if isinstance(one, str) else Intent(**one["intended"]) for one in found]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FailedError(
            f"{path} cannot be read, and it lists the jobs of {place.name}: {error}",
            code="run.jobs",
            hints=['begin a new run, or put in that file what `aiops job list --all` knows: `["JOB"]`'],
        ) from error


def _write(place: Path, found: list[Any]) -> None:
    path = place / JOBS
    try:
        write_atomic(path, (json.dumps(found, indent=1) + "\n").encode(), 0o644)
    except OSError as error:
        raise FailedError(
            f"{path} cannot be written: {error.strerror}",
            code="run.jobs",
            hints=[f"make room there, or see whose it is: `ls -l {place}`"],
        ) from error
