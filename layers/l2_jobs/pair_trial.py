"""The pair test of a job's nodes, between two of its attempts: when there is one, and what follows from it. Pure.

It comes after the second fault in a row that lies between nodes and has left no newer checkpoint. After the first one
the job is started again at once: most such faults do not come back, and their restarts wait for no test. The job keeps
its nodes meanwhile, also when it is cancelled or held: they are let go once the test was answered, or its time is over.
Whatever becomes of the test, the job goes on after a minute at most.
"""

from collections.abc import Sequence
from dataclasses import replace

from .action import Examine, Notify, TryPairs
from .allocation import Slot
from .attempt import Attempt, Key
from .blame import AMBIGUOUS
from .draft import Draft
from .node import Place
from .pair_test import PairResult, PairVerdict, Trial, judge, next_round
from .record import JobRecord, JobState

SECONDS = 60.0
"""Of all rounds together; then the job goes on as it would without."""

AGAIN = 25.0
"""Seconds after which a round that was not answered is asked for once more."""

SPARES = 2
"""Other nodes that serve as partners where no pair passes: so many let each of two nodes be told."""

IN_A_ROW = 2
_SUSPECTS = 2
_SHOWN = 3


def try_pairs(draft: Draft, record: JobRecord, attempt: Attempt) -> JobRecord:
    """Begin a test of the nodes of an attempt that has just ended, where there is reason to."""
    if record.state not in {"queued", "waiting"} or not _ambiguous(record):
        return record
    slots = tuple(slot for slot in attempt.allocation.slots if _answers(draft, slot.node))
    if len(slots) < _SUSPECTS:
        return record
    trial = Trial(draft.now, tuple(slot.node for slot in slots), slots)
    if len(slots) == _SUSPECTS:  # of two that fail neither can be told without others, which must be well
        oldest = draft.now - draft.world.settings.verdict_age
        able = _unused(draft, record, trial)[: 2 * SPARES]
        stale = [place for place in able if (place.verdict_at or 0.0) < oldest and not place.looking]
        if stale:
            draft.do(Examine(tuple(sorted(place.name for place in stale))))
    words = f"{record.reason}; its nodes are tested in pairs first"
    record = draft.turn(record, state="waiting", reason=words, trial=trial)
    return _next(draft, record, trial)


def try_on(draft: Draft, record: JobRecord, trial: Trial) -> JobRecord:
    """Look after a test that is under way; the record has none any more once it is over."""
    now = draft.now
    shared = _shared(draft, record, trial)
    if shared != trial.shared:
        trial = replace(trial, shared=shared)
        record = draft.put(replace(record, trial=trial))
    came = draft.world.paired.get(record.job.id)
    answered = came is not None and (came.attempt, came.number) == (record.launched, trial.number)
    if record.stop:
        # What an earlier controller had begun may still run, and is not what was answered.
        over = answered and trial.asked_at >= draft.world.began
        return _stop(draft, record) if over or now - trial.began >= SECONDS else record
    if came is not None and answered:
        trial = replace(trial, results=(*trial.results, *came.results))
        return _next(draft, draft.put(replace(record, trial=trial)), trial)
    if now - trial.began >= SECONDS:
        return _conclude(draft, record, trial, late=True)
    if now - trial.asked_at >= AGAIN:
        return _ask(draft, record, trial)
    return record


def _shared(draft: Draft, record: JobRecord, trial: Trial) -> tuple[str, ...]:
    users = draft.world.roster.users
    others = {slot.node for slot in trial.slots if users.get(slot.node, frozenset()) - {record.job.id}}
    return tuple(sorted(others.union(trial.shared)))


def _stop(draft: Draft, record: JobRecord) -> JobRecord:
    """Its owner has asked for that meanwhile, and nothing of the test runs any more: its nodes are let go."""
    state: JobState = "cancelled" if record.stop == "cancel" else "held"
    done = draft.turn(
        record, state=state, reason=f"{state} by its owner", stop="", trial=None, until=None, asked_at=None
    )
    draft.say(done, f"job_{state}", done.reason)
    return done


def _ambiguous(record: JobRecord) -> bool:
    """Whether the last faults lie between nodes, in a row and without a newer checkpoint, and no node is proved bad."""
    if record.fault is None or record.fault.bad_node or not record.stalled:
        return False
    last = record.past[-IN_A_ROW:]
    return len(last) == IN_A_ROW and all(one.kind in AMBIGUOUS for one in last)


def _answers(draft: Draft, node: str) -> bool:
    """Whether a node is in service and heard. Slurm's are not tested: it gives them away as soon as they are free."""
    place = draft.world.places.get(node)
    if place is None or place.engine != "ssh" or place.closed or place.off is not None:
        return False
    return draft.world.watch.node(node).silent is None


def _next(draft: Draft, record: JobRecord, trial: Trial) -> JobRecord:
    """Begin the next round; or the test is over."""
    late = draft.now - trial.began >= SECONDS
    pairs = next_round(trial.suspects, trial.spares, trial.results)
    if not pairs and not trial.spares and not any(one.passed for one in trial.results):
        spares = _spares(draft, record, trial)
        slots = (*trial.slots, *(Slot(one.name, one.devices) for one in spares))
        trial = replace(trial, spares=tuple(one.name for one in spares), slots=slots)
        pairs = next_round(trial.suspects, trial.spares, trial.results)
    if not pairs or late:
        return _conclude(draft, record, trial, late=late and bool(pairs))
    return _ask(draft, record, replace(trial, number=trial.number + 1, pairs=pairs))


def _ask(draft: Draft, record: JobRecord, trial: Trial) -> JobRecord:
    assert record.attempt is not None  # noqa: S101 - it is the nodes of an attempt that are tested
    draft.do(TryPairs(Key(record.job.id, record.launched), trial.number, trial.pairs, record.attempt.port))
    return draft.put(replace(record, trial=replace(trial, asked_at=draft.now)))


def _spares(draft: Draft, record: JobRecord, trial: Trial) -> list[Place]:
    """Those of the nodes that nobody uses which are well."""
    return [one for one in _unused(draft, record, trial) if one.verdict in {"ok", "warn"}][:SPARES]


def _unused(draft: Draft, record: JobRecord, trial: Trial) -> list[Place]:
    """Nodes of the same kind that nobody uses."""
    world = draft.world
    first = world.places.get(trial.suspects[0])
    if first is None:
        return []
    users = world.roster.after(draft.records.values()).users
    able = [
        place
        for name, place in sorted(world.places.items())
        if (place.engine, place.vendor) == (first.engine, first.vendor)
        and name not in users
        and name not in trial.suspects
        and name not in record.avoid
        and _answers(draft, name)
    ]
    return sorted(able, key=lambda place: place.name in record.suspects)  # stable


def _conclude(draft: Draft, record: JobRecord, trial: Trial, *, late: bool) -> JobRecord:
    """The test is over: what it has told of nodes, and the job goes on."""
    verdict = judge(trial.suspects, trial.results)
    bad = {node: _words(node, witnesses) for node, witnesses in verdict.bad.items()}
    why = "a pair test could not tell whether it is well"
    unsure = {} if verdict.network else {node: record.suspects.get(node, why) for node in verdict.unknown}
    kept = {node: words for node, words in record.suspects.items() if node not in verdict.well}
    out = sorted(verdict.proved - draft.cascade - set(trial.shared))
    message = _sentence(trial, verdict, late=late)
    shared = [node for node in trial.shared if node in verdict.proved]
    if shared:
        stay = "stays in service" if len(shared) == 1 else "stay in service"
        message += f"; {_few(shared)} {stay}, and this job keeps off: what other jobs do there may be the cause"
    record = draft.put(
        replace(record, trial=None, avoid={**record.avoid, **bad}, suspects={**kept, **unsure}, asked_at=None)
    )
    draft.say(record, "pairs_tested", message, _evidence(trial, verdict, draft.now))
    for node in out:
        draft.drain(record, node, bad[node])
    if bad or verdict.network:
        draft.do(Notify(record.job.id, message))
    return record


def _words(node: str, witnesses: Sequence[str]) -> str:
    return f"{node} fails in a pair test with {_few(witnesses)}, which pass with others"


def _sentence(trial: Trial, verdict: PairVerdict, *, late: bool) -> str:
    """What the test has come to, in a line for people."""
    if verdict.network:
        return f"no pair of {_few(trial.suspects)} passes: it is the network between them, and no node is blamed"
    said = [_words(node, witnesses) for node, witnesses in verdict.bad.items()]
    well = [node for node in trial.suspects if node in verdict.well]
    if well:
        said.append(f"{_few(well)} {'passes and is' if len(well) == 1 else 'pass and are'} suspect no more")
    if verdict.unknown:
        said.append(f"of {_few(verdict.unknown)} it could not be told{', in the time that there was' if late else ''}")
    return "; ".join(said)


def _evidence(trial: Trial, verdict: PairVerdict, now: float) -> dict[str, object]:
    return {
        "bad": {node: list(witnesses) for node, witnesses in verdict.bad.items()},
        "proved": sorted(verdict.proved),
        "well": list(verdict.well),
        "unknown": list(verdict.unknown),
        "network": verdict.network,
        "shared": list(trial.shared),
        "spares": list(trial.spares),
        "seconds": round(now - trial.began, 1),
        "pairs": [_pair(one) for one in trial.results],
    }


def _pair(one: PairResult) -> dict[str, object]:
    how = {True: "passes", False: "fails", None: "could not be tested"}[one.passed]
    return {
        "text": f"{one.pair.first} with {one.pair.second} {how}{f': {one.why}' if one.why else ''}",
        "nodes": list(one.pair.nodes),
        "passed": one.passed,
        "silent": list(one.silent) or None,
        "seconds": one.seconds,
        "mb_s": one.rate,
        "latency": one.latency,
        "own_test": one.own or None,
    }


def _few(names: Sequence[str]) -> str:
    shown = [*names[:_SHOWN], f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN + 1 else list(names)
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
