"""Hang: an attempt that makes no progress though its nodes are heard. Pure.

Automatic: found within `max(10 s, 8 x median step)` without a word of progress, where the program tells phases. One
whose steps are only read from its output tells nothing of its saves and evaluations, so there a pause must be longer:
a minute at least, and half as long again as any that it has come out of. Before enough steps were timed a minute holds
too where an earlier attempt of the job tells how long they take, else the allowance for the start. A program that
tells no steps is never taken for hung. Where a launcher tells that a signal has stopped one of its ranks there is no
phase to wait out.
"""

import math
from dataclasses import dataclass

from .fault.fault import Evidence, Fault, usual_fault
from .job import Job
from .pace import ENOUGH, Mark, Pace
from .report import Phase
from .shelf import Shelf
from .track import Track
from .watch import Watch

LEAST = 10.0
STEPS = 8.0
"""Median steps without progress; NVRx takes 5 times the longest seen, and a median is shorter than that."""

SOONER = 1.75
"""Seconds before that time has passed: a step may be told a second late, since launchers tell at most one a second, and
all is looked at twice a second. So a hang is found within it, and not only then looked for."""

UNTOLD = 60.0
"""Seconds, where a program tells no phases."""

PAUSE = 1.5
"""Times the longest pause that it has come out of, where it tells no phases."""

START = 1800.0
SAVE = 1800.0
EVALUATE = 3600.0
"""Seconds that the other phases may take the first time: compiling, loading, collective writes to a slow storage."""

KNOWN = 120.0
"""Seconds that a save or an evaluation may take at least once one was seen; else `STEPS` times the longest so far."""

STORAGE = 120.0
"""Seconds beyond the limit that a storage which does not answer is waited for before it is taken for the cause."""

PROMPT = 3.0
"""Seconds within which a look at the folder of checkpoints is answered, unless the storage stalls."""

APART = 3.0
"""Times the limit that one rank may stand still while others go on."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """How long an attempt has told no progress.

    Attributes:
        since: When the last was told, or could have been.
        seconds: How long that is.
        limit: From how long on it is a hang; inf for never.
        ranks: Those that stand furthest behind.
        nodes: Where they run.
        words: What the limit is made of.
        phases: Whether it tells phases, so that a save is told and need not be guessed.
    """

    since: float
    seconds: float
    limit: float
    ranks: tuple[int, ...]
    nodes: tuple[str, ...]
    words: str
    phases: bool = False


def quiet(  # noqa: PLR0911 - one return for each thing that cannot be said
    job: Job, track: Track, watch: Watch, began: float, now: float, *, before: float | None = None
) -> Quiet | None:
    """How long an attempt is quiet; None where nothing can be said: a service, no steps, or its nodes are not heard.

    `before` is the seconds that a step of an earlier attempt of this job took; None where there was none that told.
    """
    if job.kind == "service" or job.limits.hang == math.inf:
        return None
    pace = track.pace
    if not pace.marks and job.progress is None:
        return None
    halted = _halted(track, watch)
    if not pace.marks:
        nodes = tuple(sorted(track.groups))
        if not all(watch.node(node).up for node in nodes):
            return None
        since = max([began, *(watch.node(node).since or began for node in nodes)])
        if halted and job.limits.hang is None:
            return Quiet(since, now - since, LEAST - SOONER, *_standing(halted))
        return Quiet(since, now - since, START, (), (), f"no first step in {START:.0f} s")
    marks = {rank: mark for rank, mark in pace.marks.items() if _heard(mark, track, watch)}
    if not marks:
        return None
    words, bound = limit(job, pace, tuple(marks.values()), before)
    if halted and job.limits.hang is None and bound > LEAST:
        since = max(_since(mark, watch) for mark in marks.values())
        return Quiet(since, now - since, LEAST - SOONER, *_standing(halted), pace.tells)
    since = max(_since(mark, watch) for mark in marks.values())
    still = min(marks.values(), key=lambda mark: (mark.step, mark.at))
    if now - since <= bound:
        alone = _since(still, watch)
        if len(marks) < 2 or now - alone <= APART * bound or still.phase != "step":  # noqa: PLR2004 - one has no others
            return Quiet(since, now - since, bound, (), (), words, pace.tells)
        since, bound, words = alone, APART * bound, f"one rank stands still, {APART:g} times {words}"
    behind = {r: m for r, m in marks.items() if m.step == still.step and len({x.step for x in marks.values()}) > 1}
    nodes = tuple(sorted({mark.node for mark in behind.values()}))
    return Quiet(since, now - since, bound, tuple(sorted(behind)), nodes, words, pace.tells)


def _halted(track: Track, watch: Watch) -> dict[int, str]:
    """Ranks that somebody has stopped, with their nodes: whatever phase it is, they make no progress."""
    groups = ((node, group) for node, group in track.groups.items() if watch.node(node).up)
    return {rank: node for node, group in groups if not group.over and group.frozen is None for rank in group.halted}


def _standing(halted: dict[int, str]) -> tuple[tuple[int, ...], tuple[str, ...], str]:
    """Ranks that are behind (none is known to be), nodes, and words of a `Quiet`."""
    first = min(halted)
    return (), tuple(sorted(set(halted.values()))), f"rank {first} on {halted[first]} was stopped by a signal"


def _heard(mark: Mark, track: Track, watch: Watch) -> bool:
    group = track.group(mark.node)
    return watch.node(mark.node).up and not group.over and group.frozen is None


def _since(mark: Mark, watch: Watch) -> float:
    """Since when its silence says something: what a node has told while it was not heard comes late."""
    return max(mark.at, watch.node(mark.node).since or mark.at)


def limit(job: Job, pace: Pace, marks: tuple[Mark, ...], before: float | None) -> tuple[str, float]:
    """From how many seconds of quiet on an attempt is hung, and what that is made of."""
    phases = {mark.phase for mark in marks}
    own = job.limits.hang
    allowances: tuple[tuple[Phase, float], ...] = (("evaluate", EVALUATE), ("save", SAVE), ("start", START))
    for phase, seconds in allowances:
        if phase in phases:
            longest = pace.longest.get(phase)
            bound = seconds if longest is None else min(seconds, max(KNOWN, STEPS * longest))
            return f"the phase {phase} may take {bound:.0f} s", max(bound, own or 0.0)
    if own is not None:
        return f"`hang` of the job is {own:g} s", own
    step = pace.median
    if step is None and before is not None:
        # Its first steps may compile, or read their data anew: they are given more than those that follow.
        longer = f"{STEPS:g} x the median step of {before:.3g} s of an earlier attempt"
        return f"max({UNTOLD:g} s, {longer}), before {ENOUGH} steps were timed", max(UNTOLD, STEPS * before)
    if step is None:
        return f"fewer than {ENOUGH} steps were timed, so {START:.0f} s are allowed", START
    if pace.tells:
        return f"max({LEAST:g} s, {STEPS:g} x the median step of {step:.3g} s)", max(LEAST, STEPS * step) - SOONER
    bound = max(UNTOLD, STEPS * step, PAUSE * pace.pause)
    return (
        f"max({UNTOLD:g} s, {STEPS:g} x the median step of {step:.3g} s, {PAUSE:g} x the longest pause so far)",
        bound,
    )


def doubtful(seen: Quiet) -> bool:
    """Whether it is time to ask whether the storage answers, so that the answer is there when the limit is reached."""
    return seen.seconds > seen.limit / 2 and seen.limit < START


def hang(job: Job, seen: Quiet, shelf: Shelf | None, now: float) -> Fault | None:
    """The fault of a quiet attempt; None while it is none.

    Where the job writes checkpoints their folder must have been read since the last progress: a storage that does not
    answer, or a save that is under way there, holds a healthy attempt up.
    """
    over = seen.seconds - seen.limit
    if over <= 0:
        return None
    text = f"no progress for {seen.seconds:.0f} s: {seen.words}"
    if job.checkpoint is not None and seen.limit < START:
        answered = shelf is not None and shelf.looked >= seen.since
        if not answered or (shelf is not None and shelf.problem):
            if over <= STORAGE:
                return None
            why = shelf.problem if shelf is not None and answered else "the folder of its checkpoints does not answer"
            return usual_fault("storage_io", now, evidence=[Evidence("agent", why, at=now), Evidence("step", text)])
        if shelf is not None and _stalled_until(shelf) > now - seen.limit:
            return None
        saving = shelf is not None and any(one.state == "unfinished" for one in shelf.checkpoints)
        if saving and not seen.phases and over <= SAVE:
            return None
    evidence = [Evidence("step", text, at=now)]
    evidence += [Evidence("step", f"rank {rank} is behind all others", rank=rank, at=now) for rank in seen.ranks[:8]]
    return usual_fault("hang", now, nodes=seen.nodes, evidence=evidence)


def _stalled_until(shelf: Shelf) -> float:
    """Until when the storage did not answer: from then on an attempt may be expected to go on."""
    answered = shelf.looked if shelf.answered is None else shelf.answered
    return answered if answered - shelf.looked > PROMPT else 0.0
