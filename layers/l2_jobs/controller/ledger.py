"""The ledger: all reading and writing of what jobs are. One transaction per tick; what clients ask is appended."""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from aiops.layers.core.store import Store
from aiops.layers.l2_jobs.action import Action, Decided, Decision
from aiops.layers.l2_jobs.document import action_document, action_of, document
from aiops.layers.l2_jobs.job import Account
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.request import Request, Resume, Submit, request_kind, request_of
from aiops.layers.l2_jobs.shelf import Shelf
from aiops.layers.l2_jobs.term import Term

from .rows import (
    Asked,
    AttemptRow,
    Entry,
    JobRow,
    Told,
    attempt_of,
    attempt_row,
    begun,
    checkpoint_row,
    decision_row,
    fates,
    fixed_columns,
    folder_of,
    record_columns,
    record_of,
    spelled,
    taken,
    unknown,
)

Failpoint = Callable[[str], None]
"""Called with the name of a place between two steps; tests end the controller there, as `kill -9` would."""

MOST_REQUESTS = 500
"""So many requests are taken up in one tick, so that none takes long."""


def nothing(_place: str) -> None:
    """The failpoint of a controller that is not under test."""


class Ledger:
    """The jobs of one store. Reading is for everybody who holds it, `commit` and `finish` for the controller alone."""

    def __init__(self, store: Store, failpoint: Failpoint = nothing) -> None:
        """Make sure that the tables are there.

        Args:
            store: Where they are.
            failpoint: Called between any two statements of a commit; tests end it there.

        Raises:
            ConflictError: A newer aiops has written the store.
            FailedError: The store cannot be written.
        """
        from aiops.layers.l2_jobs.tables.jobs import L2_JOBS

        store.require(L2_JOBS)
        self._store = store
        self._failpoint = failpoint

    # What clients do

    def number_of(self, name: str) -> int:
        """A number for a job of this name that no other has; jobs are called `NAME-NUMBER`."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.begin() as connection:
            return tables.next_number(connection, name)

    def append(self, request: Request, by: Account, at: float) -> int:
        """Append what a client asks; its number. It is on the disk when this returns.

        Raises:
            InputError: Another job that is not over saves in the same folder (`job.checkpoint_taken`).
        """
        from aiops.layers.l2_jobs.tables import jobs as tables

        job = request.job.id if isinstance(request, Submit) else request.job
        with self._store.begin() as connection:
            folder = folder_of(request.job) if isinstance(request, Submit) else None
            if isinstance(request, Resume) and (row := tables.select_job(connection, job)) is not None:
                folder = row.checkpoint
            holder = tables.select_writer(connection, folder, job) if folder is not None else None
            if folder is not None and holder is not None:
                raise taken(folder, holder)
            return tables.insert_request(
                connection,
                {
                    "kind": request_kind(request),
                    "job": job,
                    "user": by.user,
                    "uid": by.uid,
                    "at": at,
                    "request": document(request),
                    "checkpoint": folder,
                },
            )

    def heard(self, number: int) -> bool:
        """Whether the controller has taken up a request."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            row = tables.select_request(connection, number)
        return row is None or row.heard is not None  # those that were heard long ago are let go

    # What the controller reads

    def alive(self) -> dict[str, JobRecord]:
        """All jobs that are not over, oldest first."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            attempts = {row.job: attempt_of(row) for row in tables.select_current(connection)}
            return {row.id: record_of(row, attempts.get(row.id)) for row in tables.select_alive(connection)}

    def written(self, jobs: Iterable[str]) -> dict[str, JobRecord]:
        """Those of `jobs` that a controller has written down, also such as are over; none that was only asked for."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        found = {}
        with self._store.read() as connection:
            for job in jobs:
                row = tables.select_job(connection, job)
                if row is not None:
                    last = [attempt_of(one) for one in tables.select_attempts(connection, job)]
                    found[job] = record_of(row, last[-1] if last else None)
        return found

    def submitted(self, jobs: Iterable[str]) -> dict[str, JobRecord]:
        """Those of `jobs` that somebody has asked for and no controller has taken up."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        found = {}
        with self._store.read() as connection:
            for job in jobs:
                asked = tables.select_submitted(connection, job)
                if asked is not None:
                    submit = cast("Submit", request_of(asked.kind, asked.request))
                    found[job] = JobRecord(submit.job, "queued", asked.at, "the controller has not taken it up yet")
        return found

    def skip_number(self, job: str) -> None:
        """Never give the number of a job to another, though the job itself is not known here."""
        name, _, number = job.rpartition("-")
        while name and number.isdecimal() and self.number_of(name) < int(number):
            continue

    def asked(self) -> tuple[Asked, ...]:
        """What was not taken up yet, oldest first."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            rows = list(tables.select_requests(connection, MOST_REQUESTS))
        return tuple(Asked(row.id, request_of(row.kind, row.request)) for row in rows)

    def open_actions(self) -> tuple[tuple[int, Action], ...]:
        """What was written down and is not known to be done."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            return tuple((row.id, action_of(row.action)) for row in tables.select_open_actions(connection))

    def term(self) -> Term:
        """The term of the controller on this store; a new store's first one is 1."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.begin() as connection:
            row = tables.select_term(connection)
            if row is not None:
                return Term(row.lineage, row.number)
            term = Term(secrets.token_hex(16), 1)
            tables.put_term(connection, term.lineage, term.number)
            return term

    def raise_term(self, now: float) -> Term:
        """Be the later one of all controllers on this store, or on what it was restored from."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        raised = self.term().raised(now)
        with self._store.begin() as connection:
            tables.put_term(connection, raised.lineage, raised.number)
        return raised

    # What the controller writes

    def commit(self, decided: Decided, entry: Entry, known: Mapping[str, JobRecord]) -> tuple[int, ...]:
        """Write down all that a tick has come to, in one transaction; the numbers of its actions, in their order.

        Args:
            decided: What was decided.
            entry: What else there is to write.
            known: The records as they were before, by job: what is not in it is a new job.
        """
        from aiops.layers.l2_jobs.tables import jobs as tables

        new = [one for one in decided.records if one.job.id not in known]
        changed = [one for one in decided.records if one.job.id in known]
        with self._store.begin() as connection:
            tables.hear_requests(connection, entry.heard, entry.at)
            self._failpoint("heard")
            tables.finish_actions(connection, entry.done, entry.at)
            self._failpoint("finished")
            tables.insert_jobs(connection, [{**fixed_columns(one.job), **record_columns(one)} for one in new])
            self._failpoint("inserted")
            tables.update_jobs(connection, [{"key": one.job.id, **record_columns(one)} for one in changed])
            self._failpoint("updated")
            for fate in fates(decided.records, known, entry):
                tables.update_attempt(connection, fate.key.job, fate.key.number, fate.values, unset=fate.unset)
            self._failpoint("ended")
            tables.insert_attempts(connection, [attempt_row(one, entry.at) for one in begun(decided.records, known)])
            self._failpoint("begun")
            tables.insert_decisions(connection, [decision_row(one) for one in decided.decisions])
            self._failpoint("told")
            rows = [{"at": entry.at, "action": action_document(one)} for one in decided.actions]
            numbers = tuple(tables.insert_actions(connection, rows))
            self._failpoint("to be committed")
        return numbers

    def finish(self, numbers: Sequence[int], at: float) -> None:
        """Write down that actions are done."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.begin() as connection:
            tables.finish_actions(connection, numbers, at)

    def prune(self, before: float, most: int = 5000) -> int:
        """Let go of requests that were heard, and of actions that were done, before then; how many.

        Decisions, attempts and jobs stay: they are what `aiops job explain` rests on.

        Args:
            before: The steady clock.
            most: Rows of one transaction, so that none is long.
        """
        from aiops.layers.l2_jobs.tables import jobs as tables

        gone = 0
        for delete in (tables.delete_requests, tables.delete_actions):
            while True:
                with self._store.begin() as connection:
                    count = delete(connection, before, most)
                gone += count
                if count < most:
                    break
        return gone

    def keep_shelf(self, job: str, shelf: Shelf) -> None:
        """Write down what was found of a job's checkpoints."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        rows = {row["path"]: row for row in (checkpoint_row(one, shelf.looked) for one in shelf.checkpoints)}
        kept = [{"job": job, **row} for path, row in rows.items() if len(path) <= tables.LONGEST_PATH]
        with self._store.begin() as connection:
            tables.replace_checkpoints(connection, job, kept)

    def ports(self, since: float) -> dict[str, dict[int, float]]:
        """The ports that attempts were given since then, by their first node, and when."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        found: dict[str, dict[int, float]] = {}
        with self._store.read() as connection:
            for row in tables.select_chosen(connection, since):
                attempt = attempt_of(row)
                found.setdefault(attempt.allocation.nodes[0], {})[attempt.port] = row.chosen
        return found

    # What everybody reads

    def list(
        self, *, last: int, over: bool | None = None, uid: int | None = None, state: str | None = None
    ) -> tuple[JobRow, ...]:
        """The newest jobs, newest first; `over`: only those that are, or are not."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            rows = tables.select_list(connection, last=last, over=over, uid=uid, state=state)
            return tuple(JobRow(**row._mapping) for row in rows)  # noqa: SLF001 - SQLAlchemy's documented view of a row

    def saving(self, below: str) -> tuple[str, ...]:
        """Ids of the jobs that save below a folder, over or not, newest first; those that were only asked for too."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            return tuple(tables.select_saving(connection, spelled(below)))

    def counts(self) -> dict[str, int]:
        """How many jobs that are not over are in each state."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            return tables.count_jobs(connection)

    def record(self, job: str) -> JobRecord:
        """A job as it stands; one that was only asked for is queued.

        Raises:
            NotFoundError: There is none, with near names (`job.unknown`).
        """
        from aiops.layers.l2_jobs.tables import jobs as tables

        found = self.written([job]).get(job) or self.submitted([job]).get(job)
        if found is not None:
            return found
        with self._store.read() as connection:
            # Between the two looks it may have been taken up.
            if tables.select_job(connection, job) is None:
                raise unknown(job, tables.select_ids(connection, 200))
        return self.written([job])[job]

    def resolve(self, word: str, uid: int | None) -> str:
        """The id of the job that somebody calls `word`: its id, or its name, which is its newest job's.

        Args:
            word: As it was typed.
            uid: Whose jobs a name means first.

        Raises:
            NotFoundError: There is none, with near names (`job.unknown`).
        """
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            if tables.select_job(connection, word) is not None or tables.select_submitted(connection, word) is not None:
                return word
            own = tables.select_named(connection, word, uid) if uid is not None else []
            found = own or tables.select_named(connection, word, None)
            if found:
                return found[0]
            raise unknown(word, tables.select_ids(connection, 200))

    def attempts(self, job: str) -> tuple[AttemptRow, ...]:
        """The attempts of a job, in order."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            return tuple(
                AttemptRow(
                    attempt_of(row),
                    row.chosen,
                    row.ran,
                    row.ended,
                    row.outcome,
                    row.failed_node,
                    row.failed_rank,
                    row.failed_status,
                )
                for row in tables.select_attempts(connection, job)
            )

    def decisions(self, job: str, after: int = 0, attempt: int | None = None) -> tuple[Told, ...]:
        """What was decided for a job, in order, with numbers above `after`."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            return tuple(
                Told(row.id, Decision(row.job, row.at, row.kind, row.message, row.evidence, row.attempt))
                for row in tables.select_decisions(connection, job, after, attempt)
            )

    def checkpoints(self, job: str) -> tuple[Mapping[str, Any], ...]:
        """What is known of a job's checkpoints, the newest step first, as it was written down."""
        from aiops.layers.l2_jobs.tables import jobs as tables

        with self._store.read() as connection:
            return tuple(dict(row._mapping) for row in tables.select_checkpoints(connection, job))  # noqa: SLF001
