"""What clients ask of the controller, and what becomes of the jobs it is about. Pure."""

from dataclasses import replace
from typing import Literal

from .draft import Draft
from .record import OVER, JobRecord, JobState
from .request import Cancel, Hold, Request, Resume, Submit


def answer(draft: Draft, request: Request) -> None:
    """Do what is asked, where it can be done. Asking twice is harmless."""
    if isinstance(request, Submit):
        _submit(draft, request)
        return
    record = draft.record(request.job) or draft.world.over.get(request.job)
    if record is None:
        return
    match request:
        case Cancel():
            _stop(draft, record, request)
        case Hold():
            _stop(draft, record, request)
        case Resume():
            _resume(draft, record, request)


def _submit(draft: Draft, request: Submit) -> None:
    job = request.job
    if draft.record(job.id) is not None or job.id in draft.world.over:
        return
    record = draft.put(JobRecord(job, "queued", draft.now, "waits for its turn"))
    draft.say(record, "job_submitted", f"by {job.owner.user}")


def _stop(draft: Draft, record: JobRecord, request: Cancel | Hold) -> None:
    verb: Literal["cancel", "hold"] = "cancel" if isinstance(request, Cancel) else "hold"
    state: JobState = "cancelled" if isinstance(request, Cancel) else "held"
    if record.state in OVER or record.state == state or record.stop in {"cancel", verb}:
        return
    if record.trial is not None:  # something of it runs on their nodes: they are nobody else's before that has ended
        reason = f"it is being {state} as its owner has asked: the test of its nodes ends first"
        record = draft.put(replace(record, stop=verb, reason=reason))
        draft.say(record, f"{verb}_asked", f"by {request.by.user}")
        return
    if record.state in {"queued", "waiting", "held"}:
        done = draft.turn(record, state=state, reason=f"{state} by {request.by.user}", until=None, stop="")
        draft.say(done, f"job_{state}", done.reason)
        return
    record = draft.put(replace(record, stop=verb))
    draft.say(record, f"{verb}_asked", f"by {request.by.user}")


def _resume(draft: Draft, record: JobRecord, request: Resume) -> None:
    if record.state not in OVER and record.state != "held":
        return
    done = draft.turn(
        record,
        state="queued",
        reason="waits for its turn",
        stalled=0,
        used={},
        avoid={},
        suspects={},
        past=(),
        stop="",
        after=None,
        until=None,
        fault=None,
        asked="",
        asked_at=None,
        exact=None,
        trial=None,
        ran=0.0 if record.state in OVER else record.ran,
        below=None if request.step is None else request.step + 1,
    )
    at = "its newest verified checkpoint" if request.step is None else f"the checkpoint of step {request.step}"
    draft.say(done, "job_resumed", f"by {request.by.user}, from {at}")
