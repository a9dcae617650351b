"""What engines were asked and have not answered for all nodes yet: launches, stops and kills.

Such an action stays open in the ledger until then, so that a successor asks again; asking twice is harmless. An engine
that cannot be asked now is asked again.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field

from aiops.layers.core.errors import AiopsError, InputError
from aiops.layers.l2_jobs.action import Kill, Launch, Stop
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.defects import Defects
from aiops.layers.l2_jobs.engine import Engine
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Available, Ended, Exited, NotStarted, Report, Started, Stepped
from aiops.layers.l2_jobs.roster import HOLDING

from .intake import LEFT_OUT, about
from .progress import Progress

RETRY_SECONDS = 5.0
"""An engine that could not be asked is asked again after so long, or once it answers."""

Asking = Launch | Stop | Kill
Records = Mapping[str, JobRecord]


@dataclass(slots=True)
class _Open:
    """An action, the nodes that owe an answer, and when it could not be asked; None once it was."""

    number: int
    action: Asking
    waits: set[str]
    tried: float | None = None


@dataclass(slots=True)
class _Heard:
    running: list[Key] = field(default_factory=list)
    failed: list[Exited] = field(default_factory=list)
    done: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Heard:
    """What reports have told.

    Attributes:
        running: Attempts all groups of which run since now.
        failed: The first process of an attempt that ended badly.
        done: Numbers of actions that are done.
    """

    running: tuple[Key, ...]
    failed: tuple[Exited, ...]
    done: tuple[int, ...]


class Underway:
    """The open actions of one controller's engines."""

    def __init__(self, engines: Mapping[str, Engine], now: Callable[[], float], defects: Defects) -> None:
        self._engines = engines
        self._defects = defects
        self._now = now
        self._open: dict[int, _Open] = {}
        self._runs: dict[Key, set[str]] = {}
        self._failed: set[Key] = set()
        self._refused: list[NotStarted] = []

    def hear(self, reports: Iterable[Report], records: Records, progress: MutableMapping[Key, Progress]) -> Heard:
        """Take in what engines have told, and how far attempts have come."""
        told = _Heard()
        for one in reports:
            try:
                self._hear(one, records, progress, told)
            except Exception as error:  # noqa: BLE001 - one rank group's word keeps no other from being heard
                self._defects.met(about(one), error, LEFT_OUT)
        return Heard(tuple(told.running), tuple(told.failed), tuple(told.done))

    def _hear(self, one: Report, records: Records, progress: MutableMapping[Key, Progress], told: _Heard) -> None:
        if isinstance(one, Started):
            self._answered(one.key, one.node, told, ended=False)
            self._started(one, records, told)
        elif isinstance(one, NotStarted | Ended):
            self._answered(one.key, one.node, told, ended=True)
        elif isinstance(one, Exited) and one.status != 0 and one.key not in self._failed:
            self._failed.add(one.key)
            told.failed.append(one)
        elif isinstance(one, Stepped):
            progress[one.key] = progress.get(one.key, Progress()).after(one)
        elif isinstance(one, Available):
            for action in self._open.values():
                action.tried = None if action.tried is None else self._now() - RETRY_SECONDS

    def take(self, number: int, action: Asking, records: Records) -> list[int]:
        """Ask an engine; the numbers of what is done by that already."""
        self._open[number] = _Open(number, action, set(_nodes(action, records)))
        return self._try(self._open[number], records)

    def retry(self, records: Records) -> list[int]:
        """Ask again what could not be asked; likewise."""
        due = self._now() - RETRY_SECONDS
        waiting = [one for one in self._open.values() if one.tried is not None and one.tried <= due]
        return [number for one in waiting for number in self._try(one, records)]

    def refused(self) -> list[NotStarted]:
        """The launches that an engine has refused for good since the last call: nothing of them was started."""
        taken, self._refused = self._refused, []
        return taken

    def release(self, key: Key, records: Records) -> list[int]:
        """Nothing of an attempt is waited for any more; likewise."""
        for engine in self._owners(key, records):
            engine.release(key)
        over = [number for number, one in self._open.items() if _key(one.action) == key]
        for number in over:
            del self._open[number]
        self._runs.pop(key, None)
        self._failed.discard(key)
        return over

    def _try(self, one: _Open, records: Records) -> list[int]:
        try:
            self._ask(one, records)
        except InputError as error:
            self._refuse(one, error)
        except AiopsError:
            one.tried = self._now()
            return []
        except Exception as error:  # noqa: BLE001 - what one job's words have met keeps no other from being asked for
            self._defects.met(str(_key(one.action)), error, "what was to be done for it is tried again")
            one.tried = self._now()
            return []
        one.tried = None
        if one.waits:
            return []
        del self._open[one.number]  # it is about nothing that could answer
        return [one.number]

    def _refuse(self, one: _Open, error: InputError) -> None:
        if isinstance(one.action, Launch):
            key, nodes = one.action.attempt.key, one.action.attempt.allocation.nodes
            self._refused += [NotStarted(key, node, self._now(), error.message, "user") for node in nodes]

    def _ask(self, one: _Open, records: Records) -> None:
        action = one.action
        if isinstance(action, Launch):
            record = records.get(action.attempt.key.job)
            if record is not None and _is_current(record, action.attempt):
                self._engines[action.attempt.engine].start(record.job, action.attempt)
            else:  # it was overtaken: nothing of it is wanted any more
                one.waits.clear()
            return
        for engine in self._owners(action.key, records):
            if isinstance(action, Stop):
                engine.stop(action.key, seconds=action.seconds)
            else:
                engine.kill(action.key, action.nodes)

    def _owners(self, key: Key, records: Records) -> tuple[Engine, ...]:
        """The engine that runs an attempt; all, where it is not known any more."""
        record = records.get(key.job)
        attempt = record.attempt if record is not None else None
        if attempt is not None and attempt.engine in self._engines:
            return (self._engines[attempt.engine],)
        return tuple(self._engines.values())

    def _answered(self, key: Key, node: str, told: _Heard, *, ended: bool) -> None:
        """A node has said what became of what was asked of it."""
        for number, one in list(self._open.items()):
            if _key(one.action) == key and (ended or isinstance(one.action, Launch)):
                one.waits.discard(node)
                if not one.waits:
                    del self._open[number]
                    told.done.append(number)

    def _started(self, one: Started, records: Records, told: _Heard) -> None:
        record = records.get(one.key.job)
        if record is None or record.attempt is None or record.attempt.key != one.key:
            return
        runs = self._runs.setdefault(one.key, set())
        if one.node in runs:
            return
        runs.add(one.node)
        if len(runs) == len(record.attempt.allocation.nodes):
            told.running.append(one.key)


def _key(action: Asking) -> Key:
    return action.attempt.key if isinstance(action, Launch) else action.key


def _nodes(action: Asking, records: Records) -> tuple[str, ...]:
    if isinstance(action, Kill):
        return action.nodes
    if isinstance(action, Launch):
        return action.attempt.allocation.nodes
    record = records.get(action.key.job)
    attempt = record.attempt if record is not None else None
    return attempt.allocation.nodes if attempt is not None and attempt.key == action.key else ()


def _is_current(record: JobRecord, attempt: Attempt) -> bool:
    return record.attempt is not None and record.attempt.key == attempt.key and record.state in HOLDING
