"""Roster: all jobs that are not over, with the queue in order and what of each node is taken.

It is a value: `after` gives another one and shares what has not changed, so a tick with a few changes among 10,000 jobs
costs a few changes.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .allocation import Slot
from .defects import About
from .record import OVER, JobRecord, JobState
from .shape import Shape

HOLDING: frozenset[JobState] = frozenset({"starting", "running", "stopping"})
"""States in which the attempt's nodes are its own: something of it may run there."""

Turn = tuple[int, float, str]
"""A place in the queue: less goes first. Priority (negated), when it was submitted, id."""

Taken = Mapping[int, float]
"""Of one node: parts taken, by device, over all jobs; 1 is a whole one."""

SEAT = -1
"""Stands for the node itself among its devices: a job without accelerators takes it, one at a time."""


def turn(record: JobRecord) -> Turn:
    """Where a job stands in the queue: priority, then age; a restart keeps its place."""
    return (-record.job.priority, record.job.submitted.timestamp(), record.job.id)


@dataclass(frozen=True, slots=True)
class Roster:
    """The jobs that are not over.

    Attributes:
        jobs: By id.
        queue: Turns of queued jobs in order, by shape.
        active: Ids of those that are neither queued nor held: they are looked at in each tick.
        taken: By node.
        users: Ids of jobs that hold something of a node, by node.
    """

    jobs: Mapping[str, JobRecord] = field(default_factory=dict, hash=False)
    queue: Mapping[Shape, list[Turn]] = field(default_factory=dict, hash=False)
    active: frozenset[str] = frozenset()
    taken: Mapping[str, Taken] = field(default_factory=dict, hash=False)
    users: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, records: Iterable[JobRecord]) -> "Roster":
        """A roster of `records`; those that are over are left out."""
        return cls().after(records)

    def after(self, records: Iterable[JobRecord]) -> "Roster":
        """The roster once `records` are as they are; of two of one job the last counts."""
        change = _Change(self)
        for job, record in {record.job.id: record for record in records}.items():
            with About(job):
                change.enter(job, record)
        return change.done()

    @property
    def queued(self) -> int:
        """How many jobs wait for room."""
        return sum(map(len, self.queue.values()))


def _held(record: JobRecord) -> tuple[Slot, ...]:
    """What a job has of nodes: its attempt's, or what is kept for it while they are tested."""
    if record.state in HOLDING and record.attempt is not None:
        return record.attempt.allocation.slots
    return record.trial.slots if record.state == "waiting" and record.trial is not None else ()


class _Change:
    """A roster while it is being changed: what is changed is copied first, once."""

    def __init__(self, before: Roster) -> None:
        self._jobs = dict(before.jobs)
        self._queue = dict(before.queue)
        self._active = set(before.active)
        self._taken = dict(before.taken)
        self._users = dict(before.users)
        self._copied: set[Shape] = set()

    def enter(self, job: str, record: JobRecord) -> None:
        old = self._jobs.get(job)
        if old is not None:
            self._forget(job, old)
        if record.state in OVER:
            return
        self._jobs[job] = record
        if record.state == "queued":
            insort(self._turns(Shape.of(record)), turn(record))
        elif record.state != "held":
            self._active.add(job)
        for slot in _held(record):
            self._hold(job, slot, 1)

    def _forget(self, job: str, old: JobRecord) -> None:
        del self._jobs[job]
        self._active.discard(job)
        if old.state == "queued":
            shape = Shape.of(old)
            turns = self._turns(shape)
            del turns[bisect_left(turns, turn(old))]
            if not turns:
                del self._queue[shape]
                self._copied.discard(shape)
        for slot in _held(old):
            self._hold(job, slot, -1)

    def _turns(self, shape: Shape) -> list[Turn]:
        if shape not in self._copied:
            self._queue[shape] = list(self._queue.get(shape, ()))
            self._copied.add(shape)
        return self._queue[shape]

    def _hold(self, job: str, slot: Slot, sign: int) -> None:
        taken = dict(self._taken.get(slot.node, {}))
        for device in slot.devices or (SEAT,):
            left = round(taken.pop(device, 0.0) + sign * slot.share, 9)
            if left > 0:
                taken[device] = left
        users = self._users.get(slot.node, frozenset())
        users = users | {job} if sign > 0 else users - {job}
        self._taken[slot.node], self._users[slot.node] = taken, users
        if not users:
            del self._taken[slot.node], self._users[slot.node]

    def done(self) -> Roster:
        return Roster(self._jobs, self._queue, frozenset(self._active), self._taken, self._users)
