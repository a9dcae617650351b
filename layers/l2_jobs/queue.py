"""The queue's turn in a tick: waiting jobs that may go on, and queued ones that find room. Pure."""

import hashlib
from dataclasses import replace

from .action import Examine, Launch, Notify, Verify
from .allocation import Allocation
from .attempt import Attempt, Key
from .beginning import being_started
from .checkpoint.checkpoint import Checkpoint, Wanted, fits, newest
from .defects import About
from .draft import Draft
from .ground import Ground
from .pair_trial import try_on
from .placement import Order, Placement, Policy
from .policy import WAIT_MOST
from .record import JobRecord
from .shape import Shape
from .spec import PORTS

ASK_AGAIN = 30.0


def wait_out(draft: Draft, record: JobRecord) -> JobRecord:
    """Look after a `waiting` job: the test of its nodes, its back-off, and the storage that it waits for."""
    now = draft.now
    if record.trial is not None:
        record = try_on(draft, record, record.trial)
        if record.trial is not None or record.state != "waiting":
            return record
    until = record.until if record.until is not None else now
    if now < until:
        return record
    storage = bool(record.past) and record.past[-1].causer == "storage"
    if not storage or record.job.checkpoint is None:
        return draft.turn(record, state="queued", reason="waits for its turn", until=None, asked_at=None)
    shelf = draft.world.shelves.get(record.job.id)
    if shelf is None or shelf.live or shelf.looked < until:
        if record.asked_at is None or record.asked_at < until or now - record.asked_at >= ASK_AGAIN:
            draft.do(Verify(record.job.id))
            record = draft.put(replace(record, asked_at=now))
        return record
    if shelf.problem:
        wait = min(2 * max(until - record.since, 1.0), WAIT_MOST)
        return draft.turn(record, reason=f"waits for the storage: {shelf.problem}", until=now + wait)
    record = draft.turn(record, state="queued", reason="waits for its turn", until=None, asked_at=None)
    draft.say(record, "storage_back", "its storage answers again")
    return record


def place_all(draft: Draft, policy: Policy) -> None:
    """Start the queued jobs that find room, in the order of `policy`."""
    roster = draft.world.roster
    if draft.records:
        roster = roster.after(draft.records.values())
    if not draft.world.settled or not roster.queue:
        return
    world = draft.world
    ground = Ground.of(world.places, roster, world.watch, world.settings, draft.now)
    placement = Placement(ground, _spares(draft))
    examine: list[str] = []
    order = policy.order(roster)
    for turn, shape in order:
        record = roster.jobs[turn[2]]
        if record.job.id in world.resting:
            continue
        with About(record.job.id):
            reason = policy.may_start(record) or _unready(draft, record)
            if reason:
                draft.put(replace(draft.record(record.job.id) or record, reason=reason))
            else:
                examine += _seek(draft, placement, order, record, shape)
    if examine:
        draft.do(Examine(tuple(sorted(set(examine)))))


def _seek(draft: Draft, placement: Placement, order: Order, record: JobRecord, shape: Shape) -> tuple[str, ...]:
    """Start a job where there is room for it; the nodes that must be looked at before."""
    room = placement.place(record, shape)
    if room.allocation is not None:
        _launch(draft, record, room.allocation)
    elif room.waits:
        return room.examine
    else:
        order.skip(shape)
        draft.put(replace(record, reason=room.reason))
    return ()


def _spares(draft: Draft) -> dict[str, int]:
    """Nodes that first starts leave free, by engine: the site's, and those that jobs which run have asked for."""
    world = draft.world
    engines = {place.engine for place in world.places.values()}
    spares: dict[str, int] = dict.fromkeys(engines, world.settings.spares)
    for job in world.roster.active:
        record = world.roster.jobs[job]
        if record.job.spares and record.attempt is not None:
            spares[record.attempt.engine] = spares.get(record.attempt.engine, 0) + record.job.spares
    return spares


def _unready(draft: Draft, record: JobRecord) -> str:
    """Why a job cannot go on yet, whatever room there is; empty where it can."""
    if not _goes_on(record):
        return ""
    shelf = draft.world.shelves.get(record.job.id)
    since = record.ended if record.ended is not None else record.since
    looked = shelf is not None and not shelf.live and shelf.looked >= since
    if shelf is not None and looked and not shelf.problem:
        return ""
    if record.asked_at is None or draft.now - record.asked_at >= ASK_AGAIN:
        draft.do(Verify(record.job.id))
        draft.put(replace(record, asked_at=draft.now))
    if shelf is not None and looked:
        return f"waits for the storage: {shelf.problem}"
    return "its checkpoints are being verified"


def _left_behind(draft: Draft, record: JobRecord, best: Checkpoint | None) -> None:
    """Who goes back to a step leaves what comes after it: the next restart must not find it, and undo that."""
    shelf = draft.world.shelves.get(record.job.id)
    if record.below is None or best is None or shelf is None:
        return
    why = f"its owner has gone back to step {best.step}"
    for one in shelf.checkpoints:
        if one.proved and one.step is not None and one.step >= record.below:
            draft.set_aside(record, one, why, verifies=True)


def _launch(draft: Draft, record: JobRecord, allocation: Allocation) -> None:
    world = draft.world
    key = Key(record.job.id, record.launched + 1)
    place = world.places[allocation.slots[0].node]
    best, problem = _chosen(draft, record, allocation)
    if problem:
        held = draft.turn(record, state="held", reason=problem)
        draft.say(held, "job_held", problem)
        draft.do(Notify(record.job.id, f"held: {problem}"))
        return
    attempt = Attempt(
        key,
        place.engine,
        allocation,
        _port(draft, key, allocation),
        best.path if best is not None else None,
        best.step if best is not None else None,
        hashlib.sha256(f"{world.seed}:secret:{key}".encode()).hexdigest(),
    )
    before = record.attempt.allocation.nodes if record.attempt is not None else ()
    started = draft.turn(
        record,
        state="starting",
        reason=being_started(key.number),
        attempt=attempt,
        launched=key.number,
        fault=None,
        began=None,
        ended=None,
        asked="",
        asked_at=None,
        below=None,
        cut=None,
    )
    _left_behind(draft, record, best)
    draft.do(Launch(attempt))
    if before and set(before) != set(allocation.nodes):
        gone, new = sorted(set(before) - set(allocation.nodes)), sorted(set(allocation.nodes) - set(before))
        words = (
            f"{', '.join(new)} in place of {', '.join(gone)}" if new and gone else f"on {', '.join(allocation.nodes)}"
        )
        draft.say(started, "node_replaced", words, {"before": gone, "after": new})
    at = "from the beginning" if best is None else f"from step {best.step}"
    evidence = {
        "nodes": list(allocation.nodes),
        "checkpoint": best.path if best is not None else None,
        "step": best.step if best is not None else None,
        "verdicts": {name: _verdict(draft, name) for name in allocation.nodes[:64]},
        "avoided": dict(record.avoid),
        "suspects": dict(record.suspects),
    }
    draft.say(started, "job_started", f"attempt {key.number} on {', '.join(allocation.nodes[:8])}, {at}", evidence)


def _verdict(draft: Draft, name: str) -> str:
    place = draft.world.places[name]
    age = draft.now - (place.verdict_at if place.verdict_at is not None else draft.now)
    return f"{place.verdict}, {age:.0f} s old"


def _goes_on(record: JobRecord) -> bool:
    """Whether it may begin with a checkpoint: its own, or one that was there before it where it says so."""
    plan = record.job.checkpoint
    return plan is not None and (plan.resume or record.launched > 0)


def _chosen(draft: Draft, record: JobRecord, allocation: Allocation) -> tuple[Checkpoint | None, str]:
    """The checkpoint to go on from; or why there is none that this job can read."""
    if not _goes_on(record):
        return None, ""
    shelf = draft.world.shelves[record.job.id]
    able = [one for one in shelf.checkpoints if one.proved and one.step is not None]
    able = [one for one in able if record.below is None or (one.step or 0) < record.below]
    best = newest(able)
    if best is None and record.launched == 0:
        return None, "it is to go on from a checkpoint that is there, and none of them verifies"
    if best is None or record.job.checkpoint is None:
        return None, ""
    problem = fits(best, Wanted(record.job.checkpoint.format, len(allocation.slots) * record.job.processes))
    return (None, problem.message) if problem is not None else (best, "")


def _port(draft: Draft, key: Key, allocation: Allocation) -> int:
    """The first of an attempt's own ports on each of its nodes; nothing of ours has had it there of late."""
    first, last = draft.world.settings.ports
    blocks = (last - first) // PORTS
    given: set[int] = set()
    for node in allocation.nodes:
        given |= draft.world.ports.get(node, frozenset())
        for job in draft.world.roster.users.get(node, frozenset()):
            attempt = draft.world.roster.jobs[job].attempt
            if attempt is not None:
                given.add(attempt.port)
    taken = {(port - first) // PORTS for port in given}
    drawn = hashlib.sha256(f"{draft.world.seed}:port:{key}".encode()).digest()
    at = int.from_bytes(drawn[:8], "big") % blocks
    while at in taken and len(taken) < blocks:
        at = (at + 1) % blocks
    return first + at * PORTS
