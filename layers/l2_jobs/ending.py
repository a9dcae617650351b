"""What becomes of a job whose attempt is being ended, and once nothing of it can write any more. Pure."""

from dataclasses import replace

from .action import Diagnose, Examine, Kill, Notify, Release, Verify
from .attempt import Attempt
from .blame import blame
from .checkpoint.checkpoint import Checkpoint, newest
from .draft import Draft
from .fault.fault import Fault
from .fence import Fence
from .pair_trial import try_pairs
from .policy import MISHAPS_KEPT, Next, sentence, what_next
from .record import JobRecord, Mishap
from .running import fault_document, fenced
from .shelf import Shelf

DUMP = 2.0
"""Seconds in which the stacks of a hung attempt are written."""

GRACE = 5.0
"""Seconds beyond those that a job has to leave, in which its launcher ends what is left by itself."""

AGAIN = 5.0
"""Seconds after which what still runs is ended once more: the word may not have come through."""

DIAGNOSIS = 10.0
"""Seconds in which the logs of an attempt are read, or it is judged without them."""

ASK_AGAIN = 30.0
"""Seconds after which a question that was not answered is asked once more."""

SERVED = 60.0
"""Seconds that a service must have been ready for its attempt to count as progress; that it ran, without a probe."""

EARLY = 1800.0
"""Seconds after which an attempt that tells no steps is no longer taken for one that failed before its first."""


def see_out(draft: Draft, record: JobRecord, attempt: Attempt) -> JobRecord:
    """Look after a job that is `stopping`; it is as it is returned afterwards."""
    record, held = fenced(draft, record, attempt)
    if record.ended is None and not held.closed(draft.now):
        return _press(draft, record, attempt, held)
    asks = not (record.stop or record.after is not None)
    if record.ended is None:
        record = draft.put(replace(record, ended=draft.now, asked_at=draft.now, cut=None))
        if asks:
            _ask(draft, record, attempt)
    if asks and not _answered(draft, record, attempt):
        if record.asked_at is not None and draft.now - record.asked_at >= ASK_AGAIN:
            record = draft.put(replace(record, asked_at=draft.now))
            _ask(draft, record, attempt)
        return record
    return _close(draft, record, attempt, held)


def end_alone(draft: Draft, record: JobRecord, attempt: Attempt) -> JobRecord:
    """End what runs of a job as its owner has asked, looking at as little of it as can be.

    It is for one about which nothing else can be decided: to be ended it need not be understood, but its nodes are
    given to nobody before nothing of it can write.
    """
    now = draft.now
    if record.state != "stopping":
        words = "cancelled" if record.stop == "cancel" else "held"
        reason = f"it is being {words} as its owner has asked, at once"
        record = draft.turn(record, state="stopping", reason=reason, asked="", asked_at=None)
        draft.say(record, "job_stopping", reason)
    if record.asked_at is None or now - record.asked_at >= _patience(record):
        draft.do(Kill(attempt.key, attempt.allocation.nodes))
        return draft.put(replace(record, asked="kill", asked_at=now))
    record, held = fenced(draft, record, attempt)
    if not held.closed(now):
        return record
    return _close(draft, replace(record, ended=now if record.ended is None else record.ended), attempt, held)


def _patience(record: JobRecord) -> float:
    """Seconds from what its attempt was asked last to the word that ends it."""
    return {"": 0.0, "dump": DUMP, "stop": record.job.limits.stop + GRACE, "kill": AGAIN}[record.asked]


def _press(draft: Draft, record: JobRecord, attempt: Attempt, held: Fence) -> JobRecord:
    """End what still runs; tell what is waited for."""
    now = draft.now
    since = now - (record.asked_at if record.asked_at is not None else now)
    if held.running and since >= _patience(record):
        draft.do(Kill(attempt.key, held.running))
        record = draft.put(replace(record, asked="kill", asked_at=now))
    elif not held.running and held.silent:
        names = ", ".join(held.silent[:4])
        if held.until is not None:
            reason = f"waits until the lease of {names} has ended"
        else:
            reason = f"{names} does not answer: nothing is started elsewhere before it does, or is proved to be off"
        record = draft.put(replace(record, reason=reason))
    return record


def _ask(draft: Draft, record: JobRecord, attempt: Attempt) -> None:
    if record.fault is not None and attempt.key not in draft.world.diagnoses:
        draft.do(Diagnose(attempt.key))
    if record.job.checkpoint is not None:
        draft.do(Verify(record.job.id))


def _answered(draft: Draft, record: JobRecord, attempt: Attempt) -> bool:
    """Whether all is known that the next step rests on."""
    ended = record.ended if record.ended is not None else draft.now
    read = attempt.key in draft.world.diagnoses or draft.now - ended >= DIAGNOSIS
    shelf = draft.world.shelves.get(record.job.id)
    looked = record.job.checkpoint is None or (shelf is not None and not shelf.live and shelf.looked >= ended)
    return read and looked


def _close(draft: Draft, record: JobRecord, attempt: Attempt, held: Fence) -> JobRecord:
    """Nothing of the attempt runs: what becomes of its job?"""
    began = record.began
    ran = max(0.0, (record.ended or draft.now) - began) if began is not None else 0.0
    cleared = replace(
        record,
        ran=record.ran + ran,
        asked="",
        asked_at=None,
        after=None,
        told=(),
        powered={},
        off={},
        cut=None,
        until=None,
        began=None,
    )
    draft.do(Release(attempt.key))
    if record.stop:
        state = "cancelled" if record.stop == "cancel" else "held"
        done = draft.turn(cleared, state=state, reason=f"{state} by its owner", stop="", fault=None)
        draft.say(done, f"job_{state}", done.reason)
        return done
    if record.after is not None:
        done = draft.turn(cleared, state=record.after)
        draft.say(done, f"job_{record.after}", done.reason)
        draft.do(Notify(done.job.id, f"{record.after}: {done.reason}"))
        return done
    fault = _fault(draft, record, attempt, held)
    shelf = draft.world.shelves.get(record.job.id) if record.job.checkpoint is not None else None
    return _go_on(draft, cleared, attempt, fault=fault, shelf=shelf, ran=ran)


def _fault(draft: Draft, record: JobRecord, attempt: Attempt, held: Fence) -> Fault:
    world = draft.world
    lost = dict(held.dead)
    for node in held.silent:
        if node not in draft.cascade:
            lost[node] = "it is silent, and its lease has ended"
    return blame(
        attempt,
        world.watch,
        world.places,
        lost,
        draft.now,
        seen=record.fault,
        diagnosis=world.diagnoses.get(attempt.key),
        asked_at=record.since if record.asked else None,
    )


def _go_on(
    draft: Draft, record: JobRecord, attempt: Attempt, *, fault: Fault, shelf: Shelf | None, ran: float
) -> JobRecord:
    track = draft.world.watch.track(attempt.key)
    best = _best(shelf, None)
    step = best.step if best is not None else None
    newer = step is not None and (record.step is None or step > record.step)
    newer = newer and (attempt.step is None or (step or 0) > attempt.step)
    if record.job.kind == "service":
        served = track.served + (draft.now - track.ready if track.ready is not None else 0.0)
        probed = record.job.service is not None and bool(record.job.service.ready)
        newer = (served if probed else ran) >= SERVED
    stepped = track.pace.stepped or ran > EARLY
    status = next((e.status for g in track.groups.values() for e in g.exits if e.status), None)
    status = status or next((g.ended.status for g in track.groups.values() if g.ended and g.ended.status), None)
    record = replace(record, step=step if newer else record.step)
    then = what_next(
        record,
        attempt,
        fault,
        stepped=stepped,
        newer=newer,
        status=status,
        budget=draft.world.settings.budget,
    )
    mishap = Mishap(
        attempt.key.number, fault.kind, fault.causer, fault.nodes, stepped, then.counted, status, track.pace.median
    )
    used = dict(record.used)
    if then.charge is not None:
        used[then.charge] = used.get(then.charge, 0) + 1
    suspects = then.suspects if newer else {**record.suspects, **then.suspects}
    record = replace(
        record,
        fault=fault,
        used=used,
        stalled=0 if newer else record.stalled + (1 if then.counted else 0),
        avoid={**record.avoid, **then.avoid},
        suspects=suspects,
        past=(*record.past, mishap)[-MISHAPS_KEPT:],
        until=draft.now + then.wait if then.state == "waiting" else None,
        below=None,
    )
    record = _shelve(draft, record, then, shelf)
    return try_pairs(draft, _enter(draft, record, fault, then), attempt)


def _shelve(draft: Draft, record: JobRecord, then: Next, shelf: Shelf | None) -> JobRecord:
    """Set aside what does not verify, or what is gone back behind, and say from what the next attempt goes on."""
    if shelf is None or shelf.problem:
        return record
    below = then.below
    if below is not None and _best(shelf, below) is None and not then.reject:
        below = None  # going back to nothing would lose all; the one checkpoint that there is has verified
    for one in shelf.checkpoints:
        back = below is not None and one.proved and (one.step is None or one.step >= below)
        why = one.why or "it was still being saved when its attempt ended"
        if one.state in {"bad", "unfinished"} or back:
            why = sentence(record.fault) if back and record.fault is not None else why
            draft.set_aside(record, one, why, verifies=back)
    best = _best(shelf, below)
    step = best.step if best is not None else None
    if below is not None:
        record = replace(record, step=step, below=below)
    exact = None
    if best is not None and not best.elastic and best.world_size is not None:
        exact, rest = divmod(best.world_size, record.job.processes)
        exact = exact if rest == 0 and record.job.nodes.least <= exact <= record.job.nodes.most else None
    return replace(record, exact=exact)


def _enter(draft: Draft, record: JobRecord, fault: Fault, then: Next) -> JobRecord:
    evidence = {**fault_document(fault), "stalled": record.stalled, "used": dict(record.used)}
    record = draft.turn(record, state=then.state, reason=then.reason)
    kinds = {"queued": "job_requeued", "waiting": "job_waiting", "held": "job_held", "failed": "job_failed"}
    draft.say(record, kinds[then.state], then.reason, evidence)
    places = draft.world.places
    unsure = [n for n in fault.nodes if fault.bad_node and n not in then.drain and n in places]
    if unsure:
        draft.do(Examine(tuple(unsure)))
    for node, why in then.drain.items():
        if node in draft.cascade:
            continue
        draft.drain(record, node, why)
    if then.state in {"held", "failed"}:
        draft.do(Notify(record.job.id, f"{then.state}: {then.reason}"))
    return record


def _best(shelf: Shelf | None, below: int | None) -> Checkpoint | None:
    """The checkpoint to go on from; one without a step is none, for nobody could say whether it is newer."""
    if shelf is None:
        return None
    able = (one for one in shelf.checkpoints if one.step is not None and (below is None or one.step < below))
    return newest(able)
