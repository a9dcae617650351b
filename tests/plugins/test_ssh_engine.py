"""The ssh engine: what it says on the lines; it keeps nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.errors import InputError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.container import containers_of
from aiops.layers.l2_jobs.engine import Engine, EngineContext, EngineHooks
from aiops.layers.l2_jobs.job import Account, Devices, Job, Span
from aiops.layers.l2_jobs.report import Ended, Heard, Report

ATTEMPT = Attempt(Key("a-1", 1), "ssh", Allocation((Slot("n2", (3,)), Slot("n1", (0,)))), 17000, secret="x")


class FakeLines:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.waiting: list[Report] = []

    def start(self, key: Key, node: str, spec: Mapping[str, Any]) -> None:
        self.said.append(("start", node, spec))

    def follow(self, key: Key, node: str, owner: int, *, awaited: bool = False) -> None:
        self.said.append(("follow", node, owner))

    def stop(self, key: Key, node: str, seconds: float) -> None:
        self.said.append(("stop", node, seconds))

    def kill(self, key: Key, node: str) -> None:
        self.said.append(("kill", node))

    def dump(self, key: Key, node: str) -> None:
        self.said.append(("dump", node))

    def release(self, key: Key, node: str) -> None:
        self.said.append(("release", node))

    def reports(self, keys: Sequence[Key] | None = None) -> list[Report]:
        return [one for one in self.waiting if keys is None or getattr(one, "key", None) in keys]

    def wait(self, seconds: float) -> None:
        """Nobody waits here."""

    def close(self) -> None:
        self.said.append(("close",))


@pytest.fixture
def lines() -> FakeLines:
    return FakeLines()


@pytest.fixture
def engine(lines: FakeLines) -> Engine:
    own_variables: dict[str, dict[str, Any]] = {"n1": {"aiops_address": "10.0.0.1"}, "n2": {"aiops_jobs_as_root": True}}
    nodes = tuple(
        Node(name, connection=Connection(address=f"192.0.2.{number}"), aiops=own)
        for number, (name, own) in enumerate(own_variables.items(), 1)
    )
    context = EngineContext(
        Inventory(Path("inventory.yml"), "lab", nodes, {}),
        Fleet(lambda node: pytest.fail(node.name)),
        SystemClock(),
        lines,
        vendor=lambda name: "nvidia" if name == "n1" else None,
        containers=lambda: containers_of(Plugins()),
    )
    found = [one for one in Plugins().hooks("engine", EngineHooks).engine(context=context) if one.name == "ssh"]
    assert len(found) == 1
    made: Engine = found[0]
    return made


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": "a-1",
        "name": "a",
        "owner": Account("ann", 1001, 1001),
        "kind": "batch",
        "command": ("true",),
        "launch": "command",
        "nodes": Span(2, 2),
        "devices": Devices(1),
        "processes": 1,
        "folder": "/",
        "submitted": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Job(**fields | changes)


def test_each_node_gets_its_spec(engine: Engine, lines: FakeLines) -> None:
    engine.start(job(), ATTEMPT)
    (first, node, spec), (_, other, second) = lines.said
    assert (first, node, other) == ("start", "n2", "n1")
    assert (spec["user"]["root"], second["user"]["root"]) == (True, False)
    assert spec["peers"][0]["address"] == "10.0.0.1"
    assert second["peers"][0]["address"] == "192.0.2.2"
    assert second["environment"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in spec["environment"]


def test_what_has_an_image_runs_in_a_container_on_each_node(engine: Engine, lines: FakeLines) -> None:
    plain = job(launch="torchrun", command=("torchrun", "train.py"))
    engine.start(plain, ATTEMPT)
    engine.start(replace(plain, image="podman://registry.example.org/team/train:1"), ATTEMPT)
    for (_, _, spec), (_, node, inside) in zip(lines.said[:2], lines.said[2:], strict=True):
        argv, words = inside["argv"], spec["argv"]
        assert argv[:2] == ["podman", "run"]
        assert argv[-len(words) :] == words
        assert argv[: inside["options_end"]][-1] == words[: spec["options_end"]][-1], "torchrun's own options end there"
        assert any(f"/var/lib/aiops-jobs/{ATTEMPT.key}" in word for word in argv)
        assert ("--device=nvidia.com/gpu=0" in argv) == (node == "n1")


def test_an_image_of_a_kind_that_is_not_there_is_refused(engine: Engine, lines: FakeLines) -> None:
    with pytest.raises(InputError, match="no kind of container"):
        engine.start(job(image="docker://a/b:1"), ATTEMPT)
    assert lines.said == []


def test_what_only_slurm_runs_is_refused_and_nothing_starts(engine: Engine, lines: FakeLines) -> None:
    with pytest.raises(InputError):
        engine.start(job(launch="srun"), ATTEMPT)
    assert lines.said == []


def test_all_nodes_are_asked_and_forgotten(engine: Engine, lines: FakeLines) -> None:
    engine.adopt({ATTEMPT.key: (job(), ATTEMPT)})
    engine.stop(ATTEMPT.key, seconds=5)
    engine.kill(ATTEMPT.key, ["n1"])
    lines.waiting = [
        Ended(ATTEMPT.key, "n1", 1.0, "done"),
        Heard("n1", 1.0, "b"),
        Ended(Key("b", 1), "n1", 1.0, "done"),
    ]
    assert engine.reports() == lines.waiting[:1]
    engine.release(ATTEMPT.key)
    assert engine.reports() == []
    engine.stop(ATTEMPT.key, seconds=5)
    engine.close()
    assert lines.said == [
        *(("follow", "n2", 1001), ("follow", "n1", 1001), ("stop", "n2", 5), ("stop", "n1", 5)),
        *(("kill", "n1"), ("release", "n2"), ("release", "n1")),
    ]
