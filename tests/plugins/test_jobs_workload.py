"""Nodes of the engine `ssh` are held and given back: by the scripts as a real shell runs them, behind the fence."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.command import Command
from aiops.layers.core.errors import AiopsError, ConflictError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.draining import Standing
from aiops.layers.l1_cluster.remote.fence import STALE_STATUS
from aiops.layers.l2_jobs.remote.agent import HOLD
from aiops.plugins import jobs

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
OURS = "aiops: reboot in accelerator, run r-1: driver was changed"


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., str]:
    """Runs a script of the plugin here, with the hold in a folder of the test and units that it makes up."""
    (tmp_path / "systemctl").write_text('#!/bin/sh\ncat "$(dirname "$0")/units" 2>/dev/null\n')
    (tmp_path / "systemctl").chmod(0o755)

    def run(script: str, *words: str) -> str:
        text = script.replace(HOLD, str(tmp_path / "hold"))
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(["sh", "-c", text, "sh", *words], env=environment, capture_output=True, text=True)  # noqa: PLW1510
        assert done.stderr == ""
        return done.stdout

    return run


def test_a_node_is_held_says_what_runs_and_is_given_back(shell: Callable[..., str], tmp_path: Path) -> None:
    assert jobs.standing_of(shell(jobs._SHOW)) == Standing("in_service", "", (), BOOT)
    (tmp_path / "units").write_text(
        "aiops-job-llama-sft-7.3.service loaded active running aiops job llama-sft-7.3\n"
        "aiops-job-eval-2.1.service loaded deactivating stop-sigterm aiops job eval-2.1\n"
    )
    work = ("job llama-sft-7", "job eval-2")
    assert jobs.standing_of(shell(jobs._SHOW)) == Standing("in_service", "", work, BOOT)
    shell(jobs._DRAIN, OURS)
    assert jobs.standing_of(shell(jobs._SHOW)) == Standing("draining", OURS, work, BOOT)
    (tmp_path / "units").unlink()
    assert jobs.standing_of(shell(jobs._SHOW)) == Standing("drained", OURS, (), BOOT)
    shell(jobs._DRAIN, "aiops: newer $(touch /tmp/x) 'quoted'")
    assert jobs.standing_of(shell(jobs._SHOW)).reason == "aiops: newer $(touch /tmp/x) 'quoted'"
    assert (tmp_path / "hold").stat().st_mode & 0o077 == 0
    shell(jobs._RESUME)
    shell(jobs._RESUME)
    assert jobs.standing_of(shell(jobs._SHOW)).state == "in_service"


def test_what_somebody_else_holds_stays_so(shell: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "hold").write_text("alice looks at the fan\n")
    shell(jobs._DRAIN, OURS)
    shell(jobs._RESUME)
    assert jobs.standing_of(shell(jobs._SHOW)) == Standing("drained", "alice looks at the fan", (), BOOT)


def test_only_nodes_of_the_engine_are_told_of_and_silence_is_unknown() -> None:
    nodes = (Node("w1", aiops={"aiops_engine": "ssh"}), Node("w2", aiops={"aiops_engine": "ssh"}), Node("w3"))
    answers = {"w1": (0, b"boot b\nhold \n", b""), "w2": (1, b"", b"no systemd")}
    fleet = Fleet(lambda node: FakeTransport(node, {"sh": lambda _: answers[node.name]}))
    made = jobs.workload(Inventory(Path("i"), "c", nodes, {}), fleet)
    assert made is not None
    found = made.standings(nodes)
    assert {name: one.state for name, one in found.items()} == {"w1": "in_service", "w2": "unknown"}
    assert "no systemd" in found["w2"].reason
    assert jobs.workload(Inventory(Path("i"), "c", nodes[2:], {}), fleet) is None


def test_a_step_that_was_overtaken_is_refused_by_each_node() -> None:
    nodes = [Node("w1"), Node("w2")]
    asked: list[Command] = []

    def fence(command: Command) -> tuple[int, bytes, bytes]:
        asked.append(command)
        return STALE_STATUS, b"", b"fence: epoch 7 is stale"

    made = jobs.Jobs(nodes, Fleet(lambda node: FakeTransport(node, {"python3": fence})))
    with pytest.raises(ConflictError, match="stale"):
        made.drain(nodes, OURS, 7)
    assert len(asked) == 2
    assert all(one.root for one in asked)
    broken = jobs.Jobs(nodes, Fleet(lambda node: FakeTransport(node, {"python3": lambda _: (1, b"", b"disk full")})))
    with pytest.raises(AiopsError, match="disk full"):
        broken.resume(nodes, 7)
