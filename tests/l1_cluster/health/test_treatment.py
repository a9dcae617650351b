"""Repairs as they are done: what is written down before, who is given back, and what a kill leaves behind."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.fake_workload import FakeWorkload

from aiops.layers.core.errors import AiopsError, UnreachableError
from aiops.layers.core.event import Event, EventStream
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.vendor import Reset
from aiops.layers.l1_cluster.draining import Standing, standings
from aiops.layers.l1_cluster.health.attempt import WINDOW
from aiops.layers.l1_cluster.health.casebook import Look, Room, Treated, boots_before
from aiops.layers.l1_cluster.health.conduct import Ward, decide
from aiops.layers.l1_cluster.health.episode import Episode
from aiops.layers.l1_cluster.health.hold_reason import OPERATOR, POLICY, REASON
from aiops.layers.l1_cluster.health.means import Means
from aiops.layers.l1_cluster.health.node_state import NodeState, StateChange, allowed
from aiops.layers.l1_cluster.health.register import Register
from aiops.layers.l1_cluster.health.remedy import Case, Remedy, remedy_of
from aiops.layers.l1_cluster.health.site import Policy
from aiops.layers.l1_cluster.health.treatment import Treatment
from aiops.layers.l1_cluster.health.verdict import Action, Verdict
from aiops.layers.l1_cluster.playbook import Played, TaskFailure

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
RESET = Reset((("tool", "--reset", "3"),), (Accelerator("acme", index=3, bus="0000:18:00.0"),), ("daemon.service",))


class KilledError(BaseException):
    """Somebody has killed us."""


@dataclass
class World:
    """Nodes that are drained for a fault, a workload, and all that a treatment reaches."""

    folder: Path
    store: Store
    names: tuple[str, ...] = ("n1",)
    action: Action = "reset_device"
    cures: bool = True
    reason: str = f"{REASON} gpu.ecc, run r-0: 2 errors"
    failing: dict[str, str] = field(default_factory=dict)
    unreachable: bool = False
    boots_late: bool = False
    unreached: dict[str, AiopsError] = field(default_factory=dict)
    unknown_looks: int = 0
    kill_at: int | None = None
    moments: int = 0
    seconds: float = 0.0
    acts: list[tuple[str, ...]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    resettable: bool = True
    repaired: dict[str, datetime] = field(default_factory=dict)
    epoch: int = 1
    actor: str = "alice on head"

    def __post_init__(self) -> None:
        self.lost = threading.Event()
        self.workload = FakeWorkload(*self.names)
        self.workload.reasons = dict.fromkeys(self.names, self.reason)
        self.workload.session = lambda name: self.boots[name]
        self.boots = dict.fromkeys(self.names, "b1")
        self.ill = set(self.names)
        self.register = Register(self.store, "c")
        changes = [StateChange(name, AT, "ready", "draining", "x", actor="policy") for name in self.names]
        self.register.enter([*changes, *(replace(one, before="draining", after="drained") for one in changes)])

    # the clock, the lock and the gate

    def now(self) -> datetime:
        return AT + timedelta(seconds=60 + self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def tick(self) -> None:
        """A moment at which we may be killed."""
        self.moments += 1
        if self.kill_at == self.moments:
            raise KilledError

    def guard(self) -> None:
        self.tick()

    def renew(self) -> None:
        pass

    def surpass(self, seen: int) -> None:
        self.epoch = seen + 1

    def open(self, nodes: Sequence[Node], epoch: int, programs: Mapping[str, str]) -> dict[str, AiopsError]:
        del epoch, programs
        return {node.name: self.unreached[node.name] for node in nodes if node.name in self.unreached}

    # what the nodes do

    def apply(self, phase: str, hosts: Path, **_: Any) -> Played:
        self.tick()
        step = phase.removeprefix("repair-")
        names = (hosts.parent / "limit").read_text().split()
        self.told = yaml.safe_load(hosts.read_text())["all"]["hosts"]
        assert set(self.told) == set(names)
        self.acts.append((step, *names))
        for name in names:
            assert self.register.states()[name] == "repairing", "it was written down before"
            if name not in self.failing:
                self.boots[name] = f"b{int(self.boots[name][1:]) + 1}" if step == "reboot" else self.boots[name]
                self.ill -= {name} if self.cures else set()
            elif self.boots_late:
                self.boots[name] = "b9"
        away = self.unreachable
        failures = {
            name: TaskFailure(name, "Reset", self.failing[name], unreachable=away)
            for name in names
            if name in self.failing
        }
        self.tick()
        return Played(failures)

    def facts(self, nodes: Sequence[Node]) -> dict[str, Facts]:
        return {node.name: Facts(node.name, self.now(), boot_id=self.boots[node.name]) for node in nodes}

    def look(self, nodes: Sequence[Node], repaired: Mapping[str, datetime]) -> Look:
        self.tick()
        self.repaired = dict(repaired)
        verdicts: dict[str, Verdict] = {n.name: "critical" if n.name in self.ill else "ok" for n in nodes}
        if self.unknown_looks > 0:
            self.unknown_looks -= 1
            verdicts = {node.name: "unknown" for node in nodes}
        return Look(verdicts, {node.name: self.episodes(node.name) for node in nodes})

    def episodes(self, name: str) -> list[Episode]:
        bad = Episode(name, "gpu.ecc", "GPU 3", "critical", "2 errors", AT, AT, action=self.action)
        return [bad] if name in self.ill else []

    # the command

    def plan(self, wish: Action | None = None) -> tuple[dict[str, Case], dict[str, Remedy]]:
        nodes = [node_called(name) for name in self.names]
        found, states = standings([self.workload], nodes), self.register.states()
        cases = {}
        for name in self.names:
            own = self.episodes(name)
            means = Means({one.key: (RESET,) for one in own}, {one.key: ("a.service",) for one in own}, (RESET,))
            means = means if self.resettable else Means()
            changes = self.register.changes(self.now() - WINDOW, [name])
            cases[name] = Case(name, self.now(), states.get(name, "new"), found.get(name), own, changes, means)
        return cases, {name: remedy_of(one, wish) for name, one in cases.items()}

    def repair(self, wish: Action | None = None, at_once: int = 10) -> dict[str, Treated]:
        """`aiops node repair`, once."""
        cases, remedies = self.plan(wish)
        nodes = [node_called(name) for name in self.names if remedies[name].step is not None]
        stream = EventStream(f"r-{len(self.events)}", self)
        stream.subscribe(self.events.append)
        away = boots_before(self.events)
        room = Room(
            Ticking(self.register, self.tick),  # type: ignore[arg-type]  # it has what is used of it
            [Ticking(self.workload, self.tick)],
            stream,
            self,
            self,
            self,
            self.actor,
            self.folder,
            lambda _: self,
            self.facts,
            self.look,
            {name: away[name] for name in self.names if remedies[name].resumed and name in away},
        )
        return Treatment(room, cases, self.facts(nodes), wished=wish is not None).treat(nodes, remedies, at_once)

    def states(self) -> list[NodeState]:
        return [one.after for one in self.register.changes(AT - timedelta(days=1), ["n1"])][2:]


class Ticking:
    """What may be killed before and after each of its calls that changes something."""

    def __init__(self, behind: Any, tick: Callable[[], None]) -> None:
        self._behind = behind
        self._tick = tick

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._behind, name)
        if name not in {"enter", "resume"}:
            return found

        def call(*words: Any, **named: Any) -> Any:
            self._tick()
            result = found(*words, **named)
            self._tick()
            return result

        return call


def node_called(name: str) -> Node:
    return Node(name)


Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    stores: list[Store] = []

    def new(**more: Any) -> World:
        folder = tmp_path / str(len(stores))
        folder.mkdir()
        stores.append(Store.open(folder, {}).__enter__())
        return World(folder, stores[-1], **more)

    yield new
    for store in stores:
        store.__exit__(None, None, None)


def test_a_node_goes_through_all_states_and_is_given_back(make: Make) -> None:
    world = make()
    done = world.repair()["n1"]
    assert (done.outcome, done.failed) == ("well", False)
    assert world.states() == ["repairing", "validating", "ready"]
    assert world.workload.reasons == {}
    assert set(world.repaired) == set(world.register.repaired(AT)) == {"n1"}
    first = world.register.changes(AT - timedelta(days=1))[2]
    assert (first.cause, first.finding, first.actor, first.run) == (
        "reset_device: gpu.ecc: GPU 3: 2 errors",
        "gpu.ecc",
        "alice on head",
        "r-0",
    )
    assert world.told["n1"]["aiops_repair"] == {
        "commands": [["tool", "--reset", "3"]],
        "holders": ["daemon.service"],
        "told": ["aiops: GPU 0000:18:00.0 was reset"],
    }


def test_whom_a_person_has_drained_stays_drained(make: Make) -> None:
    world = make(reason=f"{OPERATOR} bob, run r-0: cable")
    done = world.repair()["n1"]
    assert (done.outcome, done.failed, done.hint) == ("kept", False, "give it back: `aiops node resume n1`")
    assert world.states() == ["repairing", "validating", "drained"]
    assert "n1" in world.workload.reasons


def test_what_is_still_critical_stays_drained_and_the_next_step_is_named(make: Make) -> None:
    world = make(cures=False)
    outcomes = []
    for _ in range(3):
        done = world.repair()["n1"]
        outcomes.append((done.step, done.outcome, done.failed))
        assert "n1" in world.workload.reasons
    assert outcomes == [
        ("reset_device", "failed", True),
        ("reboot", "failed", True),
        ("service", "rma", True),
    ]
    assert world.states()[-1] == "rma"
    assert world.plan()[1]["n1"].step is None, "rma is sticky"


def test_service_that_a_person_wants_is_no_failure(make: Make) -> None:
    world = make()
    done = world.repair("service")["n1"]
    assert (done.outcome, done.failed) == ("rma", False)
    assert world.acts == []


def test_one_node_s_failure_stops_no_other(make: Make) -> None:
    world = make(names=("n1", "n2", "n3"), failing={"n2": "In use by another client"})
    world.unreached["n3"] = UnreachableError("n3 did not answer", code="ssh.timeout")
    done = world.repair()
    assert {name: one.outcome for name, one in done.items()} == {"n1": "well", "n2": "failed", "n3": "failed"}
    assert done["n2"].words == "reset_device failed: In use by another client"
    assert done["n2"].hint == "the next step is reboot: `aiops node repair n2`"
    assert done["n3"].words == "nothing was done: n3 did not answer"
    assert world.register.states() == {"n1": "ready", "n2": "drained", "n3": "drained"}


def test_only_so_many_nodes_are_worked_on_at_once(make: Make) -> None:
    world = make(names=("n1", "n2", "n3"))
    world.repair(at_once=2)
    assert world.acts == [("reset_device", "n1", "n2"), ("reset_device", "n3")]


@pytest.mark.parametrize(
    "moved", ["given back", "drained by somebody else", "out for service", "unknown", "taken over by a person"]
)
def test_who_is_not_ours_any_more_when_its_turn_comes_is_not_touched(make: Make, moved: str) -> None:
    world = make(names=("n1", "n2"))
    apply = world.apply

    def meanwhile(phase: str, hosts: Path, **more: Any) -> Played:
        played = apply(phase, hosts, **more)
        if moved == "given back":
            del world.workload.reasons["n2"]
        elif moved == "drained by somebody else":
            world.workload.reasons["n2"] = "bob: I am on it"
        elif moved == "taken over by a person":
            world.workload.reasons["n2"] = f"{OPERATOR} bob, run r-9: cable"
        elif moved == "out for service":
            world.register.enter([StateChange("n2", world.now(), "drained", "rma", "x", actor="bob")])
        else:
            world.workload.standings = lambda nodes: {n.name: Standing("unknown", "?") for n in nodes}  # type: ignore[method-assign]
        return played

    world.apply = meanwhile  # type: ignore[method-assign]
    world.actor = POLICY
    done = world.repair(at_once=1)["n2"]
    assert done.failed
    assert done.words.startswith("nothing was done: ")
    assert done.hint
    assert world.acts == [("reset_device", "n1")]
    assert world.register.states()["n2"] == ("rma" if moved == "out for service" else "drained")


def test_what_is_not_known_yet_is_asked_again_and_never_taken_for_well(make: Make) -> None:
    world = make(unknown_looks=3)
    assert world.repair()["n1"].outcome == "well"
    world = make(unknown_looks=1000)
    done = world.repair()["n1"]
    assert done.outcome == "failed"
    assert "it is not known how it is" in done.words
    assert 120 <= world.seconds < 130
    assert "n1" in world.workload.reasons


def test_a_node_that_does_not_boot_has_failed(make: Make) -> None:
    world = make(action="reboot")
    world.workload.session = lambda _: "1"
    late = world.repair()["n1"]
    assert (late.outcome, late.words) == (
        "failed",
        "reboot: it is well, and whoever gives it work has not heard of it since",
    )
    world = make(action="reboot")
    world.facts = lambda nodes: {n.name: Facts(n.name, AT, boot_id="b1") for n in nodes}  # type: ignore[method-assign]
    assert "its boot id is the same" in world.repair()["n1"].words


def test_a_node_that_a_step_never_reaches_is_left_to_a_person_and_not_put_out_for_service(make: Make) -> None:
    world = make(action="reboot", failing={"n1": "No route to host"}, unreachable=True)
    first = world.repair()["n1"]
    assert first.words == "it was not done: reboot failed: No route to host"
    assert first.hint == "the next step is reboot: `aiops node repair n1`"
    second = world.repair()["n1"]
    assert second.hint == "see why, then: `aiops node repair n1 --action reboot`"
    held = world.plan()[1]["n1"]
    assert (held.step, held.held) == (None, True)
    assert held.why == "2 tries in a row were not done; last: reboot failed: No route to host"
    world.failing.clear()
    assert world.repair("reboot")["n1"].outcome == "well"


def test_a_reboot_of_which_the_boot_id_tells_that_it_was_not_done_is_no_attempt(make: Make) -> None:
    world = make(action="reboot", failing={"n1": "timed out"})
    assert world.repair()["n1"].words.startswith("it was not done: reboot failed")
    world = make(action="reboot", cures=False, failing={"n1": "timed out"}, boots_late=True)
    assert world.repair()["n1"].words == "reboot failed: timed out"
    assert world.plan()[1]["n1"].step == "service"


def test_a_reset_that_failed_on_the_node_is_followed_by_the_next_step(make: Make) -> None:
    world = make(failing={"n1": "In use"})
    world.repair()
    assert world.plan()[1]["n1"].step == "reboot"
    away = make(failing={"n1": "No route to host"}, unreachable=True)
    away.repair()
    assert away.plan()[1]["n1"].step == "reset_device"


def test_rebooted_nodes_are_waited_for_together_and_given_back_at_once(make: Make) -> None:
    names = tuple(f"n{number}" for number in range(1, 7))
    world = make(names=names, action="reboot")
    silent = {"n2", "n4", "n5"}
    world.workload.session = lambda name: "1" if name in silent else world.boots[name]
    done = world.repair()
    assert {name for name, one in done.items() if one.outcome == "failed"} == silent
    assert {name for name, one in done.items() if one.outcome == "well"} == set(names) - silent
    assert 60 <= world.seconds < 70, "one minute for all of them"
    assert [act for act in world.workload.acts if act[0] == "resume"] == [("resume", ("n1", "n3", "n6"))]


def test_who_was_taken_over_during_its_repair_is_kept_for_that_person(make: Make) -> None:
    world = make()
    look = world.look

    def meanwhile(nodes: Sequence[Node], repaired: Mapping[str, datetime]) -> Look:
        world.workload.reasons["n1"] = f"{OPERATOR} bob, run r-9: cable"
        return look(nodes, repaired)

    world.look = meanwhile  # type: ignore[method-assign]
    assert world.repair()["n1"].outcome == "kept"
    assert world.workload.reasons == {"n1": f"{OPERATOR} bob, run r-9: cable"}


def test_nothing_is_restarted_for_a_job_on_a_node_without_one(make: Make) -> None:
    world = make(action="restart_app")
    world.ill = set()
    assert world.repair("restart_app")["n1"].outcome == "well"
    assert (world.acts, world.states()) == ([], ["validating", "ready"])
    assert (world.repaired, world.register.repaired(AT)) == ({}, {}), "a look alone cures nothing"


def test_a_step_that_cannot_be_taken_any_more_has_repaired_nothing(make: Make) -> None:
    world = make(kill_at=4)
    with pytest.raises(KilledError):
        world.repair()
    assert world.states() == ["repairing"]
    world.kill_at, world.resettable = None, False
    assert world.repair()["n1"].step == "restart_app"
    assert world.states() == ["repairing", "validating", "drained"]
    assert (world.repaired, world.register.repaired(AT)) == ({}, {})


@pytest.mark.parametrize("action", ["reset_device", "restart_service", "reboot"])
def test_killed_at_any_moment_the_same_command_goes_on(make: Make, action: Action) -> None:
    moment, killed = 0, True
    while killed:
        moment += 1
        world = make(action=action, kill_at=moment)
        try:
            world.repair()
            killed = False
        except KilledError:
            world.kill_at = None
            world.seconds += 120
            if world.plan()[1]["n1"].step is not None:
                world.repair()
        assert world.workload.reasons == {}, moment
        assert not world.ill
        if action == "reboot":
            assert world.boots == {"n1": "b2"}, f"it was rebooted twice: {moment}"
        changes = world.register.changes(AT - timedelta(days=1))
        assert all(allowed(one.before, one.after) for one in changes)
        if changes[-1].after != "ready":  # killed between giving it back and writing that down: the next look sees it
            found = standings([world.workload], [node_called("n1")])
            ward = Ward(world.now(), (), {"n1": "ok"}, world.register.states(), found, {}, last={"n1": changes[-1]})
            (became,) = decide(ward, Policy()).became
            assert (became.before, became.after) == ("validating", "ready")
    assert moment > 10
