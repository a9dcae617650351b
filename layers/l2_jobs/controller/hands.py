"""Hands: what the controller does beside asking engines, each kind in a thread of its own: none waits for another.

What fails, in whatever way, is tried again later and keeps nothing else waiting; what was asked twice while it is being
done is done once.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from aiops.layers.core.errors import AiopsError
from aiops.layers.l2_jobs.action import (
    Action,
    AskPower,
    Diagnose,
    Drain,
    Examine,
    Notify,
    SetAside,
    TryPairs,
    Verify,
)
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.fault.fault import Fault
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.pair_test import Paired
from aiops.layers.l2_jobs.power import PowerTold
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.shelf import Shelf

from .controller import Answers

RETRY_SECONDS = 10.0
"""What failed is tried again after 1 s, doubled up to this; a drain waits so for whoever changes the cluster now."""

LOOKS = 8
"""Folders of checkpoints that are looked at at once: one whose storage stalls must not hold up the others."""

ASKED = 16
"""BMCs that are asked at once: one that does not answer takes ten seconds, and a rack may be without power."""

TRIALS = 4
"""Jobs whose nodes are tested in pairs at once: each is waited for, and no longer than a minute."""

_AT_ONCE: Mapping[type, int] = {Verify: LOOKS, TryPairs: TRIALS, AskPower: ASKED}

TRIES = 30
"""So often, that is for nearly 5 minutes: then it is given up, and told as a warning."""


@dataclass(frozen=True, slots=True)
class Deeds:
    """How each thing is done; each may take long, and fails with an AiopsError.

    Attributes:
        drain: Takes a node out of service, by L1's policy.
        set_aside: Renames a checkpoint of a job.
        notify: Tells people about a job.
        examine: Looks at nodes; what they are now.
        diagnose: Reads the logs of an attempt.
        verify: Looks at a job's folder of checkpoints; whether it may still be writing there.
        pair: Tests pairs of nodes of a job; what came of each. It asks whether the job still waits for that.
        warn: Is told what could not be done at all.
        ask_power: Asks a node's BMC, twice where it says `off`.
        current: A job as it is written down by now; None: as it was handed over.
    """

    drain: Callable[[str, str], None]
    set_aside: Callable[[JobRecord, SetAside], None]
    notify: Callable[[str, str], None]
    examine: Callable[[Sequence[str]], Mapping[str, Place]]
    diagnose: Callable[[Key], Fault | None]
    verify: Callable[[JobRecord, bool], Shelf]
    pair: Callable[[JobRecord, TryPairs, Callable[[], bool]], Paired]
    warn: Callable[[str], None]
    ask_power: Callable[[str], Sequence[PowerTold]]
    current: Callable[[str], JobRecord | None] | None = None


@dataclass(slots=True, eq=False)
class _Task:
    """Something to be done, for one or more actions that ask for the same."""

    subject: Hashable
    action: Action
    record: JobRecord | None
    numbers: list[int] = field(default_factory=list)
    tries: int = 0
    due: float = 0.0


class ThreadedHands:
    """Does all kinds at once; safe to use from several threads."""

    def __init__(self, deeds: Deeds, now: Callable[[], float] = time.monotonic) -> None:
        self._deeds = deeds
        self._now = now
        self._changed = threading.Condition()
        self._waiting: dict[type, deque[_Task]] = {}
        self._busy: dict[type, list[_Task]] = {}
        self._ended = False
        self._done: list[int] = []
        self._places: dict[str, Place] = {}
        self._shelves: dict[str, Shelf] = {}
        self._diagnoses: dict[Key, Fault | None] = {}
        self._power: list[PowerTold] = []
        self._paired: dict[str, Paired] = {}

    def take(self, number: int, action: Action, record: JobRecord | None) -> None:
        """Do it in its turn."""
        kind = type(action)
        with self._changed:
            if kind not in self._waiting:
                self._waiting[kind], self._busy[kind] = deque(), []
                for _ in range(_AT_ONCE.get(kind, 1)):
                    name = f"{kind.__name__.lower()}"
                    threading.Thread(target=self._work, args=(kind,), name=name, daemon=True).start()
            task = self._same(kind, action)
            if task is None:
                task = _Task(_subject(action), action, record)
                self._waiting[kind].append(task)
            task.record = record if record is not None else task.record  # what it is by now
            task.numbers.append(number)
            self._changed.notify_all()

    def answers(self) -> Answers:
        """What has come since the last call."""
        with self._changed:
            answers = Answers(
                tuple(self._done), self._places, self._shelves, self._diagnoses, self._paired, tuple(self._power)
            )
            self._done, self._places, self._shelves, self._diagnoses = [], {}, {}, {}
            self._paired, self._power = {}, []
        return answers

    def offer(self, places: Mapping[str, Place]) -> None:
        """Pass on what was found of nodes without having been asked."""
        with self._changed:
            self._places.update(places)

    def offer_shelf(self, job: str, shelf: Shelf) -> None:
        """Pass on what was found of a job's checkpoints without having been asked, unless an answer waits already."""
        with self._changed:
            self._shelves.setdefault(job, shelf)

    def close(self) -> None:
        """Begin nothing more; what is being done is left to end by itself."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _same(self, kind: type, action: Action) -> _Task | None:
        """What is waiting for the same, or under way where that will do."""
        subject = _subject(action)
        # What was written after the look was begun may not be in it; only a look at nodes is as good a moment later.
        busy = next((one for one in self._busy[kind] if one.subject == subject), None)
        if busy is not None and kind is not Verify:
            return busy
        return next((one for one in self._waiting[kind] if one.subject == subject), None)

    def _work(self, kind: type) -> None:
        while True:
            with self._changed:
                task = self._next(kind)
                while task is None and not self._ended:
                    self._changed.wait(self._pause(kind))
                    task = self._next(kind)
                if task is None or self._ended:
                    return
                self._waiting[kind].remove(task)
                self._busy[kind].append(task)
            again = self._do(task)
            with self._changed:
                self._busy[kind].remove(task)
                self._changed.notify_all()
                if again:
                    task.due = self._now() + min(2.0 ** (task.tries - 1), RETRY_SECONDS)
                    self._waiting[kind].append(task)
                else:
                    self._done += task.numbers

    def _free(self, kind: type) -> list[_Task]:
        """What waits, and is about nothing that is being done now."""
        subjects = {one.subject for one in self._busy[kind]}
        return [one for one in self._waiting[kind] if one.subject not in subjects]

    def _next(self, kind: type) -> _Task | None:
        """The first of these whose time has come."""
        now = self._now()
        return next((one for one in self._free(kind) if one.due <= now), None)

    def _pause(self, kind: type) -> float | None:
        """Seconds until the next of these is due; None where none waits."""
        now = self._now()
        return min((max(0.0, one.due - now) for one in self._free(kind)), default=None)

    def _do(self, task: _Task) -> bool:
        """Do it; whether it is to be done again."""
        task.tries += 1
        try:
            self._once(task)
        except AiopsError as error:
            why = error.message
        except Exception as defect:  # noqa: BLE001 - whatever it is, the others of its kind are done
            why = f"a defect of aiops: {type(defect).__name__}: {defect}"
            if task.tries == 1:
                self._deeds.warn(f"{_words(task.action)}, and is tried again: {why}")
        else:
            return False
        # A round of pairs is asked for again by whoever waits for it: later its nodes may be another's.
        if task.tries < (1 if isinstance(task.action, TryPairs) else TRIES):
            return True
        self._deeds.warn(f"{_words(task.action)}: {why}")
        return False

    def _once(self, task: _Task) -> None:
        deeds, record = self._deeds, task.record
        match task.action:
            case Drain(node, reason):
                deeds.drain(node, reason)
            case SetAside() as order if record is not None:
                deeds.set_aside(record, order)
            case Notify(job, message):
                deeds.notify(job, message)
            case Examine(nodes):
                places = deeds.examine(nodes)
                with self._changed:
                    self._places.update(places)
            case Diagnose(key):
                fault = deeds.diagnose(key)
                with self._changed:
                    self._diagnoses[key] = fault
            case AskPower(node):
                told = deeds.ask_power(node)
                with self._changed:
                    self._power += told
            case Verify(job, live) if record is not None:
                shelf = deeds.verify(record, live)
                with self._changed:
                    waits = self._shelves.get(job)
                    if waits is None or waits.live or not live:
                        self._shelves[job] = shelf
            case TryPairs(key) as order if record is not None:
                paired = self._pairs(order, record)
                with self._changed:
                    self._paired |= {key.job: paired} if paired is not None else {}
            case _:  # its job is over, or goes on by now: nobody waits for it
                return

    def _pairs(self, order: TryPairs, handed: JobRecord) -> Paired | None:
        """What came of a round of pairs: nothing of those that are not begun; None where nobody waits for it."""
        deeds = self._deeds

        def record() -> JobRecord | None:
            return deeds.current(order.key.job) if deeds.current is not None else handed

        def waits() -> bool:
            now = record()
            return _keeps_for(now, order) and now is not None and not now.stop

        begun = record()
        if begun is None or not _keeps_for(begun, order):
            return None
        return Paired(order.key.number, order.number, ()) if begun.stop else deeds.pair(begun, order, waits)


def _keeps_for(record: JobRecord | None, order: TryPairs) -> bool:
    """Whether a job still keeps its nodes for that round: they may be another's by now."""
    if record is None or record.trial is None:
        return False
    return (record.launched, record.trial.number) == (order.key.number, order.number)


def _subject(action: Action) -> Hashable:
    """What an action is about: two of one kind about the same are one."""
    match action:
        case Verify(job, live):
            return job, live
        case Diagnose(key):
            return key
        case Examine(nodes):
            return frozenset(nodes)
        case _:
            return action


def _words(action: Action) -> str:
    match action:
        case Drain(node, _):
            words = f"{node} could not be drained"
        case SetAside(job, path):
            words = f"{path} of {job} could not be set aside"
        case Notify(job, _):
            words = f"nobody could be told about {job}"
        case Examine(nodes):
            words = f"{', '.join(nodes)} could not be looked at"
        case Diagnose(key):
            words = f"the logs of {key} could not be read"
        case AskPower(node):
            words = f"the BMC of {node} could not be asked"
        case TryPairs(key):
            words = f"the nodes of {key} could not be tested in pairs"
        case Verify(job):
            words = f"the checkpoints of {job} could not be looked at"
        case _:
            words = type(action).__name__
    return words
