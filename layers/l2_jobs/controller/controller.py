"""The controller: observe, decide, write down, act. What it has written down is done, also by its successor.

Of each action it is written down when it is done: of a launch when every node of the attempt has said what became of
it, of a stop or a kill when all that it was about has ended, of a question when it was answered. A successor takes up
what is open, and follows the rest.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from aiops.layers.core.errors import AiopsError, ConflictError
from aiops.layers.l2_jobs import power
from aiops.layers.l2_jobs.action import (
    Action,
    AskPower,
    Decided,
    Drain,
    Dump,
    Examine,
    Kill,
    Launch,
    Notify,
    Release,
    SetAside,
    Stop,
)
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.defects import Defects
from aiops.layers.l2_jobs.engine import Engine
from aiops.layers.l2_jobs.fault.fault import Fault
from aiops.layers.l2_jobs.lease import EXPIRED
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.pair_test import Paired
from aiops.layers.l2_jobs.power import PowerTold
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Deposed, Report
from aiops.layers.l2_jobs.roster import HOLDING, Roster
from aiops.layers.l2_jobs.shelf import Shelf
from aiops.layers.l2_jobs.watch import Watch, touched
from aiops.layers.l2_jobs.world import Settings, World

from .intake import take_in
from .judging import Decide, Judge
from .ledger import Failpoint, Ledger, nothing
from .progress import Progress
from .rows import Asked, Entry
from .underway import Underway

WHOLE_SECONDS = 0.5
"""So often all jobs are looked at, told of or not: time passes for all. `World.touched` asks for once a second."""

PORT_SECONDS = 3600.0
"""So long no attempt is given a port of its node again."""

_UNSETTLED_SECONDS = 60.0
"""So long a node that answers may owe its word on a rank group, after a start of the controller."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What hands have done, and what they have found.

    Attributes:
        done: Numbers of actions.
        places: Nodes as they were found, by name.
        shelves: By job.
        diagnoses: By attempt.
        paired: By job.
        power: What BMCs have said.
    """

    done: tuple[int, ...] = ()
    places: Mapping[str, Place] | None = None
    shelves: Mapping[str, Shelf] | None = None
    diagnoses: Mapping[Key, Fault | None] | None = None
    paired: Mapping[str, Paired] | None = None
    power: tuple[PowerTold, ...] = ()


class Hands(Protocol):
    """Who does what is no engine's to do, and may take long: looks, drains, renames, messages; in own threads."""

    def take(self, number: int, action: Action, record: JobRecord | None) -> None:
        """Do it in its turn; what is being done already is not done twice.

        Args:
            number: Of the action.
            action: What to do.
            record: Of the job that it is about, where it is about one.
        """
        ...

    def answers(self) -> Answers:
        """What has come since the last call; never waits."""
        ...


class Controller:
    """The loop, over a ledger that is its own."""

    def __init__(
        self,
        ledger: Ledger,
        engines: Mapping[str, Engine],
        decide: Decide,
        hands: Hands,
        now: Callable[[], float],
        *,
        dump: Callable[[Key, str], None],
        others: Callable[[], Sequence[Report]] = list,
        settings: Settings | None = None,
        failpoint: Failpoint = nothing,
        defects: Defects | None = None,
    ) -> None:
        """Nothing is done yet; `begin` comes first.

        Args:
            ledger: The jobs.
            engines: By name.
            decide: Who decides; pure.
            hands: Who does the rest.
            now: The steady clock.
            dump: Has the stacks of an attempt's processes on a node written to their logs.
            others: What nodes have told that is no attempt's of an engine.
            settings: Of the site.
            failpoint: See `Failpoint`.
            defects: Is told of ours that a node's or a job's words have met.
        """
        self._ledger = ledger
        self._hands = hands
        self._now = now
        self._dump = dump
        self._others = others
        self._failpoint = failpoint
        self._defects = defects or Defects()
        self._judge = Judge(decide, self._defects)
        self._underway = Underway(engines, now, self._defects)
        self._engines = engines
        self._settings = settings or Settings()
        self._world = World(Roster())
        self._progress: dict[Key, Progress] = {}
        self._ports: dict[str, dict[int, float]] = {}
        self._owed: list[int] = []
        self._deferred: list[tuple[int, Action]] = []
        """What an earlier controller was to do outside, until it is known that there is no later one."""
        self._handed: set[int] = set()
        self._examined: dict[int, tuple[str, ...]] = {}
        """The nodes of each `Examine` that is not answered yet."""
        self._asked: dict[int, str] = {}
        """The node of each `AskPower` that is not answered yet."""
        self._whole = float("-inf")
        self._before = self._world.watch
        self._over: dict[str, JobRecord] = {}
        self.transitions = 0
        """How many records were changed since `begin`."""

    @property
    def world(self) -> World:
        """All that is known; it does not change."""
        return self._world

    def progress(self, key: Key) -> Progress | None:
        """How far an attempt has come; None before its first step."""
        return self._progress.get(key)

    def begin(self, places: Mapping[str, Place]) -> None:
        """Take up what an earlier controller has left: its jobs, what runs, and what it had begun to do.

        Args:
            places: The nodes, as far as they are known.
        """
        now = self._now()
        records = self._ledger.alive()
        open_ = self._ledger.open_actions()
        self._failpoint("read")
        roster = Roster.of(records.values())
        self._ports = self._ledger.ports(now - PORT_SECONDS)
        self._world = World(
            roster,
            places=places,
            ports=self._given(now),
            began=now,
            seed=secrets.randbits(256),
            settled=not self._live(roster),
            settings=self._settings,
        )
        # What was begun and may not have reached its nodes is begun again instead: nobody could say that it ended.
        begun = {one.attempt.key for _, one in open_ if isinstance(one, Launch)}
        for name, engine in self._engines.items():
            mine = {
                record.attempt.key: (record.job, record.attempt)
                for record in self._live(roster)
                if record.attempt is not None and record.attempt.engine == name and record.attempt.key not in begun
            }
            if mine:
                engine.adopt(mine)
            self._failpoint("adopted")
        # A head that was lost and comes back is told so by the first node that answers: until then it changes nothing.
        self._deferred = [one for one in open_ if isinstance(one[1], Drain | SetAside | Notify)]
        for number, action in open_:
            if (number, action) not in self._deferred:
                self._act(number, action)

    def tick(self) -> bool:
        """Observe, decide, write down, act, once; whether anything was decided.

        Raises:
            ConflictError: A node has seen a later controller of this store; nothing was written down.
        """
        now = self._now()
        told = [one for engine in self._engines.values() for one in engine.reports()]
        told += [*self._others(), *self._underway.refused()]
        _require_latest(told)
        reports, watch = take_in(told, self._world.roster.jobs, self._world.watch, self._defects)
        answers = self._hands.answers()
        asked = self._judge.heard(self._ledger.asked(), self._world.roster.jobs, now)
        self._failpoint("observed")
        entry = self._observe(reports, watch, answers, asked, now)
        decided = self._decided(reports, answers, asked, now)
        if decided is None:  # the next tick looks at all again, and hears what was asked now
            self._whole = float("-inf")
            entry, decided = replace(entry, heard=()), Decided()
        self._failpoint("decided")
        written = decided != Decided() or entry != Entry(now)
        if written:
            numbers = self._ledger.commit(decided, entry, {**self._over, **self._world.roster.jobs})
            self._failpoint("committed")
            self._settle(decided, now)
            for number, action in zip(numbers, decided.actions, strict=True):
                self._act(number, action)
        if self._deferred and self._world.settled:
            due, self._deferred = self._deferred, []
            for number, action in due:
                self._act(number, action)
        self._owed += self._underway.retry(self._world.roster.jobs)
        return written

    def run(self, pause: Callable[[float], None], until: Callable[[], bool], seconds: float = 0.1) -> None:
        """Go on until `until` says so; `pause` waits for that long, or for the next report."""
        while not until():
            if not self.tick():
                pause(seconds)

    # Observing

    def _observe(
        self, reports: Sequence[Report], watch: Watch, answers: Answers, asked: Sequence[Asked], now: float
    ) -> Entry:
        """Take in what has come; what there is to write of it."""
        heard = self._underway.hear(reports, self._world.roster.jobs, self._progress)
        done = (*self._owed, *heard.done, *answers.done)
        self._owed = []
        self._handed -= set(answers.done)
        world = replace(self._world, watch=watch)
        if answers.places:
            world = replace(world, places={**world.places, **answers.places})
        for number in answers.done:
            self._examined.pop(number, None)
        if answers.places or answers.done:
            world = replace(world, places=self._looked_at(world.places))
        over = [self._asked.pop(number) for number in answers.done if number in self._asked]
        if answers.power or over:
            world = replace(world, power=power.ended(power.after(world.power, answers.power, world.watch), over))
        if answers.shelves:
            alive = {job: shelf for job, shelf in answers.shelves.items() if job in world.roster.jobs}
            asked_for = {job: shelf for job, shelf in alive.items() if not shelf.aside}
            world = replace(world, shelves={**world.shelves, **asked_for})
            for job, shelf in alive.items():
                self._keep(job, shelf)
        if answers.diagnoses:
            world = replace(world, diagnoses={**world.diagnoses, **answers.diagnoses})
        if answers.paired:
            world = replace(world, paired={**world.paired, **answers.paired})
        if not world.settled:
            world = replace(world, settled=self._knows(world, now))
        self._before, self._world = self._world.watch, world
        return Entry(now, tuple(one.number for one in asked), heard.running, heard.failed, done)

    def _keep(self, job: str, shelf: Shelf) -> None:
        """Write down what lies in a job's folder; its user may have put anything there.

        Raises:
            AiopsError: The store cannot be written.
        """
        try:
            self._ledger.keep_shelf(job, shelf)
        except AiopsError:
            raise
        except Exception as error:  # noqa: BLE001 - what lies in one job's folder keeps no other job from going on
            self._defects.met(job, error, "what lies in its checkpoint folder is not shown")

    def _looked_at(self, places: Mapping[str, Place]) -> Mapping[str, Place]:
        """Places with what is being looked at now, so that nobody asks for that again."""
        names = {name for nodes in self._examined.values() for name in nodes}
        other = {name: place for name, place in places.items() if place.looking != (name in names)}
        changed = {name: replace(place, looking=not place.looking) for name, place in other.items()}
        return {**places, **changed} if changed else places

    def _decided(
        self, reports: Sequence[Report], answers: Answers, asked: Sequence[Asked], now: float
    ) -> Decided | None:
        """What is decided; nothing where nothing was told and all were looked at a moment ago. None: see `Judge`."""
        jobs = touched(reports, self._before)
        found = bool(answers.places or answers.power)
        whole = jobs is None or found or now - self._whole >= WHOLE_SECONDS
        named = frozenset(jobs or ()) | frozenset(answers.shelves or ()) | {key.job for key in answers.diagnoses or ()}
        named |= frozenset(answers.paired or ())
        if not whole and not named and not asked:
            return Decided()
        if whole:
            self._whole = now
        self._over = self._named_over(asked)
        world = replace(
            self._world,
            requests=tuple(one.request for one in asked),
            over=self._over,
            ports=self._given(now),
            touched=None if whole else named,
        )
        return self._judge.decided(world, now)

    def _named_over(self, asked: Iterable[Asked]) -> dict[str, JobRecord]:
        """The jobs that are over and that somebody wants something of."""
        named = {getattr(one.request, "job", None) for one in asked}
        return self._ledger.written(
            {job for job in named if isinstance(job, str) and job not in self._world.roster.jobs}
        )

    def _live(self, roster: Roster) -> list[JobRecord]:
        return [roster.jobs[job] for job in sorted(roster.active) if roster.jobs[job].state in HOLDING]

    def _knows(self, world: World, now: float) -> bool:
        """Whether it is known of all that ran when this controller began what runs of it."""
        for record in self._live(world.roster):
            if record.attempt is None:
                continue
            track = world.watch.track(record.attempt.key)
            for node in record.attempt.allocation.nodes:
                group = track.group(node)
                if group.started is not None or group.over:
                    continue
                patience = _UNSETTLED_SECONDS if world.watch.node(node).up else EXPIRED
                if now - world.began < patience:
                    return False
        return True

    # Writing and acting

    def _settle(self, decided: Decided, now: float) -> None:
        """Take over what was written down."""
        before = self._world.roster.jobs
        for one in decided.records:
            fresh = one.job.id not in before or before[one.job.id].attempt is None
            attempt = one.attempt
            if attempt is not None and (fresh or before[one.job.id].attempt != attempt):
                self._ports.setdefault(attempt.allocation.nodes[0], {})[attempt.port] = now
        released = {one.key for one in decided.actions if isinstance(one, Release)}
        roster = self._world.roster.after(decided.records)
        gone = {one.job.id for one in decided.records if one.job.id not in roster.jobs}
        world = replace(self._world, roster=roster)
        if released:
            world = replace(world, watch=world.watch.without(released))
        if gone:
            world = replace(
                world,
                shelves={job: one for job, one in world.shelves.items() if job not in gone},
                diagnoses={key: one for key, one in world.diagnoses.items() if key.job not in gone},
                paired={job: one for job, one in world.paired.items() if job not in gone},
            )
        self._world = world
        self.transitions += len(decided.records)

    def _act(self, number: int, action: Action) -> None:
        self._failpoint("before an action")
        records = self._world.roster.jobs
        if isinstance(action, Launch | Stop | Kill):
            self._owed += self._underway.take(number, action, records)
        elif isinstance(action, Dump):
            record = records.get(action.key.job)
            if record is not None and record.attempt is not None and record.attempt.key == action.key:
                for node in record.attempt.allocation.nodes:
                    self._dump(action.key, node)
            self._owed.append(number)
        elif isinstance(action, Release):
            self._owed += (number, *self._underway.release(action.key, records))
            self._progress.pop(action.key, None)
        elif number not in self._handed:
            self._handed.add(number)
            if isinstance(action, Examine):
                self._examined[number] = action.nodes
                self._world = replace(self._world, places=self._looked_at(self._world.places))
            elif isinstance(action, AskPower):
                self._asked[number] = action.node
                self._world = replace(self._world, power=power.begun(self._world.power, action.node, self._now()))
            job = action.key.job if hasattr(action, "key") else getattr(action, "job", None)
            self._hands.take(number, action, records.get(job) if job is not None else None)
        self._failpoint("after an action")

    def _given(self, now: float) -> dict[str, frozenset[int]]:
        """Ports that were given on a node in the last hour."""
        since = now - PORT_SECONDS
        self._ports = {
            node: kept
            for node, ports in self._ports.items()
            if (kept := {port: at for port, at in ports.items() if at > since})
        }
        return {node: frozenset(ports) for node, ports in self._ports.items()}


def _require_latest(reports: Iterable[Report]) -> None:
    """Refuse to decide beside a later controller.

    Raises:
        ConflictError: A node has seen one (`controller.deposed`).
    """
    for one in reports:
        if isinstance(one, Deposed):
            raise ConflictError(
                f"{one.node} obeys a later controller of this cluster: its store was restored on another head, which "
                "looks after the jobs now; this one has ended and changed nothing",
                code="controller.deposed",
                hints=[
                    "keep it from starting again here: `systemctl disable --now aiops-controller`",
                    "to make this the head again, stop the other and bring its store here: `aiops controller restore`",
                ],
            )
