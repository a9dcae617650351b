"""The desk: what clients may ask of jobs, each as a document, checked against who asks.

Questions are answered from the ledger, wishes are appended to it as requests, and the controller is told to look. Who
is neither a job's owner nor an admin sees of it where it stands and the class of its fault, never words: those of
reasons, outcomes and decisions may be lines of its logs. Nor may they do anything to it.
"""

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from aiops.layers.core.errors import ConflictError, FailedError, InputError
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.document import document
from aiops.layers.l2_jobs.job import Account, Job
from aiops.layers.l2_jobs.record import OVER, JobRecord
from aiops.layers.l2_jobs.request import Cancel, Hold, Request, Resume, Submit
from aiops.layers.l2_jobs.survey import Surveyor, asks_of, names_of

from .ledger import Ledger
from .logs import PIECE, Logs
from .progress import Progress
from .rows import AttemptRow, JobRow, Told

Rows = list[dict[str, Any]]
"""`list` is a verb of the desk."""

_MOST_LISTED = 100_000
_OPEN = ("id", "name", "owner", "kind", "queue", "priority", "nodes", "devices", "processes", "submitted")
"""Of a job: what others may see."""

_STEPPING = frozenset({"starting", "running", "stopping"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        admin: root, or of the group `aiops`; on a controller of one's own, oneself.
    """

    account: Account
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Submission:
    """A job file as somebody hands it in.

    Attributes:
        text: Of job.yml.
        file: What it is called, for words about mistakes.
        folder: Where relative paths in it begin.
        overrides: What the command line said instead, by key of job.yml.
    """

    text: str
    file: str
    folder: str
    overrides: Mapping[str, Any] = field(default_factory=dict, hash=False)


Compile = Callable[[Submission, Account, Callable[[str], int]], Job]
"""Makes the job, with a number for its name; it raises InputError with all mistakes."""


def nobody(_key: Key) -> Progress | None:
    """The progress of a desk without a controller: none is known."""
    return None


class Desk:
    """Answers one store's clients; safe to use from several threads."""

    def __init__(
        self,
        ledger: Ledger,
        logs: Logs,
        *,
        compile_job: Compile,
        now: Callable[[], float],
        look: Callable[[], None],
        plan: Callable[[Submission, Account], Mapping[str, Any]] | None = None,
        surveyor: Surveyor | None = None,
        progress: Callable[[Key], Progress | None] = nobody,
        status: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._ledger = ledger
        self._logs = logs
        self._compile = compile_job
        self._now = now
        self._look = look
        self._plan = plan
        self._surveyor = surveyor
        self._progress = progress
        self._status = status

    def answer(self, caller: Caller, verb: str, words: Mapping[str, Any]) -> Any:
        """The answer to one question or wish, JSON-ready.

        Args:
            caller: Who asks.
            verb: One of `VERBS`.
            words: Its arguments, as their names are in the verb's method.

        Raises:
            InputError: There is no such verb, or its arguments are something else.
            NotFoundError: There is no such job, or attempt of it.
            ConflictError: The job's state does not allow this.
            FailedError: The job is somebody else's.
        """
        if verb not in VERBS:
            raise InputError(f"the controller knows no `{verb}`", code="desk.verb", hints=["is it an older aiops?"])
        try:
            return getattr(self, verb)(caller, **words)
        except TypeError as error:
            raise InputError(f"`{verb}` was asked wrongly: {error}", code="desk.words") from error

    # Wishes

    def submit(
        self, caller: Caller, text: str, file: str, folder: str, overrides: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run a job."""
        submission = Submission(text, file, folder, overrides or {})
        job = self._compile(submission, caller.account, self._ledger.number_of)
        return {"job": job.id, "request": self._wish(caller, Submit(job))}

    def plan(
        self, caller: Caller, text: str, file: str, folder: str, overrides: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """What would run of a job file now; nothing is changed."""
        if self._plan is None:
            raise _nobody()
        return self._plan(Submission(text, file, folder, overrides or {}), caller.account)

    def cancel(self, caller: Caller, job: str) -> dict[str, Any]:
        """End a job for good."""
        record = self._own(caller, job)
        if record.state in OVER:
            raise ConflictError(
                f"{record.job.id} has ended already: {record.state}",
                code="job.over",
                hints=[f"see what became of it: `aiops job show {record.job.id}`"],
            )
        return {"job": record.job.id, "request": self._wish(caller, Cancel(record.job.id, caller.account))}

    def hold(self, caller: Caller, job: str) -> dict[str, Any]:
        """Stop a job so that it can be resumed."""
        record = self._own(caller, job)
        if record.state in OVER or record.state == "held":
            raise ConflictError(
                f"{record.job.id} cannot be held: it is {record.state}",
                code="job.state",
                hints=[f"go on with it: `aiops train --resume --job {record.job.id}`"],
            )
        return {"job": record.job.id, "request": self._wish(caller, Hold(record.job.id, caller.account))}

    def resume(self, caller: Caller, job: str | None = None, step: int | None = None) -> dict[str, Any]:
        """Go on with a job, the caller's newest by default, from its newest verified checkpoint or that of `step`."""
        if job is None:
            job = self._newest(caller)
        record = self._own(caller, job)
        if record.state in {"queued", "starting", "running", "stopping", "waiting"} and not record.stop:
            raise ConflictError(
                f"{record.job.id} needs no resume: it is {record.state}",
                code="job.state",
                hints=[f"follow it: `aiops job logs -f {record.job.id}`"],
            )
        if step is not None:
            self._require_step(record.job.id, step)
        return {"job": record.job.id, "request": self._wish(caller, Resume(record.job.id, caller.account, step))}

    # Questions

    def list(
        self, caller: Caller, last: int = 50, every: bool = False, mine: bool = False, state: str | None = None
    ) -> Rows:
        """Jobs, newest first: those that are not over, unless `every`."""
        last = max(1, min(int(last), _MOST_LISTED))
        uid = caller.account.uid if mine else None
        over = None if every or state in OVER else False
        rows = self._ledger.list(last=last, over=over, uid=uid, state=state)
        return [self._row(caller, one) for one in rows]

    def show(self, caller: Caller, job: str) -> dict[str, Any]:
        """All of a job; of another's what may be seen of it."""
        record = self._ledger.record(self._ledger.resolve(job, caller.account.uid))
        mine = _may(caller, record)
        shown = self._standing(record, whole=mine)
        attempts = self._ledger.attempts(record.job.id)
        written = document(record.job)
        checkpoints = self._ledger.checkpoints(record.job.id) if mine else ()
        return {
            **shown,
            "job": written if mine else {name: written[name] for name in _OPEN},
            "used": dict(record.used),
            "stalled": record.stalled,
            "avoid": {node: why if mine else "" for node, why in record.avoid.items()},
            "ran": record.ran,
            "attempts": [_attempt(one, whole=mine) for one in attempts],
            "checkpoints": [document(one) for one in checkpoints],
        }

    def standing(self, caller: Caller, job: str, after: int = 0, request: int | None = None) -> dict[str, Any]:
        """Where a job stands, and what was decided since decision `after`: for whoever follows it."""
        record = self._ledger.record(self._ledger.resolve(job, caller.account.uid))
        told = self._ledger.decisions(record.job.id, after)
        mine = _may(caller, record)
        return {
            **self._standing(record, whole=mine),
            "heard": request is None or self._ledger.heard(request),
            "decisions": [_told(one, whole=mine) for one in told],
        }

    def saving(self, caller: Caller, below: str) -> Rows:
        """The jobs that save below a folder, newest first; of another's not what was handed in."""
        records = [self._ledger.record(job) for job in self._ledger.saving(below)]
        return [
            {"job": one.job.id, "state": one.state, "text": one.job.source if _may(caller, one) else None}
            for one in records
        ]

    def explain(self, caller: Caller, job: str, attempt: int | None = None) -> dict[str, Any]:
        """What was decided for a job, with the evidence."""
        record = self._own(caller, job)
        told = self._ledger.decisions(record.job.id, 0, attempt)
        return {**self._standing(record), "decisions": [_told(one, whole=True) for one in told]}

    def attempts(self, caller: Caller, job: str) -> Rows:
        """The attempts of a job, in order."""
        record = self._ledger.record(self._ledger.resolve(job, caller.account.uid))
        return [_attempt(one, whole=_may(caller, record)) for one in self._ledger.attempts(record.job.id)]

    def logs(self, caller: Caller, job: str, attempt: int | None = None) -> dict[str, Any]:
        """Which logs a job has: of an attempt, the last by default, with who failed first there."""
        record = self._own(caller, job)
        rows = self._ledger.attempts(record.job.id)
        if attempt is None and rows:
            attempt = rows[-1].attempt.key.number
        found = next((one for one in rows if one.attempt.key.number == attempt), None)
        if found is None:
            if attempt is None or not rows:
                return {**self._standing(record), "log": None}
            raise InputError(
                f"{record.job.id} has no attempt {attempt}; its attempts are 1 to {rows[-1].attempt.key.number}",
                code="job.attempt",
                hints=[f"see them: `aiops job attempts {record.job.id}`"],
            )
        key = found.attempt.key
        files = [{"node": node, "size": self._logs.size(key, node)} for node in self._logs.nodes(key)]
        return {**self._standing(record), "log": {**_attempt(found), "files": files}}

    def log(self, caller: Caller, job: str, attempt: int, node: str, offset: int = 0) -> dict[str, Any]:
        """A piece of one log, from `offset` on."""
        record = self._own(caller, job)
        if node not in self._logs.nodes(Key(record.job.id, attempt)):
            return {"data": "", "next": offset}
        begin, data = self._logs.read(Key(record.job.id, attempt), node, max(0, offset), PIECE)
        return {"data": base64.b64encode(data).decode(), "next": begin + len(data)}

    def survey(self, caller: Caller, asks: Any, nodes: Any = None) -> dict[str, Any]:
        """What nodes say, asked as the caller: the asks as documents; nodes by name, none for all.

        Those that are `left` are to be asked for again.
        """
        if self._surveyor is None:
            raise _nobody()
        return self._surveyor.survey(asks_of(asks), names_of(nodes), caller.account).document()

    def status(self, caller: Caller) -> dict[str, Any]:  # noqa: ARG002 - everybody may ask
        """How the controller is."""
        return {**self._status(), "jobs": self._ledger.counts()}

    # Parts

    def _wish(self, caller: Caller, request: Request) -> int:
        number = self._ledger.append(request, caller.account, self._now())
        self._look()
        return number

    def _own(self, caller: Caller, job: str) -> JobRecord:
        """A job of the caller's, or of anybody for an admin.

        Raises:
            NotFoundError: There is none.
            FailedError: It is another's (`job.not_yours`).
        """
        record = self._ledger.record(self._ledger.resolve(job, caller.account.uid))
        if not _may(caller, record):
            raise FailedError(
                f"{record.job.id} is {record.job.owner.user}'s, and you are {caller.account.user}",
                code="job.not_yours",
                hints=["ask its owner, or a member of the group `aiops`"],
            )
        return record

    def _newest(self, caller: Caller) -> str:
        mine = self._ledger.list(last=1, uid=caller.account.uid)
        if not mine:
            raise InputError(
                "you have no job to go on with", code="job.none", hints=["start one: `aiops train job.yml`"]
            )
        return mine[0].id

    def _require_step(self, job: str, step: int) -> None:
        known = self._ledger.checkpoints(job)
        # Those of which it is not known yet are read before anything goes on from them, as all are.
        steps = sorted({int(one["step"]) for one in known if one["step"] is not None and one["verified"] is not False})
        if step not in steps:
            there = f"there are {', '.join(map(str, steps[-5:]))}" if steps else "none is known that may be good"
            raise InputError(
                f"{job} has no checkpoint of step {step} that may be good; {there}",
                code="job.step",
                hints=[f"go on from the newest: `aiops train --resume --job {job}`"],
            )

    def _row(self, caller: Caller, row: JobRow) -> dict[str, Any]:
        shown = {**document(row), "nodes": [node for node in row.nodes.split(",") if node]}
        if not (caller.admin or caller.account.uid == row.uid):
            shown["reason"] = ""
        progress = self._progress(Key(row.id, row.attempt)) if row.attempt and row.state in _STEPPING else None
        return {**shown, "progress": None if progress is None else progress.document()}

    def _standing(self, record: JobRecord, *, whole: bool = True) -> dict[str, Any]:
        attempt = record.attempt
        progress = self._progress(attempt.key) if attempt is not None else None
        return {
            "id": record.job.id,
            "user": record.job.owner.user,
            "state": record.state,
            "since": record.since,
            "reason": record.reason if whole else "",
            "fault": record.fault.kind if record.fault is not None else None,
            "launched": record.launched,
            "step": record.step,
            "attempt": None
            if attempt is None
            else {
                "number": attempt.key.number,
                "engine": attempt.engine,
                "nodes": list(attempt.allocation.nodes),
                "devices": sum(len(slot.devices) for slot in attempt.allocation.slots),
                "resume": attempt.resume if whole else None,
                "step": attempt.step,
            },
            "progress": None if progress is None else progress.document(),
        }


VERBS: Collection[str] = frozenset(
    {
        "submit",
        "plan",
        "cancel",
        "hold",
        "resume",
        "list",
        "show",
        "standing",
        "saving",
        "explain",
        "attempts",
        "logs",
        "log",
        "survey",
        "status",
    }
)


def _nobody() -> ConflictError:
    return ConflictError(
        "no controller runs that could say", code="controller.none", hints=["start one: `aiops controller run`"]
    )


def _may(caller: Caller, record: JobRecord) -> bool:
    return caller.admin or caller.account.uid == record.job.owner.uid


def _attempt(row: AttemptRow, *, whole: bool = True) -> dict[str, Any]:
    attempt = row.attempt
    return {
        "number": attempt.key.number,
        "engine": attempt.engine,
        "nodes": list(attempt.allocation.nodes),
        "resume": attempt.resume if whole else None,
        "step": attempt.step,
        "chosen": row.chosen,
        "ran": row.ran,
        "ended": row.ended,
        "outcome": row.outcome if whole else None,
        "failed": None
        if row.failed_node is None
        else {"node": row.failed_node, "rank": row.failed_rank, "status": row.failed_status},
    }


def _told(one: Told, *, whole: bool) -> dict[str, Any]:
    decision = one.decision
    shown = {
        "number": one.number,
        "at": decision.at,
        "kind": decision.kind,
        "message": decision.message if whole else "",
        "attempt": decision.attempt,
    }
    return {**shown, "evidence": cast("Any", document(decision.evidence))} if whole else shown
