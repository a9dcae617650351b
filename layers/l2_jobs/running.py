"""What becomes of a job whose attempt starts or runs. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from . import lease
from .action import Diagnose, Dump, Examine, Kill, Notify, Release, Stop, Verify
from .attempt import Attempt
from .beginning import begun
from .blame import blame, immediate_fault, node_lost
from .draft import Draft
from .fault.fault import Evidence, Fault, usual_fault
from .fence import Fence, fence
from .hang import doubtful, hang, quiet
from .loss import loss_fault
from .policy import sentence
from .record import JobRecord
from .straggler import straggler
from .track import Track

LOST = lease.FREEZE + lease.BEAT
"""Seconds since a node was last heard, before it is called lost: if it hears nobody it has frozen by then."""

STARTING = 120.0
"""Seconds in which a node that is heard must say that it has started its rank group, or has not."""

ASK_AGAIN = 30.0
"""Seconds between two questions for the same job's checkpoints while it is quiet."""

_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "SUSPENDED", "RESIZING"})
_GONE = frozenset({"PREEMPTED", "TIMEOUT", "DEADLINE", "REVOKED", "CANCELLED", "OUT_OF_MEMORY", "NODE_FAIL"})
_GONE_TOO = frozenset({"BOOT_FAIL", "LAUNCH_FAILED", "RECONFIG_FAIL"})


def watch_over(draft: Draft, record: JobRecord, attempt: Attempt) -> JobRecord:
    """Look after a job that is `starting` or `running`; it is as it is returned afterwards."""
    world, now = draft.world, draft.now
    track = world.watch.track(attempt.key)
    record, held = fenced(draft, record, attempt)
    record = _cut(draft, record, attempt, held)
    if record.stop:
        words = "cancelled" if record.stop == "cancel" else "held"
        return stop_it(draft, record, attempt, f"it is being {words} as its owner has asked")
    if not world.settled:
        return begun(draft, record, attempt, track)
    if not held.running and not held.silent and _all_done(record, attempt, track):
        return _succeed(draft, record, attempt)
    fault = _found(draft, record, attempt, track, held)
    if fault is not None:
        return end_it(draft, record, attempt, held, fault)
    record = begun(draft, record, attempt, track)
    limit = record.job.limits.time
    if limit is not None and record.began is not None and record.ran + now - record.began >= limit:
        record = replace(record, after="failed")
        return stop_it(draft, record, attempt, f"its time limit of {limit:.0f} s is used up")
    return _told(draft, record, attempt, track)


def fenced(draft: Draft, record: JobRecord, attempt: Attempt) -> tuple[JobRecord, Fence]:
    """What of an attempt may still run; which of its nodes were proved off is kept with it."""
    world = draft.world
    held = fence(attempt, world.watch, world.places, world.began, record.off)
    return draft.put(replace(record, off=held.off)) if held.off != record.off else record, held


def stop_it(draft: Draft, record: JobRecord, attempt: Attempt, reason: str) -> JobRecord:
    """Have an attempt save and leave."""
    draft.do(Stop(attempt.key, record.job.limits.stop))
    record = draft.turn(record, state="stopping", reason=reason, asked="stop", asked_at=draft.now)
    draft.say(record, "job_stopping", reason)
    return record


def end_it(draft: Draft, record: JobRecord, attempt: Attempt, held: Fence, fault: Fault) -> JobRecord:
    """End an attempt for a fault, at once; of a hung one the stacks are written first."""
    # What was on its way to a node that is off, or stands in Slurm's queue for it, must not begin once it has power.
    off = tuple(node for node in held.dead if draft.world.watch.node(node).silent is not None)
    nodes = held.running + held.silent + off
    dump = fault.kind == "hang" and bool(held.running)
    if nodes:
        draft.do(Dump(attempt.key) if dump else Kill(attempt.key, nodes))
    draft.do(Diagnose(attempt.key))
    old = draft.now - draft.world.settings.verdict_age / 2
    places = draft.world.places
    stale = [n for n in attempt.allocation.nodes if n in places and (places[n].verdict_at or 0.0) < old]
    stale = [n for n in stale if n not in held.silent and n not in off and not places[n].looking]
    if stale:
        draft.do(Examine(tuple(stale)))
    asked = "" if not nodes else "dump" if dump else "kill"
    record = draft.turn(record, state="stopping", reason=sentence(fault), fault=fault, asked=asked, asked_at=draft.now)
    draft.say(record, "fault_found", sentence(fault), fault_document(fault))
    return record


def fault_document(fault: Fault) -> dict[str, object]:
    """A fault as JSON-ready values."""
    return {
        "class": fault.kind,
        "causer": fault.causer,
        "retryable": fault.retryable,
        "bad_node": fault.bad_node,
        "nodes": list(fault.nodes),
        "evidence": [
            {"source": one.source, "text": one.text, "node": one.node, "rank": one.rank, "line": one.line}
            for one in fault.evidence
        ],
    }


def lost_nodes(draft: Draft, track: Track, held: Fence) -> Mapping[str, str]:
    """Nodes of an attempt that are lost: proved, or not heard by the head and missed by every peer that is heard."""
    if not held.dead and not held.silent:
        return {}
    lost = dict(held.dead)
    watch, now = draft.world.watch, draft.now
    peers = [node for node in held.running if watch.node(node).up and track.group(node).started is not None]
    if not held.running and held.over and held.until is not None:
        # All others have told their end, so nobody is left who could miss it. Where they have all done their work it
        # has too, most likely, and will say so once it is heard.
        ends = [track.group(node).ended for node in held.over]
        done = all(one is not None and one.end == "done" for one in ends)
        if now >= held.until + (lease.PEERS_ONLY if done else 0.0):
            alone = [node for node in held.silent if node not in draft.cascade]
            lost |= dict.fromkeys(alone, "all others have ended, and it is silent beyond its lease")
        return lost
    for node in held.silent:
        hearing = watch.node(node)
        last = max(hearing.heard or draft.world.began, draft.world.began)
        if not peers or now - last < LOST or node in draft.cascade:
            continue
        if all(node in track.group(peer).misses for peer in peers):
            lost[node] = f"neither the head nor {', '.join(peers[:4])} has heard it for {now - last:.1f} s"
    return lost


def _cut(draft: Draft, record: JobRecord, attempt: Attempt, held: Fence) -> JobRecord:
    """Note that the head hears nobody of a job: that is the head's trouble, and nothing is done about the job."""
    unavailable = draft.world.watch.engines.get(attempt.engine)
    nobody = bool(held.silent) and not held.running
    if nobody or unavailable is not None:
        if record.cut is None:
            names = ", ".join(held.silent[:4])
            why = draft.world.watch.node(held.silent[0]).reason if nobody else ""
            words = f"the head hears nothing of {names}" if nobody else f"{attempt.engine} cannot be asked"
            words += f" ({why})" if why else ""
            first = all(one.cut is None for one in draft.world.roster.jobs.values()) and not any(
                one.cut is not None for one in draft.records.values()
            )
            record = draft.put(replace(record, cut=draft.now))
            draft.say(record, "control_plane_lost", f"{words}: it goes on, nothing is restarted or drained for that")
            if first:
                draft.do(Notify(record.job.id, f"{words}: jobs go on, nothing is restarted or drained for that"))
    elif record.cut is not None:
        away = draft.now - record.cut
        record = draft.put(replace(record, cut=None))
        # One that is proved to be off is waited for no longer, and not heard either.
        if any(draft.world.watch.node(node).silent is None for node in attempt.allocation.nodes):
            draft.say(record, "control_plane_back", f"it is heard again after {away:.0f} s")
    return record


def _all_done(record: JobRecord, attempt: Attempt, track: Track) -> bool:
    ends = [track.group(node).ended for node in attempt.allocation.nodes]
    done = all(one is not None and one.end == "done" for one in ends)
    return done and record.job.kind == "batch" and not any(e.status for g in track.groups.values() for e in g.exits)


def _succeed(draft: Draft, record: JobRecord, attempt: Attempt) -> JobRecord:
    began = record.began if record.began is not None else record.since
    draft.do(Release(attempt.key))
    record = draft.turn(
        record,
        state="succeeded",
        reason="all of its processes ended with 0",
        ran=record.ran + draft.now - began,
        ended=draft.now,
        fault=None,
        cut=None,
    )
    draft.say(record, "job_succeeded", record.reason, {"attempts": record.launched, "seconds": round(record.ran, 1)})
    draft.do(Notify(record.job.id, f"succeeded after {record.launched} attempts"))
    return record


def _found(  # noqa: PLR0911 - one return for each way to find one
    draft: Draft, record: JobRecord, attempt: Attempt, track: Track, held: Fence
) -> Fault | None:
    """The fault of an attempt that starts or runs, as far as it shows by now."""
    world, now = draft.world, draft.now
    watch = world.watch
    lost = lost_nodes(draft, track, held)
    if lost:
        return blame(attempt, watch, world.places, lost, now, seen=node_lost(lost, now))
    groups = [track.group(node) for node in attempt.allocation.nodes]
    bad = any(g.refused is not None or (g.ended is not None and g.ended.end != "done") for g in groups)
    bad = bad or any(one.status != 0 for g in groups for one in g.exits)
    state = track.scheduled.state if track.scheduled is not None else ""
    ended = not held.running and not held.silent
    if bad or ended or state in _GONE or state in _GONE_TOO:
        return blame(attempt, watch, world.places, {}, now)
    began = record.began if record.began is not None else record.since
    fault = immediate_fault(attempt, watch, record.since if record.began is None else record.began, now)
    if fault is not None:
        return fault
    if record.state == "starting":
        return _late(record, attempt, track, held, now)
    if record.job.kind == "service":
        return _unready(record, track, began, now)
    fault = loss_fault(track.pace, now)
    if fault is not None:
        return fault
    seen = quiet(record.job, track, watch, began, now, before=record.step_seconds)
    return None if seen is None else hang(record.job, seen, world.shelves.get(record.job.id), now)


def _late(record: JobRecord, attempt: Attempt, track: Track, held: Fence, now: float) -> Fault | None:
    if now - record.since < STARTING or record.cut is not None:
        return None
    if attempt.engine == "slurm" and (track.scheduled is None or track.scheduled.state in _WAITING):
        return None
    late = [node for node in held.running if track.group(node).started is None]
    if not late:
        return None
    text = f"it has not said within {STARTING:.0f} s that it has started"
    return usual_fault("process_exit", now, nodes=late, evidence=[Evidence("agent", text, late[0], at=now)])


def _unready(record: JobRecord, track: Track, began: float, now: float) -> Fault | None:
    service = record.job.service
    if service is None or not service.ready or track.ready is not None or record.cut is not None:
        return None
    since = began if track.unready is None else track.unready
    if now - since <= service.ready_seconds:
        return None
    text = f"it was not ready for {now - since:.0f} s"
    return usual_fault("hang", now, evidence=[Evidence("agent", text, at=now)])


def _told(draft: Draft, record: JobRecord, attempt: Attempt, track: Track) -> JobRecord:
    """What is told once of an attempt, and the question whether the storage of a quiet one answers."""
    now = draft.now
    going = track.pace.stepped or track.ready is not None
    again = bool(record.past) and record.past[-1].number == attempt.key.number - 1
    if going and again and "recovered" not in record.told:
        record = draft.put(replace(record, told=(*record.told, "recovered")))
        words = f"goes on since step {track.pace.began}" if track.pace.stepped else "is ready again"
        draft.say(record, "job_recovered", words)
        draft.do(Notify(record.job.id, f"{words}, after {record.past[-1].kind}"))
    slow = straggler(track.pace, now)
    if slow is not None and "straggler" not in record.told:
        record = draft.put(replace(record, told=(*record.told, "straggler")))
        draft.say(record, "straggler_found", sentence(slow), fault_document(slow))
    if slow is not None and record.job.spares and _spare(draft, attempt):
        record = replace(record, fault=slow)
        return stop_it(draft, record, attempt, f"goes on without a slow node: {sentence(slow)}")
    if record.job.checkpoint is not None and record.began is not None and record.job.kind == "batch":
        seen = quiet(record.job, track, draft.world.watch, record.began, now, before=record.step_seconds)
        if seen is not None and doubtful(seen):
            shelf = draft.world.shelves.get(record.job.id)
            fresh = shelf is not None and shelf.looked >= seen.since
            asked = record.asked_at is not None and record.asked_at >= max(seen.since, now - ASK_AGAIN)
            if not asked and (not fresh or seen.seconds > seen.limit):
                draft.do(Verify(record.job.id, live=True))
                record = draft.put(replace(record, asked_at=now))
    return record


def _spare(draft: Draft, attempt: Attempt) -> bool:
    """Whether a well node stands by that could take the place of one; where none is known to be, one is looked at."""
    world = draft.world
    oldest = draft.now - world.settings.verdict_age
    mine = {(p.engine, p.vendor) for node in attempt.allocation.nodes if (p := world.places.get(node)) is not None}
    most = max(len(slot.devices) for slot in attempt.allocation.slots)
    able = [
        place
        for name, place in sorted(world.places.items())
        if (place.engine, place.vendor) in mine
        and not place.closed
        and place.off is None
        and world.watch.node(name).silent is None
        and len(place.devices) >= most
        and name not in world.roster.users
    ]
    stale = [place for place in able if (place.verdict_at or 0.0) < oldest]
    if any(place.verdict in {"ok", "warn"} for place in able if place not in stale):
        return True
    if stale and not any(place.looking for place in stale):
        draft.do(Examine((stale[0].name,)))
    return False
