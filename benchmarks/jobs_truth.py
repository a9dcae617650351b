"""What jobs really did, by the words of the processes themselves (tests/l2_jobs/programs/witness.py). Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

_FORMING = 20.0
"""Seconds in which an attempt that is not hurt has all its ranks."""


@dataclass
class Rank:
    """One process.

    Attributes:
        first: When it began, seconds since the epoch by the machine's clock.
        last: When it has said last that it can write.
        resumed: `none`, `good` or `bad:WHY`: what it was given to go on from.
    """

    node: str
    pid: str
    first: float
    last: float
    devices: tuple[str, ...] = ()
    resumed: str = "none"


@dataclass
class Course:
    """What the processes of one job have said: those of each epoch and rank, more than one where it ran twice."""

    ranks: dict[int, dict[int, list[Rank]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))


def course_of(text: str) -> Course:
    """A job's course from its witness log; a last line that is not whole is left out."""
    found = Course()
    for line in text.splitlines():
        words = line.split()
        if len(words) < 6:  # noqa: PLR2004 - TIME KIND EPOCH RANK NODE PID
            continue
        at, kind, epoch, rank, node, pid = float(words[0]), words[1], int(words[2]), int(words[3]), words[4], words[5]
        rows = found.ranks[epoch][rank]
        one = next((row for row in rows if (row.node, row.pid) == (node, pid)), None)
        if one is None:
            one = Rank(node, pid, at, at)
            rows.append(one)
        one.last = max(one.last, at)
        if kind == "began":
            devices = () if words[6] == "-" else tuple(words[6].split(","))
            one.devices, one.resumed = devices, words[7]
    return found


def wrongs(courses: Mapping[str, Course], gangs: Mapping[str, int]) -> dict[str, list[str]]:
    """What must never be, by its name, with the evidence.

    Args:
        courses: Of each job.
        gangs: How many ranks each job has.
    """
    found: dict[str, list[str]] = {
        "overlaps": [],
        "ranks run twice": [],
        "partial gangs": [],
        "bad resumes": [],
        "devices given twice": [],
    }
    for job, course in courses.items():
        found["overlaps"] += overlaps(job, course)
        for epoch, ranks in course.ranks.items():
            found["partial gangs"] += _partial(f"{job}.{epoch}", ranks, gangs[job])
            for rank, rows in ranks.items():
                if len(rows) > 1:
                    found["ranks run twice"].append(f"{job}.{epoch}: rank {rank} is {len(rows)} processes")
                found["bad resumes"] += [
                    f"{job}.{epoch}: rank {rank} on {one.node} goes on from a checkpoint that is {one.resumed}"
                    for one in rows
                    if one.resumed.startswith("bad")
                ]
    found["devices given twice"] = _twice(courses)
    return found


def overlaps(job: str, course: Course) -> list[str]:
    """Attempts that could still write when a later one could."""
    found = []
    epochs = sorted(course.ranks)
    for earlier, later in pairwise(epochs):
        last = max((one.last, one.node) for rows in course.ranks[earlier].values() for one in rows)
        first = min((one.first, one.node) for rows in course.ranks[later].values() for one in rows)
        if last[0] >= first[0]:
            found.append(
                f"{job}: attempt {earlier} wrote on {last[1]} {last[0] - first[0]:.2f} s after {later} had begun"
            )
    return found


def _partial(name: str, ranks: Mapping[int, list[Rank]], gang: int) -> Iterable[str]:
    """An attempt of which some ran for long and others never came."""
    rows = [one for of_rank in ranks.values() for one in of_rank]
    seconds = max(one.last for one in rows) - min(one.first for one in rows)
    if len(ranks) < gang and seconds > _FORMING:
        yield f"{name}: {len(ranks)} of {gang} ranks for {seconds:.0f} s"


def _twice(courses: Mapping[str, Course]) -> list[str]:
    spans: dict[tuple[str, str], list[tuple[float, float, str]]] = defaultdict(list)
    for job, course in courses.items():
        for epoch, ranks in course.ranks.items():
            for rows in ranks.values():
                for one in rows:
                    for device in one.devices:
                        spans[one.node, device].append((one.first, one.last, f"{job}.{epoch}"))
    found = []
    for (node, device), held in spans.items():
        held.sort()
        for before, after in pairwise(held):
            if after[0] <= before[1] and before[2] != after[2]:
                found.append(f"{node}: device {device} of {before[2]} and of {after[2]}")
    return found
