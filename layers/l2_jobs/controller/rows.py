"""Rows: what the ledger keeps, as values and as columns. Pure."""

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiops.layers.core.errors import InputError, NotFoundError
from aiops.layers.l2_jobs.action import Decision
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint
from aiops.layers.l2_jobs.document import document, value_of
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.record import OVER, JobRecord
from aiops.layers.l2_jobs.report import Exited
from aiops.layers.l2_jobs.request import Request
from aiops.layers.l2_jobs.text import plain
from aiops.layers.l2_jobs.wire import WHOLE

_AWAY = frozenset({"queued", "waiting", "held"}) | OVER
"""States in which nothing of the last attempt runs."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was appended, with its number."""

    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class Entry:
    """What one tick writes down, beside what it has decided.

    Attributes:
        at: The steady clock.
        heard: The numbers of requests that it was decided on.
        running: Attempts all of which runs since now.
        failed: The first process of an attempt that ended badly, as it was told.
        done: Numbers of actions that were done since the last tick.
    """

    at: float
    heard: tuple[int, ...] = ()
    running: tuple[Key, ...] = ()
    failed: tuple[Exited, ...] = ()
    done: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """What is known of an attempt. Times are seconds of the steady clock.

    Attributes:
        ran: Since when all of it ran; None where it never did.
        outcome: What became of it, in words; None while it goes on.
        failed_rank: Of the first process that ended badly, on `failed_node`, with `failed_status`.
    """

    attempt: Attempt
    chosen: float
    ran: float | None = None
    ended: float | None = None
    outcome: str | None = None
    failed_node: str | None = None
    failed_rank: int | None = None
    failed_status: int | None = None


@dataclass(frozen=True, slots=True)
class JobRow:
    """What lists show of a job."""

    id: str
    name: str
    user: str
    uid: int
    queue: str
    priority: int
    submitted: float
    state: str
    since: float
    reason: str
    attempt: int | None = None
    nodes: str = ""
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A decision as it was written down, with its number."""

    number: int
    decision: Decision = field(hash=False)


def checkpoint_row(one: Checkpoint, at: float) -> dict[str, Any]:
    """The columns of a checkpoint, less its job."""
    return {
        "path": plain(one.path),
        "step": _kept(one.step),
        "format": one.format,
        "verified": {"good": True, "bad": False}.get(one.state),
        "reason": plain(one.why or ""),
        "at": at,
        "checkpoint": document(one),
    }


def unknown(word: str, ids: Iterable[str]) -> NotFoundError:
    """The error for a job that does not exist, with the names nearest to it."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(ids), n=3, cutoff=0.5)
    meant = [f"did you mean {' or '.join(f'`{one}`' for one in near)}?"] if near else []
    return NotFoundError(
        f"there is no job `{word}`", code="job.unknown", hints=[*meant, "`aiops job list --all` shows all jobs"]
    )


def taken(folder: str, holder: str) -> InputError:
    """The error for a job that would save where another does: either could go on from what the other has saved."""
    return InputError(
        f"{folder} is the folder of the checkpoints of {holder}, which is not over",
        code="job.checkpoint_taken",
        hints=[
            f"see where it stands: `aiops job show {holder}`; end it for good: `aiops job cancel {holder}`",
            "or let `checkpoint.path` name another folder: each run has its own",
        ],
    )


def fixed_columns(job: Job) -> dict[str, Any]:
    """The columns of a job that never change."""
    return {
        "id": job.id,
        "name": job.name,
        "user": job.owner.user,
        "uid": job.owner.uid,
        "queue": job.queue,
        "priority": job.priority,
        "submitted": job.submitted.timestamp(),
        "job": document(job),
        "checkpoint": folder_of(job),
    }


def folder_of(job: Job) -> str | None:
    """Where its checkpoints are, by one spelling."""
    return None if job.checkpoint is None else posixpath.normpath("/" + job.checkpoint.path.lstrip("/"))


def record_columns(record: JobRecord) -> dict[str, Any]:
    """The columns of where a job stands."""
    written = document(replace(record, job=None, attempt=None))  # type: ignore[arg-type]  # both have rows of their own
    attempt = record.attempt
    return {
        "state": record.state,
        "over": record.state in OVER,
        "since": record.since,
        "reason": plain(record.reason),
        "attempt": attempt.key.number if attempt is not None else None,
        "nodes": ",".join(attempt.allocation.nodes) if attempt is not None else "",
        "step": _kept(record.step),
        "record": written,
    }


def record_of(row: Any, attempt: Attempt | None) -> JobRecord:
    """The record that a row of a job is, with its last attempt."""
    record = value_of(JobRecord, {**row.record, "job": row.job})
    return replace(record, attempt=attempt if attempt is not None and attempt.key.number == row.attempt else None)


def attempt_of(row: Any) -> Attempt:
    """The attempt that a row is."""
    return value_of(Attempt, row.attempt)


@dataclass(frozen=True, slots=True)
class Fate:
    """Columns of an attempt's row that are written once: only while `unset` is null."""

    key: Key
    unset: str
    values: Mapping[str, Any] = field(hash=False)


def begun(records: Iterable[JobRecord], known: Mapping[str, JobRecord]) -> list[Attempt]:
    """The attempts that these records have and those before had not."""
    found = []
    for one in records:
        before = known[one.job.id].attempt if one.job.id in known else None
        if one.attempt is not None and (before is None or before.key != one.attempt.key):
            found.append(one.attempt)
    return found


def attempt_row(attempt: Attempt, at: float) -> dict[str, Any]:
    """The columns of an attempt that was chosen."""
    return {"job": attempt.key.job, "number": attempt.key.number, "attempt": document(attempt), "chosen": at}


def fates(records: Iterable[JobRecord], known: Mapping[str, JobRecord], entry: Entry) -> list[Fate]:
    """What has become of attempts: all of it runs, the first process failed, nothing of it runs any more."""
    found = [Fate(key, "ran", {"ran": entry.at}) for key in entry.running]
    for told in entry.failed:
        values = {"failed_node": told.node, "failed_rank": told.rank, "failed_status": told.status}
        found.append(Fate(told.key, "failed_node", values))
    for one in records:
        before = known.get(one.job.id)
        if before is not None and before.attempt is not None and _key(one) != before.attempt.key:
            found.append(Fate(before.attempt.key, "ended", {"ended": one.since, "outcome": plain(before.reason)}))
        elif one.attempt is not None and one.state in _AWAY:
            found.append(Fate(one.attempt.key, "ended", {"ended": one.since, "outcome": plain(one.reason)}))
    return found


def _kept(number: int | None) -> int | None:
    """A number that a column can hold; what a user has written may be any, and is then as good as none."""
    return number if number is not None and -WHOLE < number < WHOLE else None


def _key(record: JobRecord) -> Key | None:
    return record.attempt.key if record.attempt is not None else None


def decision_row(one: Decision) -> dict[str, Any]:
    """The columns of a decision."""
    return {
        "job": one.job,
        "attempt": one.attempt,
        "at": one.at,
        "kind": one.kind,
        "message": plain(one.message),
        "evidence": document(one.evidence),
    }
