"""A deploy that was killed during reboots: the next one waits for the nodes that are on their way back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aiops.cli.exit import exit_of
from aiops.layers.core.errors import UnreachableError
from aiops.layers.core.event import Event, EventStream
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.fleet import Outcome
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.returning import SECONDS, Returning, await_returning, is_back, returning_of
from aiops.layers.l1_cluster.run import Journal, Runs
from aiops.layers.l1_cluster.tables import run as tables

BOOT_ID = "/proc/sys/kernel/random/boot_id"
NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)


class Time:
    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


def says(state: str, boot: str) -> Record:
    return Record("gpu01", NOW, {"returning": Answer("returning", 0, state + "\n", files={BOOT_ID: boot + "\n"})})


class Booting:
    """Nodes that answer as a script says, one word per look; None: they are silent."""

    def __init__(self, script: dict[str, list[Record | None]]) -> None:
        self.script = script
        self.looks: list[list[str]] = []

    def probe(self, nodes: Sequence[Node], asks_for: Callable[[Node], tuple[Ask, ...]]) -> Iterator[Outcome[Record]]:
        self.looks.append([node.name for node in nodes])
        for node in nodes:
            assert [ask.name for ask in asks_for(node)] == ["returning"]
            rest = self.script[node.name]
            record = rest.pop(0) if len(rest) > 1 else rest[0]
            yield Outcome(node, record) if record else Outcome(node, None, UnreachableError("silent", code="x.y"))

    def fact_asks(self, node: Node, *, devices: bool = True) -> tuple[Ask, ...]:
        raise AssertionError(node)

    def facts(self, record: Record, devices_of: Facts | None = None) -> Facts:
        raise AssertionError(record)


@pytest.mark.parametrize(
    ("record", "back"),
    [
        (None, False),
        (says("stopping", "old"), False),
        (says("running", "old"), True),
        (says("starting", "new"), True),
        (says("stopping", "new"), True),
        (Record("gpu01", NOW, {}), True),
    ],
)
def test_who_is_back(record: Record | None, back: bool) -> None:
    assert is_back(Returning("old", NOW), record) is back


def test_those_that_were_rebooted_are_waited_for_and_no_others() -> None:
    nodes = [Node("gpu01"), Node("gpu02"), Node("gpu03")]
    prober = Booting(
        {
            "gpu01": [says("stopping", "old"), None, None, says("running", "new")],
            "gpu02": [says("running", "old")],
        }
    )
    time, back = Time(), list[str]()
    away = {"gpu01": Returning("old", NOW), "gpu02": Returning("old", NOW), "gone": Returning(None, NOW)}
    await_returning(prober, nodes, away, time, back.append)
    assert prober.looks == [["gpu01", "gpu02"], ["gpu01"], ["gpu01"], ["gpu01"]]
    assert back == ["gpu02", "gpu01"]


def test_one_that_never_comes_back_is_given_up() -> None:
    time, prober = Time(), Booting({"gpu01": [None]})
    await_returning(prober, [Node("gpu01")], {"gpu01": Returning("old", NOW - timedelta(seconds=SECONDS - 10))}, time)
    assert time.passed == pytest.approx(10, abs=2)
    looks = len(prober.looks)
    await_returning(prober, [Node("gpu01")], {"gpu01": Returning("old", NOW - timedelta(seconds=SECONDS))}, time)
    assert len(prober.looks) == looks


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path, {}) as opened:
        yield opened


class Run:
    def __init__(self, store: Store, run: str, time: Time) -> None:
        self.stream = EventStream(run, time)
        self.journal = Journal.begin(
            store, self.stream, owner=Owner.here(run), cluster="lab-a", command="deploy", exit_of=exit_of
        )
        time.passed += 10

    def reboot(self, *nodes: str) -> None:
        for node in nodes:
            self.stream.emit("reboot_started", node=node, phase="accelerator", boot_id=f"old-{node}")

    def finish(self, node: str) -> None:
        self.stream.emit("reboot_finished", node=node, phase="accelerator", seconds=1.0)
        self.stream.emit("node_finished", node=node, phase="accelerator", outcome="changed", seconds=1.0)


def test_the_journals_tell_who_was_being_rebooted(store: Store) -> None:
    time = Time()
    first = Run(store, "r-1", time)
    first.reboot("gpu01", "gpu02", "gpu03")
    first.finish("gpu03")
    first.journal.end(130)
    runs = Runs(store)
    assert returning_of(runs, "lab-a", time) == {
        name: Returning(f"old-{name}", NOW + timedelta(seconds=10)) for name in ("gpu01", "gpu02")
    }
    assert returning_of(runs, "other", time) == {}
    second = Run(store, "r-2", time)  # what goes on now says nothing yet, and is not asked
    second.reboot("gpu04")
    assert set(returning_of(runs, "lab-a", time)) == {"gpu01", "gpu02"}
    second.finish("gpu01")
    second.journal.end(130)
    assert set(returning_of(runs, "lab-a", time)) == {"gpu02", "gpu04"}
    time.passed += SECONDS
    assert returning_of(runs, "lab-a", time) == {}


def test_runs_that_ended_long_ago_are_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    for number in range(3):
        old = Run(store, f"r-{number}", time)
        old.reboot("gpu01")
        old.journal.end(130)
    time.passed += SECONDS
    new = Run(store, "r-9", time)
    new.reboot("gpu02")
    new.journal.end(130)
    asked = list[set[str]]()
    select = tables.select_told_by

    def remember(connection: Any, runs: Iterable[str], *rest: Any, **named: Any) -> Iterator[Event]:
        asked.append(set(runs))
        return select(connection, asked[-1], *rest, **named)

    monkeypatch.setattr(tables, "select_told_by", remember)
    assert set(returning_of(Runs(store), "lab-a", time)) == {"gpu02"}
    assert asked == [{"r-9"}]
