"""The controller is ended while its hands are at work, under the rules of a cluster: all of their work is done."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.l2_jobs.controller.rig import ANN, FakeEngine, Killed, Rig, Truth, job
from tests.l2_jobs.controller.test_killed import Fuse

from aiops.layers.l2_jobs.action import Action, Diagnose, Drain, Examine, Notify, SetAside, TryPairs, Verify
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint, Level
from aiops.layers.l2_jobs.controller.controller import Answers, Controller
from aiops.layers.l2_jobs.controller.ledger import Failpoint, Ledger
from aiops.layers.l2_jobs.decide import decide
from aiops.layers.l2_jobs.fault.fault import Fault
from aiops.layers.l2_jobs.job import CheckpointPlan
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.pair_test import Paired, PairResult
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Signed
from aiops.layers.l2_jobs.request import Submit
from aiops.layers.l2_jobs.shelf import Shelf

NAMES = ("n1", "n2", "n3")
GOOD = Checkpoint(10, "/c/10", "files", Level.STRUCTURE, verified=True, why=None, world_size=2, size=1, written=None)
BAD = replace(GOOD, step=20, path="/c/20", verified=False, why="it is cut off")
LATE = 3
"""Looks at the answers until a hand has done what it was given."""


@dataclass
class World(Truth):
    """What outlives controllers: also what hands have done."""

    signed: list[Signed] = field(default_factory=list)
    drained: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    looks: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    def place(self, name: str, now: float) -> Place:
        closed = "drained" if name in self.drained else ""
        return Place(name, "ssh", verdict="ok", verdict_at=now, closed=closed)


class LateHands:
    """Does everything some looks later, one at a time; what it was given is forgotten with its controller."""

    def __init__(self, rig: "LateRig", failpoint: Failpoint) -> None:
        self.rig = rig
        self.failpoint = failpoint
        self.tasks: list[tuple[int, int, Action, float]] = []
        self.turn = 0

    def take(self, number: int, action: Action, record: JobRecord | None) -> None:
        del record
        self.tasks.append((self.turn + LATE, number, action, self.rig.now))

    def answers(self) -> Answers:
        self.turn += 1
        due = [one for one in self.tasks if one[0] <= self.turn][:1]
        self.tasks = [one for one in self.tasks if one not in due]
        found = Answers()
        for _, number, action, began in due:
            self.failpoint("before a hand's work")
            found = self.done(number, action, began)
            self.failpoint("after a hand's work")
        return found

    def done(self, number: int, action: Action, began: float) -> Answers:
        truth, now = self.rig.world, self.rig.now
        truth.looks[type(action).__name__] += 1
        places: dict[str, Place] | None = None
        shelves: Mapping[str, Shelf] | None = None
        diagnoses: Mapping[Key, Fault | None] | None = None
        match action:
            case Drain(node, _):
                truth.drained.append(node)
                places = {node: truth.place(node, now)}
            case SetAside(_, path, _):
                truth.aside.append(path)
            case Notify(name, message):
                truth.messages.append((name, message))
            case Examine(nodes):
                places = {name: truth.place(name, now) for name in nodes}
            case Diagnose(key):
                diagnoses = {key: None}
            case Verify(name):
                left = () if BAD.path in truth.aside else (BAD,)
                shelves = {name: Shelf(began, (GOOD, *left), answered=now)}
            case TryPairs(key, round_, pairs):
                results = tuple(PairResult(pair, "n1" not in pair.nodes) for pair in pairs)
                return Answers((number,), paired={key.job: Paired(key.number, round_, results)})
            case _:
                raise AssertionError(action)
        return Answers((number,), places, shelves, diagnoses)


class LateEngine(FakeEngine):
    """Tells the lines of the kernel's log again to whoever begins to listen."""

    def __init__(self, truth: World) -> None:
        super().__init__(truth)
        self._reports += truth.signed

    def sign(self, one: Signed) -> None:
        self._reports.append(one)


class LateRig(Rig):
    """A rig with the rules that run a cluster, and hands that are slow."""

    def __init__(self, home: Path) -> None:
        self.world = World()
        super().__init__(home, self.world, decide)
        self.now = 10.0

    def controller(self, failpoint: Failpoint) -> Controller:  # type: ignore[override]
        self.engine = LateEngine(self.world)
        return Controller(
            Ledger(self.store, failpoint),
            {"ssh": self.engine},
            self.decide,
            LateHands(self, failpoint),
            lambda: self.now,
            dump=lambda _key, _node: None,
            failpoint=failpoint,
        )

    def begin(self, failpoint: Failpoint) -> Controller:  # type: ignore[override]
        controller = self.controller(failpoint)
        controller.begin({name: replace(self.world.place(name, self.now), verdict_at=None) for name in NAMES})
        return controller


def story(rig: LateRig, fuse: Fuse) -> None:
    """A job runs, the kernel of one of its nodes tells of its death, and it goes on elsewhere to the end."""
    controller: Controller | None = None

    def going(count: int) -> None:
        nonlocal controller
        for _ in range(count):
            try:
                rig.now += 1.0
                if controller is None:
                    controller = rig.begin(fuse)
                controller.tick()
            except Killed:
                controller = None

    def until(state: str, number: int) -> None:
        for _ in range(80):
            going(1)
            record = rig.ledger.written(["sleep-1"]).get("sleep-1")
            if record is not None and record.state == state and record.launched == number:
                return
        raise AssertionError((state, number, rig.ledger.record("sleep-1"), fuse.places[-5:]))

    rig.ledger.append(Submit(replace(job(1), checkpoint=CheckpointPlan("/c"))), ANN, rig.now)
    until("running", 1)
    fallen = Signed(None, "n1", rig.now, "gpu_lost", "Xid 79", immediate=True, source="kernel")
    rig.world.signed.append(fallen)
    if controller is not None:
        rig.engine.sign(fallen)  # type: ignore[attr-defined]
    until("running", 2)
    for key, _ in list(rig.truth.running):
        rig.engine.end(key)
    until("succeeded", 2)
    fuse.left = 0
    going(2 * LATE * 4)


def check(rig: LateRig) -> None:
    begun = Counter(rig.truth.begun)
    assert max(begun.values()) == 1, "a rank group was begun twice"
    assert {key.number for key, _ in begun} == {1, 2}
    assert {node for key, node in begun if key.number == 2} == {"n2", "n3"}, "it went on where it had failed"
    assert set(rig.world.drained) == {"n1"}
    assert set(rig.world.aside) == {"/c/20"}
    assert rig.ledger.open_actions() == (), "something was not done"
    assert rig.ledger.asked() == ()
    assert [row.attempt.step for row in rig.ledger.attempts("sleep-1")][-1] == GOOD.step
    kinds = Counter(told.decision.kind for told in rig.ledger.decisions("sleep-1"))
    assert kinds["node_drained"] == kinds["checkpoint_rejected"] == kinds["job_succeeded"] == 1, kinds


def test_between_any_two_statements_of_slow_hands(tmp_path: Path) -> None:
    fuse = Fuse(0)
    rig = LateRig(tmp_path / "whole")
    story(rig, fuse)
    check(rig)
    assert {"Verify", "SetAside", "Drain", "Examine", "Diagnose"} <= set(rig.world.looks)
    hands = [number for number, place in enumerate(fuse.places, 1) if place.endswith("a hand's work")]
    assert len(hands) >= 12
    others = [number for number, place in enumerate(fuse.places, 1) if place in {"decided", "committed", "told"}]
    for number in sorted({*hands, *others[:: max(1, len(others) // 12)]}):
        rig = LateRig(tmp_path / str(number))
        story(rig, Fuse(number))
        check(rig)
        rig.store.close()
