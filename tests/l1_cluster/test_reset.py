"""A reset over a fleet of fake nodes: who goes when, what is told, what is forgotten; and the members of a cluster."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.command import Command
from aiops.layers.core.errors import ConflictError, FailedError, InputError, UnreachableError
from aiops.layers.core.event import Event, EventStream
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Become, Connection, Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l1_cluster.draining import Standing
from aiops.layers.l1_cluster.ledger import Ledger
from aiops.layers.l1_cluster.member import Members, choose
from aiops.layers.l1_cluster.remote import notebook
from aiops.layers.l1_cluster.remote.fence import STALE_STATUS
from aiops.layers.l1_cluster.reset import Doors, Ended, Request, look, reset, summary, waves
from aiops.layers.l1_cluster.run import Result
from aiops.layers.l1_cluster.status import standing
from aiops.layers.l1_cluster.stranger import Machine, strangers
from aiops.layers.l1_cluster.undone import Undo, Undone

ROLES = {"head": {"head"}, "w1": {"workers"}, "w2": {"workers"}, "s1": {"storage"}, "both": {"workers", "storage"}}
DONE = [{"key": "file:/etc/x", "action": "delete", "found": "file", "expected": "absent"}]


def node(name: str) -> Node:
    return Node(
        name,
        ("all_of_them",),
        frozenset(ROLES[name]),
        Connection(address=f"10.0.0.{1 + list(ROLES).index(name)}", port=2222),
    )


class Working:
    """Who runs work on some nodes."""

    name = "Slurm"

    def __init__(self, work: dict[str, tuple[str, ...]]) -> None:
        self._work = work

    def standings(self, nodes: Sequence[Node]) -> dict[str, Standing]:
        return {one.name: Standing("in_service", work=self._work.get(one.name, ())) for one in nodes}

    def drain(self, nodes: Sequence[Node], reason: str, epoch: int) -> None:
        raise AssertionError(f"{len(nodes)} nodes drained under {epoch}: {reason}")

    def resume(self, nodes: Sequence[Node], epoch: int) -> None:
        raise AssertionError(f"{len(nodes)} nodes resumed under {epoch}")


class World:
    """A cluster whose nodes answer as they are told, and remember in which order they were asked."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("head", "w1", "w2")) -> None:
        self.nodes = tuple(node(name) for name in names)
        self.members = Members.of(folder)
        self.members.keep(self.nodes)
        self.asked: list[tuple[str, bool, str]] = []  # node, whether it acted, whole
        self.answers: dict[str, dict[str, Any]] = {}
        self.dead: set[str] = set()
        self.dying: set[str] = set()
        self.garbled: set[str] = set()
        self.loses_at = ""
        self.confirmed = True
        self.loses_lock = False
        self.shown: list[tuple[str, ...]] = []
        self.working: dict[str, tuple[str, ...]] = {}
        self.events: list[Event] = []
        self.lost = threading.Event()
        self.forgot_lock = 0
        self.gone: set[str] = set()
        self.epoch = 7
        self.ahead: dict[str, int] = {}  # nodes that have seen a higher epoch than ours

    def connect(self, one: Node) -> Transport:
        return FakeTransport(one, {"python3": lambda command: self.run(one.name, command)})

    def run(self, name: str, command: Command) -> tuple[int, bytes, bytes]:
        source = command.stdin.decode()
        compile(source, "program", "exec")
        if "'forget'" in source:
            self.forgot_lock += 1
            return 0, b"", b""
        if "main('" not in source:
            return 0, json.dumps({"machine": f"id-{name}", "boot": f"boot-{name}"}).encode(), b""
        request = notebook.unpack(source.rpartition("main('")[2].partition("')")[0])
        acts = not request["dry"]
        assert ("def build_gate" in source) == acts, "what changes a node asks the fence first"
        if name in self.dead or (acts and name in self.dying):
            raise UnreachableError(f"{name} did not answer", code="ssh.timeout")
        seen = self.ahead.get(name, 0)
        if acts and seen > request["epoch"]:
            return STALE_STATUS, b"", f"fence: epoch {request['epoch']} is stale, this node has seen {seen}\n".encode()
        self.asked.append((name, acts, request["whole"]))
        if acts and name == self.loses_at:
            self.lost.set()
        if acts and name in self.garbled:
            return 0, b"Welcome to w1!\n{}", b""
        machine = {"machine": f"id-{name}", "boot": f"boot-{name}"}
        answer = {"known": True, "done": DONE, "kept": [], "failed": [], "reboot": None, **machine}
        return 0, json.dumps({**answer, **self.answers.get(name, {})}).encode(), b""

    def renew(self) -> None:
        """The lock's."""

    def surpass(self, seen: int) -> None:
        self.guard()
        self.epoch = max(self.epoch, seen + 1)

    def guard(self) -> None:
        if self.lost.is_set():
            raise ConflictError("the lock was lost", code="lock.lost")

    @contextmanager
    def lock(self) -> Iterator["World"]:
        yield self

    def confirm(self, lines: Sequence[str]) -> bool:
        self.shown.append(tuple(lines))
        if self.loses_lock:
            self.lost.set()
        return self.confirmed

    def do(self, *names: str, dry: bool = False) -> Ended:
        chosen = tuple(one for one in self.nodes if not names or one.name in names)
        head = next((one for one in self.nodes if "head" in one.roles), None)
        others = tuple(one for one in self.nodes if one not in chosen and one.name not in self.gone)
        gone = frozenset(one.name for one in chosen if one.name in self.gone)
        request = Request("test", chosen, head, whole=not names, others=others, gone=gone)
        events = EventStream("r-1", SystemClock())
        events.subscribe(self.events.append)
        with Fleet(self.connect, width=1) as fleet:
            workloads = (Working(self.working),)
            doors = Doors(fleet, self.lock, self.confirm, self.members, SystemClock(), workloads)
            return (look if dry else reset)(request, doors, events)

    @property
    def remembered(self) -> list[str]:
        return [one.name for one in self.members.all()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "clusters" / "test")


def outcomes(ended: Ended) -> dict[str, str]:
    return {entry.node: entry.outcome for entry in ended.ledger if entry.phase == "reset"}


def test_workers_go_first_and_the_head_last(tmp_path: Path) -> None:
    world = World(tmp_path, ("head", "s1", "w1", "both"))
    ended = world.do()
    assert [name for name, acts, _ in world.asked if acts] == ["w1", "both", "s1", "head"]
    assert [whole for name, acts, whole in world.asked if acts] == ["", "", "", "test"]
    assert outcomes(ended) == dict.fromkeys(("w1", "both", "s1", "head"), "changed")
    assert world.remembered == []
    assert world.forgot_lock == 1


def test_a_dry_run_asks_and_changes_nothing(world: World) -> None:
    ended = world.do(dry=True)
    assert {acts for _, acts, _ in world.asked} == {False}
    assert set(ended.planned) == {"head", "w1", "w2"}
    assert world.remembered == ["head", "w1", "w2"]
    assert not world.shown


def test_a_dead_node_stops_no_other_and_keeps_the_clusters_lock_and_secrets(world: World) -> None:
    world.dead = {"w1"}
    ended = world.do()
    assert [(entry.node, entry.phase) for entry in ended.ledger.failures] == [("w1", "connect")]
    assert outcomes(ended) == {"w1": "blocked", "w2": "changed", "head": "changed"}
    assert world.remembered == ["w1"]
    assert ("head", True, "") in world.asked
    assert world.forgot_lock == 0


def test_a_node_that_dies_midway_is_named(world: World) -> None:
    world.dying = {"w2"}
    ended = world.do()
    assert [(entry.node, entry.phase, entry.reason) for entry in ended.ledger.failures] == [
        ("w2", "reset", "w2 did not answer")
    ]
    assert world.remembered == ["w2"]


def test_an_answer_that_cannot_be_understood_fails_its_node_alone(world: World) -> None:
    world.garbled = {"w1"}
    ended = world.do()
    (failure,) = ended.ledger.failures
    assert (failure.node, failure.reason) == ("w1", "w1 gave an answer that cannot be understood")
    assert outcomes(ended) == {"w1": "failed", "w2": "changed", "head": "changed"}


def test_a_lock_that_is_lost_within_a_wave_begins_no_further_node(world: World) -> None:
    world.loses_at = "w1"
    with pytest.raises(ConflictError, match="the lock was lost"):
        world.do()
    assert [name for name, acts, _ in world.asked if acts] == ["w1"]
    assert world.remembered == ["head", "w2"]


def test_a_wave_is_forgotten_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[list[str]] = []
    monkeypatch.setattr(world.members, "forget", lambda names, _: forgotten.append(sorted(names)))
    world.do()
    assert forgotten == [["w1", "w2"], ["head"]]


def test_a_node_that_left_and_is_another_one_now_is_not_touched(world: World) -> None:
    world.gone = {"w1"}
    world.answers["w1"] = {"machine": "id-w2", "boot": "boot-w2"}  # renamed: it is w2 of the inventory
    ended = world.do("w1")
    (failure,) = ended.ledger.failures
    assert failure.reason == "the machine that answers there is `w2`, which is in the inventory"
    assert not any(acts for _, acts, _ in world.asked)

    world.members.keep(world.nodes, {"w1": "id-old"})
    world.answers["w1"] = {}
    (failure,) = world.do("w1").ledger.failures
    assert failure.reason == "another machine answers there now than the one that was deployed to"
    assert not any(acts for _, acts, _ in world.asked)


def test_which_machines_are_strangers() -> None:
    one, two, new = Machine("1", "a"), Machine("2", "b"), Machine("9", "z")
    known = {"w1": "1", "w2": "2"}
    assert strangers({"w1": one, "w2": two}, {}, (), known) == {}
    assert strangers({"w1": new}, {}, (), known) == {}  # installed anew
    assert list(strangers({"w1": new}, {}, {"w1"}, known)) == ["w1"]
    assert strangers({"w1": one}, {}, {"w1"}, known) == {}
    assert list(strangers({"w1": one}, {"new": one}, {"w1"}, known)) == ["w1"]
    assert strangers({"w1": Machine("1", "a")}, {"new": Machine("1", "c")}, {"w1"}, known) == {}  # a clone
    assert list(strangers({"w1": two}, {}, (), known)) == ["w1"]  # the inventory has a wrong address
    assert strangers({"w1": two, "w2": one}, {}, (), known) == {}  # their names were swapped
    assert list(strangers({"w1": one, "w2": one}, {}, (), {})) == ["w1", "w2"]
    assert strangers({"new": one}, {}, {"w1"}, known) == {}  # w1 under its new name
    nobody = Machine("", "a")  # containers of one kernel, without machine-ids
    assert strangers({"w1": nobody, "w2": nobody}, {}, (), {}) == {}


def test_what_could_not_be_undone_is_a_failure_with_its_reason(world: World) -> None:
    world.answers["w1"] = {"failed": [{"key": "mount:/shared", "reason": "it is still mounted"}] * 2}
    ended = world.do("w1")
    (failure,) = ended.ledger.failures
    assert failure.reason == "mount:/shared: it is still mounted (and 1 more)"
    assert world.remembered == ["head", "w1", "w2"]
    assert [event.data["key"] for event in world.events if event.kind == "resource_changed"] == ["file:/etc/x"]


def test_what_runs_on_a_node_and_ends_is_named_before(world: World) -> None:
    world.working = {"w1": ("job 42 of alice",)}
    ended = world.do("w1", dry=True)
    assert summary(ended) == ("w1: delete /etc/x", "w1: this ends there: job 42 of alice")
    world.do("w1")
    assert world.shown == [summary(ended)]


def test_declined_means_that_nothing_was_done(world: World) -> None:
    world.confirmed = False
    ended = world.do()
    assert ended.declined
    assert {acts for _, acts, _ in world.asked} == {False}


def test_a_node_that_was_never_deployed_to_is_said_to_be_so_and_asks_nobody(world: World) -> None:
    for name in ("head", "w1", "w2"):
        world.answers[name] = {"known": False, "done": []}
    ended = world.do()
    assert world.shown == []
    assert ended.ledger.ok
    assert set(outcomes(ended).values()) == {"ok"}
    assert summary(ended) == ("head,w[1-2]: no deploy has changed it",)


def test_a_lost_lock_stops_before_the_next_wave(world: World) -> None:
    world.loses_lock = True
    with pytest.raises(ConflictError):
        world.do()
    assert {acts for _, acts, _ in world.asked} == {False}


def test_equal_nodes_are_told_in_one_line() -> None:
    undo = tuple(Undo(f"file:/etc/{number}", "delete", "file", "absent") for number in range(4))
    purge = Undo("packages", "purge", "2 packages: a b", "absent")
    one = Undone(True, (purge, *undo), (("/shared", "there are files in it"),))
    ended = Ended(Ledger(), {"gpu01": one, "gpu02": one, "head": Undone(True)})
    assert summary(ended) == (
        "gpu[01-02]: purge 2 packages, delete 4 files",
        "gpu[01-02]: keep /shared: there are files in it",
        "head: nothing is left to undo",
    )


def test_folders_that_go_with_what_is_in_them_are_always_named() -> None:
    small = tuple(Undo(f"file:/etc/{number}", "delete", "file", "absent") for number in range(9))
    data = Undo("file:/var/lib/prometheus", "delete", "folder of 1.2 GB in 31 files", "absent")
    assert Undone(True, (*small, data)).lines == ("delete 9 files, delete /var/lib/prometheus (1.2 GB in 31 files)",)


def test_waves_leave_nobody_out() -> None:
    nodes = tuple(node(name) for name in ROLES)
    request = Request("test", nodes, node("head"), whole=True)
    found = [[one.name for one in wave] for wave in waves(request)]
    assert found == [["w1", "w2", "both"], ["s1"], ["head"]]


CONNECTIONS = st.builds(
    Connection,
    address=st.text(min_size=1, max_size=8),
    port=st.none() | st.integers(1, 65535),
    user=st.none() | st.text(max_size=5),
    ssh_arguments=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    become=st.builds(Become, enabled=st.booleans(), flags=st.none() | st.text(max_size=4)),
)
NODES = st.builds(
    Node,
    name=st.text(min_size=1, max_size=6),
    groups=st.lists(st.text(max_size=4), max_size=2).map(tuple),
    roles=st.frozensets(st.sampled_from(["head", "workers"])),
    connection=CONNECTIONS,
)


@given(st.lists(NODES, max_size=4))
def test_members_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, nodes: list[Node]) -> None:
    members = Members.of(tmp_path_factory.mktemp("members") / "c")
    members.keep(nodes)
    latest = {one.name: one for one in nodes}
    assert {one.name: one for one in members.all()} == latest


def test_members_hold_no_variable_of_the_user(tmp_path: Path) -> None:
    secret = replace(
        node("w1"), variables={"ansible_become_password": "canary"}, aiops={"aiops_alert_webhook": "canary"}
    )
    Members.of(tmp_path).keep([secret])
    text = (tmp_path / "members.json").read_text()
    assert "10.0.0.2" in text
    assert "canary" not in text
    assert (tmp_path / "members.json").stat().st_mode & 0o777 == 0o600


def test_a_member_that_left_can_be_chosen_and_is_told(tmp_path: Path) -> None:
    members = Members.of(tmp_path)
    members.keep([node("w1"), node("w2")])
    inventory = Inventory(Path("i.yml"), "test", (node("head"), node("w1")), {"workers": ("w1",)})
    assert [one.name for one in members.gone_from(inventory)] == ["w2"]
    assert [one.name for one in choose(inventory, members, "w2")] == ["w2"]
    assert [one.name for one in choose(inventory, members, None)] == ["head", "w1", "w2"]
    with pytest.raises(InputError, match="there is no node `w9`"):
        choose(inventory, members, "w9")
    members.forget(["w2"])
    with pytest.raises(InputError) as caught:
        choose(inventory, members, "w2")
    assert "known where it was deployed from" in caught.value.hints[-1]


def test_a_node_that_was_renamed_did_not_leave(tmp_path: Path) -> None:
    members = Members.of(tmp_path)

    def at(name: str, address: str, port: int | None = None) -> Node:
        return Node(name, connection=Connection(address=address, port=port))

    members.keep([at("gpu07", "10.0.0.7"), at("gpu08", "10.0.0.8"), at("gpu09", "10.0.0.9")], {"gpu08": "8"})
    inventory = Inventory(Path("i.yml"), "test", (at("gpu-a07", "10.0.0.7", 22), at("gpu-a08", "10.1.0.8")), {})
    assert [one.name for one in members.gone_from(inventory)] == ["gpu08", "gpu09"]
    members.keep(inventory.nodes, {"gpu-a07": "7", "gpu-a08": "8"})
    assert [one.name for one in members.gone_from(inventory)] == ["gpu09"]
    assert members.renamed_in(inventory) == {"gpu07": "gpu-a07", "gpu08": "gpu-a08"}
    assert [one.name for one in choose(inventory, members, None)] == ["gpu-a07", "gpu-a08", "gpu09"]
    with pytest.raises(InputError) as caught:
        choose(inventory, members, "gpu07")
    assert "`gpu07` is `gpu-a07` in the inventory now" in caught.value.hints
    members.forget(["gpu-a08"])
    assert [one.name for one in members.all()] == ["gpu-a07", "gpu07", "gpu09"]


def test_machine_ids_stay_with_members_and_clones_have_none(tmp_path: Path) -> None:
    members = Members.of(tmp_path)
    members.keep([node("w1"), node("w2"), node("s1")], {"w1": "1", "w2": "same", "s1": "same"})
    assert members.machines() == {"w1": "1"}
    members.keep([node("w1")])
    assert members.machines() == {"w1": "1"}
    members.keep([node("w1")], {"w1": "2"})
    assert members.machines() == {"w1": "2"}


@pytest.mark.parametrize("text", ["", "[]", '{"v": 9, "nodes": {}}', '{"v": 1, "nodes": {"a": {}}}', "\0"])
def test_members_that_cannot_be_read_are_an_error_and_never_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "members.json").write_text(text)
    with pytest.raises(FailedError) as caught:
        Members.of(tmp_path).all()
    assert caught.value.code == "members.unreadable"


def result(phase: str, outcome: str, minute: int, name: str = "w1") -> Result:
    return Result(f"r-{minute}", phase, name, outcome, 1.0, None, datetime(2026, 1, 1, 0, minute, tzinfo=UTC))


def test_a_reset_ends_what_is_known_of_a_node_and_a_deploy_ends_the_reset() -> None:
    deployed = [result("connect", "ok", 1), result("base", "changed", 2), result("base", "ok", 2, "w2")]

    def told(*more: Result) -> list[tuple[str, str]]:
        return [(one.phase, one.node) for one in standing([*deployed, *more])]

    assert told(result("reset", "changed", 5)) == [("base", "w2")]
    assert told(result("reset", "failed", 5)) == [("connect", "w1"), ("base", "w1"), ("base", "w2"), ("reset", "w1")]
    again = result("time", "changed", 7)
    assert told(result("reset", "changed", 5), again) == [("base", "w2"), ("time", "w1")]
    assert ("reset", "w1") not in told(result("reset", "failed", 5), again)


def test_nodes_that_have_seen_a_higher_epoch_than_a_new_head_grants_are_reset(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.ahead = {"w1": 90, "w2": 30}
    assert world.do().ledger.ok
    assert world.epoch == 91
    assert {name for name, acted, _ in world.asked if acted} == {"head", "w1", "w2"}
