"""One thread serves all lines: what one node's words do to it is that node's trouble alone. Nodes are in memory."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l2_jobs.test_lines import JSON, SPEC

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.command import Command
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l2_jobs import defects as module
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.defects import MOST, Defects, Setback
from aiops.layers.l2_jobs.open_lines import OpenLines
from aiops.layers.l2_jobs.report import Ended, Heard, Report, Signed, Silent, Started
from aiops.layers.l2_jobs.steady import Steady

SECONDS = 10.0
KEY = Key("a-1", 1)
NODES = ("n1", "n2")


class PoisonedError(RuntimeError):
    """What nobody has thought of; it quotes a secret."""

    def __init__(self) -> None:
        super().__init__("s3cret")


@dataclass
class Agent:
    """The other end of a node's channels: what it says, and what is said to it."""

    fleet: "Nodes"
    node: Node
    waiting: deque[bytes] = field(default_factory=deque)
    opened: int = 0
    closed: int = 0
    said_to: list[dict[str, Any]] = field(default_factory=list)
    call: Callable[[], None] | None = None

    def open(self, command: Command) -> "Agent":
        del command
        if self.node.name in self.fleet.broken:
            raise PoisonedError
        self.opened += 1
        return self

    def says(self, *words: Any) -> None:
        self.waiting.append(
            b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in words)
        )
        if self.call is not None:
            self.call()

    def send(self, data: bytes) -> int:
        self.said_to += [json.loads(line) for line in data.splitlines()]
        return len(data)

    def receive(self) -> bytes | None:
        return self.waiting.popleft() if self.waiting else b""

    def said(self) -> str:
        return ""

    def on_news(self, call: Callable[[], None]) -> None:
        self.call = call
        call()

    def close(self) -> None:
        self.closed += 1


class Nodes:
    """Lines to nodes in memory, and what they have told."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.warned: list[str] = []
        self.told: list[Report] = []
        self.kept: Callable[[Key, str], int] = lambda _key, _node: 0
        nodes = {name: Node(name) for name in NODES}
        self.agents = {name: Agent(self, node) for name, node in nodes.items()}
        self.lines = OpenLines(
            Fleet(lambda node: self.agents[node.name]),  # type: ignore[arg-type, return-value]
            nodes,
            Steady(SystemClock()),
            logs=lambda *_: None,
            kept=self._kept,
            reader=lambda: read,
            defects=Defects(self.warned.append),
        )

    def _kept(self, key: Key, node: str) -> int:
        return self.kept(key, node)

    def follow(self) -> None:
        for number, name in enumerate(NODES):
            self.lines.follow(Key("a-1", number + 1), name, 7)

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + SECONDS
        while not (found := condition()):
            self.told += self.lines.reports()
            assert time.monotonic() < deadline, (self.told, self.warned)
            time.sleep(0.005)
        return found

    def of(self, kind: type[Report], node: str) -> list[Any]:
        return [one for one in self.told if isinstance(one, kind) and getattr(one, "node", "") == node]

    def beaten(self, node: str) -> None:
        """One beat of an agent comes and is answered: its line is served."""
        count = len(self.of(Heard, node))
        self.agents[node].says({"beat": f"boot-{count}", "n": 1})
        self.until(lambda: len(self.of(Heard, node)) > count)


def read(line: str) -> tuple[str, bool] | None:
    if "poison" in line:
        raise PoisonedError
    return ("gpu_lost", True) if "Xid" in line else None


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    monkeypatch.setattr(module, "LEAST", 0.05)
    made = Nodes()
    yield made
    made.lines.close()


def test_a_node_whose_words_meet_a_defect_is_not_heard_for_a_while_and_the_others_are(
    nodes: Nodes, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes.follow()
    nodes.beaten("n1")
    nodes.beaten("n2")
    started = {"key": "a-1.1", "event": {"n": 1, "kind": "started", "boot_id": "b"}}
    nodes.agents["n1"].says({"kernel": "poison"}, started)
    silent = nodes.until(lambda: nodes.of(Silent, "n1"))
    nodes.beaten("n2")
    assert nodes.agents["n1"].closed >= 1
    (warned,) = nodes.warned
    assert warned.startswith("n1: a defect of aiops, PoisonedError at test_open_lines.py:")
    assert "in read" in silent[0].reason
    assert "s3cret" not in warned + silent[0].reason
    assert "s3cret" in capsys.readouterr().err  # all of it is in the controller's own log
    nodes.until(lambda: nodes.agents["n1"].opened == 2)
    assert {"do": "follow", "uid": 7, "key": "a-1.1", "after": 0, "log": 0} in nodes.agents["n1"].said_to
    nodes.beaten("n1")
    nodes.agents["n1"].says({"kernel": "NVRM: Xid 79"}, started)
    nodes.until(lambda: nodes.of(Started, "n1") and nodes.of(Signed, "n1"))
    assert nodes.of(Silent, "n2") == []


def test_one_that_meets_it_each_time_is_told_of_once_and_left_for_longer_and_longer(nodes: Nodes) -> None:
    nodes.follow()
    for _ in range(4):
        nodes.beaten("n1")
        nodes.agents["n1"].says({"kernel": "poison"})
        nodes.until(lambda: nodes.agents["n1"].closed >= nodes.agents["n1"].opened)
    assert len(nodes.warned) == 1
    nodes.until(lambda: nodes.lines._lines["n1"]._setback.count == 4)
    nodes.beaten("n2")


def test_a_line_that_cannot_even_be_opened_keeps_no_other_from_being_opened(nodes: Nodes) -> None:
    nodes.broken.add("n1")
    nodes.follow()
    nodes.beaten("n2")
    nodes.until(lambda: nodes.of(Silent, "n1"))
    nodes.broken.clear()
    nodes.beaten("n1")
    assert nodes.agents["n2"].opened == 1


def test_what_was_asked_and_met_a_defect_is_asked_again_in_its_order(nodes: Nodes) -> None:
    """A folder of logs that cannot be read: the disk is broken, and mended."""

    def unreadable(key: Key, node: str) -> int:
        raise PermissionError(node)

    nodes.kept = unreadable
    nodes.lines.start(KEY, "n1", SPEC)
    nodes.lines.stop(KEY, "n1", 9.0)
    nodes.until(lambda: nodes.warned)
    nodes.kept = lambda _key, _node: 5
    nodes.until(lambda: len(nodes.agents["n1"].said_to) >= 2)
    assert [(one["do"], one.get("log")) for one in nodes.agents["n1"].said_to[:2]] == [("start", 5), ("stop", None)]
    assert nodes.warned[0].startswith("a-1.1 on n1: a defect of aiops, PermissionError at ")
    nodes.lines.follow(Key("a-1", 2), "n2", 7)
    nodes.beaten("n2")


def test_to_end_a_group_waits_for_no_beginning_that_fails(nodes: Nodes) -> None:
    def unreadable(key: Key, node: str) -> int:
        raise PermissionError(node)

    nodes.kept = unreadable
    nodes.lines.start(KEY, "n1", SPEC)
    nodes.lines.stop(KEY, "n1", 9.0)
    nodes.until(lambda: nodes.warned)
    nodes.lines.kill(KEY, "n1")
    said = nodes.agents["n1"].said_to
    nodes.until(lambda: said)
    nodes.agents["n1"].says({"beat": "b", "n": 1}, {"key": str(KEY), "unit": "gone"})
    (end,) = nodes.until(lambda: nodes.of(Ended, "n1"))
    assert end.end == "stopped"
    nodes.kept = lambda _key, _node: 0
    time.sleep(0.3)
    assert not [one for one in said if one["do"] in {"start", "stop"}], "nobody wants it any more"


def test_one_that_cannot_be_told_of_keeps_no_other_of_its_node_from_being_heard(nodes: Nodes) -> None:
    spec: dict[str, Any] = {**SPEC, "odd": 1}
    nodes.lines.start(Key("b-1", 1), "n1", spec)
    nodes.lines.follow(KEY, "n1", 7)
    nodes.beaten("n1")
    spec["odd"] = object()
    nodes.agents["n1"].says({"kernel": "poison"})
    nodes.until(lambda: len(nodes.warned) == 2)
    assert sorted(one.partition(": ")[0] for one in nodes.warned) == ["b-1.1 on n1", "n1"]
    nodes.beaten("n1")
    assert nodes.agents["n1"].opened == 2
    said = nodes.agents["n1"].said_to
    before = len(said)
    spec["odd"] = 2
    nodes.until(lambda: [one for one in said[before:] if one.get("spec") == spec])


def test_what_is_let_go_while_its_beginning_waits_is_not_begun_after_that(nodes: Nodes) -> None:
    def unreadable(key: Key, node: str) -> int:
        raise PermissionError(node)

    nodes.kept = unreadable
    nodes.lines.start(KEY, "n1", SPEC)
    nodes.lines.release(KEY, "n1")
    nodes.lines.follow(Key("a-1", 2), "n2", 7)
    nodes.until(lambda: len(nodes.warned) == 2)
    nodes.kept = lambda _key, _node: 0
    said = nodes.agents["n1"].said_to
    nodes.until(lambda: said)
    assert [one["do"] for one in said] in (["start", "release"], ["release"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), JSON.map(lambda one: json.dumps(one).encode() + b"\n")), max_size=6))
def test_no_bytes_of_a_node_end_the_thread(pieces: list[bytes]) -> None:
    nodes = Nodes()
    try:
        nodes.follow()
        nodes.beaten("n1")
        nodes.agents["n1"].says(*pieces, b'\n{"kernel": "poison"}\n')
        nodes.beaten("n2")
        assert nodes.lines._thread is not None
        nodes.until(lambda: nodes.of(Silent, "n1"))
        assert nodes.lines._thread.is_alive()
    finally:
        nodes.lines.close()


def test_a_setback_grows_up_to_a_minute_and_begins_anew_after_one_without() -> None:
    found, now, waits = Setback(), 100.0, []
    for _ in range(9):
        found = found.again(now)
        waits.append(found.until - now)
        now = found.until + 1.0
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert found.again(found.until + MOST + 1.0).count == 1
