"""Decide: what is to be done next, from everything that is known. Pure: no clock, no random number, no effect.

The controller's tick is `observe -> decide -> write -> act`. Deciding again on the same world gives the same; deciding
on the world after what was decided is written down gives nothing new until something is told or time has passed.
"""

from collections.abc import Iterable
from dataclasses import replace

from .action import Decided
from .asking import answer
from .defects import About
from .draft import Draft
from .ending import end_alone, see_out
from .placement import Policy, PriorityThenAge
from .power_question import ask_power, keep_checked, with_proofs
from .queue import place_all, wait_out
from .record import JobRecord
from .request import Cancel, Hold, job_of
from .roster import HOLDING
from .running import watch_over
from .world import World

_POLICY = PriorityThenAge()


def decide(world: World, now: float, policy: Policy = _POLICY) -> Decided:
    """What one tick comes to.

    Args:
        world: All that is known.
        now: The time, by the steady clock.
        policy: Whose turn it is in the queue.

    Raises:
        OfOneJobError: A defect was met while one job was decided about; without that one (`World.resting`) all others
            can be.
    """
    world = with_proofs(world, now)
    draft = Draft(world, now)
    for request in world.requests:
        with About(job_of(request)):
            answer(draft, request)
    ask_power(draft)
    for job in _looked_at(world, draft):
        record = draft.record(job)
        if record is not None:
            with About(job):
                _tend(draft, record)
    _unknown(draft)
    _hand_over(draft)
    place_all(draft, policy)
    keep_checked(draft)
    return draft.decided()


def decide_end(world: World, now: float, job: str) -> Decided:
    """What is done about one job that rests (`World.resting`), where its owner wants it ended: only that.

    Args:
        world: All that is known.
        now: The time, by the steady clock.
        job: Its id.
    """
    draft = Draft(with_proofs(world, now), now)
    for request in world.requests:
        if isinstance(request, Cancel | Hold) and request.job == job:
            answer(draft, request)
    record = draft.record(job)
    if record is not None and record.stop and record.attempt is not None and record.state in HOLDING:
        end_alone(draft, record, record.attempt)
    return draft.decided()


def _looked_at(world: World, draft: Draft) -> Iterable[str]:
    looked_at = world.roster.active
    if world.touched is not None:
        looked_at &= world.touched | draft.records.keys()
    return sorted(looked_at - world.resting)


def _tend(draft: Draft, record: JobRecord) -> None:
    if record.state == "waiting":
        wait_out(draft, record)
        return
    if record.attempt is None:
        return
    if record.state in {"starting", "running"}:
        record = watch_over(draft, record, record.attempt)
    if record.state == "stopping" and record.attempt is not None:
        see_out(draft, record, record.attempt)


def _unknown(draft: Draft) -> None:
    """Attempts that run and that no record knows, as after a restore from an old backup: no lower number is started."""
    jobs = draft.world.roster.jobs
    for key, track in draft.world.watch.tracks.items():
        known = jobs.get(key.job)
        if known is None or key.number <= known.launched or key.job in draft.world.resting:
            continue
        record = draft.record(key.job)
        if record is None or key.number <= record.launched:
            continue
        record = draft.put(replace(record, launched=key.number))
        if record.state in {"queued", "waiting"} and any(not group.over for group in track.groups.values()):
            reason = f"attempt {key.number} of it runs, which the records do not know"
            draft.say(draft.turn(record, state="held", reason=reason), "job_held", reason)


def _hand_over(draft: Draft) -> None:
    """Whom L1 has taken out of service nobody needs to avoid by himself: it comes back once it is well."""
    places = draft.world.places
    for shape, turns in draft.world.roster.queue.items():
        out = [node for node in shape.avoid if node in places and places[node].closed]
        for _, _, job in turns if out else ():
            record = draft.record(job)
            if record is not None and record.state == "queued" and job not in draft.world.resting:
                left = {node: why for node, why in record.avoid.items() if node not in out}
                gone = {node: why for node, why in record.avoid.items() if node in out}
                draft.put(replace(record, avoid=left, suspects={**record.suspects, **gone}))
