"""The state of a cluster, judged from journals and a look at the nodes."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.layers.core.errors import AiopsError, UnreachableError
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.facts import BusAccelerators, Facts
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.run import Result
from aiops.layers.l1_cluster.status import NodeStatus, accelerators_in_words, cluster_status, in_place, standing

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NODES = tuple(Node(name, roles=frozenset({"workers"})) for name in ("gpu01", "gpu02"))
INVENTORY = Inventory(Path("inventory.yml"), "lab-a", NODES, {})


def result(phase: str, outcome: str, reason: str | None = None, node: str = "gpu01") -> Result:
    return Result("r-1", phase, node, outcome, 1.0, reason, NOW)


def judged(*results: Result, live: Facts | AiopsError | None = None) -> NodeStatus:
    live = live or Facts("gpu01", NOW, os_name="Debian", kernel="6.1")
    return cluster_status(INVENTORY, NODES[:1], results, None, {"gpu01": live}).nodes[0]


@pytest.mark.parametrize(
    ("results", "state", "reason"),
    [
        ([], "new", None),
        ([result("connect", "ok"), result("preflight", "ok")], "new", None),
        ([result("connect", "failed", "no answer")], "failed", "connect: no answer"),
        ([result("base", "ok"), result("time", "changed")], "deployed", None),
        ([result("base", "failed", "disk full"), result("time", "ok")], "failed", "base: disk full"),
        ([result("base", "failed", "disk full"), result("time", "blocked", "it failed")], "failed", "base: disk full"),
        ([result("time", "blocked", "it needs head")], "failed", "time: it needs head"),
        ([result("base", "failed", "x", node="gpu02")], "new", None),
    ],
)
def test_state(results: list[Result], state: str, reason: str | None) -> None:
    status = judged(*results)
    assert (status.state, status.reason) == (state, reason)


@pytest.mark.parametrize(
    ("older", "newer", "left"),
    [
        ([("connect", "ok"), ("preflight", "failed"), ("base", "blocked")], ["connect", "base"], ["connect", "base"]),
        ([("connect", "ok"), ("preflight", "failed")], [], ["connect", "preflight"]),
        ([("base", "ok"), ("time", "ok"), ("verify", "failed")], ["base", "time"], ["base", "time"]),
        ([("base", "ok"), ("time", "ok"), ("verify", "failed")], ["time"], ["base", "verify", "time"]),
    ],
)
def test_a_later_run_takes_the_place_of_what_an_earlier_one_found(
    older: list[tuple[str, str]], newer: list[str], left: list[str]
) -> None:
    latest = [result(phase, outcome) for phase, outcome in older if phase not in newer]
    latest += [replace(result(phase, "ok"), run="r-2") for phase in newer]
    assert [one.phase for one in standing(latest)] == left
    failed = [phase for phase in left if dict(older)[phase] == "failed"]
    assert judged(*latest).state == ("failed" if failed else "deployed")
    assert judged(*latest).run == ("r-1" if failed else None)


def test_a_look_that_was_blocked_counts_until_what_was_not_tried_is_done() -> None:
    first = [result("base", "ok"), result("verify", "blocked", "phase `time` was not tried")]
    assert "verify" in {one.phase for one in standing([*first, result("time", "blocked", "it needs head")])}
    mended = replace(result("time", "ok"), run="r-2")
    assert [one.phase for one in standing([*first, mended])] == ["base", "time"]
    assert judged(*first, mended).state == "deployed"


@pytest.mark.parametrize(("machine", "state"), [("a", "deployed"), ("b", "new"), (None, "deployed")])
def test_what_was_done_to_another_machine_does_not_count(machine: str | None, state: str) -> None:
    live = {"gpu01": Facts("gpu01", NOW, machine_id=machine)}
    machines = {("r-1", "gpu01"): "a"}
    found = cluster_status(INVENTORY, NODES[:1], [result("base", "ok")], None, live, machines=machines)
    assert found.nodes[0].state == state
    assert (found.nodes[0].reason == "another machine than the one that was deployed") == (state == "new")
    assert bool(found.results) == (state == "deployed")


def test_a_node_that_does_not_answer_is_unreachable_whatever_was_done() -> None:
    away = UnreachableError("gpu01: no answer", code="ssh.timeout")
    status = judged(result("base", "ok"), live=away)
    assert (status.state, status.reason, status.kernel) == ("unreachable", "gpu01: no answer", None)
    assert cluster_status(INVENTORY, NODES, (), None, {}).states == {"unreachable": 2}


def test_a_driver_that_does_not_fit_is_said() -> None:
    broken = Facts("gpu01", NOW, driver_mismatch="module 570, library 580")
    assert judged(result("base", "ok"), live=broken).reason == "module 570, library 580"


def test_accelerators_in_words() -> None:
    devices = (Accelerator("nvidia", model="H100", driver="580.95"),) * 2 + (Accelerator("amd"),)
    assert accelerators_in_words(Facts("n", NOW, accelerators=devices)) == "2 × H100, 1 × amd"
    assert accelerators_in_words(Facts("n", NOW, accelerators=())) is None
    bare = Facts("n", NOW, bus_accelerators=(BusAccelerators("nvidia", 8),))
    assert accelerators_in_words(bare) == "8 × nvidia (no driver)"


def test_as_a_document() -> None:
    facts = Facts("gpu01", NOW, simulated=True, accelerators=(Accelerator("nvidia", driver="580.95"),))
    found = cluster_status(
        INVENTORY, NODES, [result("base", "ok"), result("x", "ok", node="left")], None, {"gpu01": facts}
    )
    document = json.loads(json.dumps(found.document()))
    assert document["simulated"] is True
    assert [node["state"] for node in document["nodes"]] == ["deployed", "unreachable"]
    assert document["nodes"][0]["driver"] == "580.95"
    assert [one["node"] for one in document["phases"]] == ["gpu01"]


def test_a_thousand_nodes_that_were_reset_once_take_no_time() -> None:
    """Looking through all results for each reset took 2 s for 1,000 nodes; that grows with the square."""
    at = datetime(2026, 11, 21, tzinfo=UTC)
    phases = ["reset", *(f"phase{number}" for number in range(9))]
    results = [
        Result(f"r-{phase == 'reset'}", phase, f"n{number}", "changed", 1.0, None, at + timedelta(phase != "reset"))
        for number in range(3000)
        for phase in phases
    ]
    began = time.process_time()
    assert len(standing(results)) == 3000 * 9
    assert time.process_time() - began < 4


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], False),
        ([result("monitoring", "changed")], True),
        ([result("monitoring", "ok")], True),
        ([result("monitoring", "failed", "no space")], True),
        ([result("monitoring", "blocked", "it needs base")], False),
        ([result("monitoring", "changed", node="gpu02")], False),
        ([result("base", "changed")], False),
        ([result("monitoring", "changed"), replace(result("reset", "changed"), at=NOW + timedelta(hours=1))], False),
        ([result("reset", "changed"), replace(result("monitoring", "changed"), at=NOW + timedelta(hours=1))], True),
    ],
)
def test_what_was_set_up_is_there_until_it_is_reset(results: list[Result], expected: bool) -> None:
    assert in_place(results, {"monitoring"}, "gpu01") is expected
