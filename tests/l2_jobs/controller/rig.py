"""A controller with a fake engine that knows the truth: what runs, how often it was begun, across controllers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from aiops.layers.core.store import Store
from aiops.layers.l2_jobs.action import Action, Decided, Decision, Kill, Launch, Notify, Release
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.controller.controller import Answers, Controller
from aiops.layers.l2_jobs.controller.ledger import Failpoint, Ledger, nothing
from aiops.layers.l2_jobs.defects import Defects
from aiops.layers.l2_jobs.job import Account, Devices, Job, Span
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Ended, Heard, Report, Started
from aiops.layers.l2_jobs.request import Cancel, Submit
from aiops.layers.l2_jobs.world import World

ANN = Account("ann", 1001, 1001)
NODES = ("n1", "n2")


class Killed(BaseException):
    """The controller was ended as `kill -9` does: nothing of it goes on."""


def job(number: int, name: str = "sleep") -> Job:
    return Job(
        id=f"{name}-{number}",
        name=name,
        owner=ANN,
        kind="batch",
        command=("sleep", "1"),
        launch="command",
        nodes=Span(2, 2),
        devices=Devices(),
        processes=1,
        folder="/",
        submitted=datetime(2026, 11, 28, tzinfo=UTC),
    )


class Truth:
    """What really runs on the nodes; it outlives controllers, and tells each new one what it asks."""

    def __init__(self) -> None:
        self.begun: list[tuple[Key, str]] = []
        self.running: set[tuple[Key, str]] = set()
        self.over: dict[tuple[Key, str], str] = {}
        self.messages: list[tuple[str, str]] = []


class FakeEngine:
    """Starts each rank group once, whoever asks and however often; a controller that is gone hears nothing."""

    name = "ssh"

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.followed: set[Key] = set()
        self._reports: list[Report] = []

    def start(self, job: Job, attempt: Attempt) -> None:
        for node in attempt.allocation.nodes:
            place = (attempt.key, node)
            if place not in self.truth.running and place not in self.truth.over:
                self.truth.begun.append(place)
                self.truth.running.add(place)
        self.follow(attempt.key, attempt.allocation.nodes)

    def follow(self, key: Key, nodes: Sequence[str]) -> None:
        self.followed.add(key)
        for node in nodes:
            self._reports.append(Heard(node, 0.0, "boot"))
            if (key, node) in self.truth.running:
                self._reports.append(Started(key, node, 0.0, "boot"))
            else:
                self._reports.append(Ended(key, node, 0.0, self.truth.over.get((key, node), "lost")))  # type: ignore[arg-type]

    def end(self, key: Key, how: str = "done") -> None:
        for place in [one for one in self.truth.running if one[0] == key]:
            self.truth.running.discard(place)
            self.truth.over[place] = how
            if key in self.followed:
                self._reports.append(Ended(key, place[1], 0.0, how))  # type: ignore[arg-type]

    def told(self, report: Report) -> None:
        """Something comes from a node."""
        self._reports.append(report)

    def stop(self, key: Key, *, seconds: float) -> None:
        self.end(key, "stopped")

    def kill(self, key: Key, nodes: Sequence[str]) -> None:
        for node in nodes:
            if (key, node) in self.truth.running:
                self.truth.running.discard((key, node))
                self.truth.over[key, node] = "stopped"
            self._reports.append(Ended(key, node, 0.0, "stopped"))

    def adopt(self, running: Mapping[Key, tuple[Job, Attempt]]) -> None:
        for key, (_, attempt) in running.items():
            self.follow(key, attempt.allocation.nodes)

    def release(self, key: Key) -> None:
        self.followed.discard(key)

    def reports(self) -> list[Report]:
        taken, self._reports = self._reports, []
        return taken

    def close(self) -> None:
        return


class FakeHands:
    """Does everything at once, and knows what it has told."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._done: list[int] = []

    def take(self, number: int, action: Action, record: JobRecord | None) -> None:
        if isinstance(action, Notify):
            self._truth.messages.append((action.job, action.message))
        self._done.append(number)

    def finish(self, *numbers: int) -> None:
        """Something is done that was taken before."""
        self._done += numbers

    def answers(self) -> Answers:
        done, self._done = tuple(self._done), []
        return Answers(done)


def simple(world: World, now: float) -> Decided:
    """Starts what is queued, ends what has ended; a group that is lost makes another attempt, as a real one would."""
    records: dict[str, JobRecord] = {}
    decisions: list[Decision] = []
    actions: list[Action] = []
    for request in world.requests:
        if isinstance(request, Submit):
            records[request.job.id] = JobRecord(request.job, "queued", now)
        elif isinstance(request, Cancel) and (found := world.roster.jobs.get(request.job)) and found.attempt:
            records[request.job] = replace(found, state="stopping", after="cancelled", stop="cancel", since=now)
            actions.append(Kill(found.attempt.key, found.attempt.allocation.nodes))
    for name, record in world.roster.jobs.items():
        if name in records:
            continue
        if record.state == "queued" and world.settled:
            attempt = Attempt(
                Key(name, record.launched + 1), "ssh", Allocation(tuple(Slot(node) for node in NODES)), 20000
            )
            records[name] = replace(record, state="starting", since=now, attempt=attempt, launched=record.launched + 1)
            decisions.append(
                Decision(name, now, "job_started", f"attempt {attempt.key.number}", {}, record.launched + 1)
            )
            actions.append(Launch(attempt))
        elif record.attempt is not None and record.state in {"starting", "running", "stopping"} and world.settled:
            track = world.watch.track(record.attempt.key)
            groups = [track.group(node) for node in record.attempt.allocation.nodes]
            if all(group.over for group in groups):
                lost = any(group.ended is not None and group.ended.end == "lost" for group in groups)
                state = "queued" if lost else record.after or "succeeded"
                records[name] = replace(record, state=state, since=now, reason="it has ended")
                decisions.append(Decision(name, now, f"job_{state}", "it has ended", {}, record.launched))
                actions += [Release(record.attempt.key), Notify(name, state)]
            elif record.state == "starting" and all(group.started is not None for group in groups):
                records[name] = replace(record, state="running", since=now)
    return Decided(tuple(records.values()), tuple(decisions), tuple(actions))


class Rig:
    """One controller on a store; `again` makes its successor."""

    def __init__(
        self, home: Path, truth: Truth | None = None, decide: Callable[[World, float], Decided] = simple
    ) -> None:
        self.home = home
        self.truth = truth or Truth()
        self.decide = decide
        self.now = 1000.0
        self.store = Store.open(home, {})
        self.ledger = Ledger(self.store)
        self.defects = Defects()

    def controller(self, failpoint: Failpoint = nothing) -> Controller:
        self.engine = FakeEngine(self.truth)
        return Controller(
            Ledger(self.store, failpoint),
            {"ssh": self.engine},
            self.decide,
            FakeHands(self.truth),
            lambda: self.now,
            dump=lambda _key, _node: None,
            failpoint=failpoint,
            defects=self.defects,
        )

    def begin(self, failpoint: Failpoint = nothing) -> Controller:
        controller = self.controller(failpoint)
        controller.begin({name: Place(name, "ssh", verdict="ok") for name in NODES})
        return controller

    def ticks(self, controller: Controller, count: int = 8) -> None:
        for _ in range(count):
            self.now += 1.0
            controller.tick()

    def submit(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.ledger.append(Submit(job(number)), ANN, self.now)
