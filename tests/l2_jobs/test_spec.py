"""What launchers are given."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.job import Account, CheckpointPlan, Devices, Job, Service, Span
from aiops.layers.l2_jobs.spec import PORTS, Seat, specs, visible_devices
from aiops.layers.l2_jobs.torchrun_options import split

SEATS = {"a": Seat("10.0.0.1", "nvidia"), "b": Seat("10.0.0.2", "nvidia")}
ATTEMPT = Attempt(
    Key("llama-7", 3),
    "ssh",
    Allocation((Slot("b", (4, 5)), Slot("a", (0, 1)))),
    17000,
    resume="/shared/step-9",
    secret="s3cret",
)


def job(*command: str, **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": "llama-7",
        "name": "llama",
        "owner": Account("ann", 1001, 1002),
        "kind": "batch",
        "command": command,
        "launch": "torchrun",
        "nodes": Span(2, 2),
        "devices": Devices(2),
        "processes": 2,
        "folder": "/shared/ann",
        "submitted": datetime(2026, 1, 1, tzinfo=UTC),
        "environment": {"X": "1", "AIOPS_JOB": "not mine"},
        "checkpoint": CheckpointPlan("/shared/run"),
    }
    return Job(**fields | changes)


def test_torchrun_gets_a_rendezvous_of_the_attempts_own() -> None:
    found = specs(job("/env/bin/torchrun", "--role", "x", "--max-restarts=5", "train.py", "--lr", "1"), ATTEMPT, SEATS)
    second = found["a"]
    assert second["argv"] == [
        *("/env/bin/torchrun", "--role", "x", "--nnodes=2", "--node-rank=1", "--nproc-per-node=2"),
        *("--rdzv-backend=static", "--rdzv-id=llama-7.3", "--master-addr=10.0.0.2", "--master-port=17000"),
        *("--max-restarts=0", "--monitor-interval=0.1", "train.py", "--lr", "1"),
    ]
    assert second["argv"][second["options_end"]] == "train.py"
    assert (second["first_rank"], second["node_rank"], second["bare"]) == (2, 1, False)
    assert second["peers"] == [{"node": "b", "address": "10.0.0.2", "port": 17001}]
    assert second["beat_port"] == 17001


def test_what_processes_see() -> None:
    found = specs(job("python3", "x.py", launch="command"), ATTEMPT, SEATS)["b"]
    environment = found["environment"]
    assert environment == {
        "X": "1",
        "AIOPS_JOB": "llama-7",
        "AIOPS_ATTEMPT": "3",
        "AIOPS_EPOCH": "3",
        "AIOPS_NODE_RANK": "0",
        "AIOPS_NODES": "2",
        "AIOPS_CHECKPOINTS": "/shared/run",
        "AIOPS_RESUME": "/shared/step-9",
        "CUDA_VISIBLE_DEVICES": "4,5",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "MASTER_ADDR": "10.0.0.2",
        "MASTER_PORT": "17000",
    }
    assert "options_end" not in found
    assert "s3cret" not in str(environment) + str(found["argv"])


def test_ports_of_a_service_are_the_attempts_own() -> None:
    found = specs(job("serve", launch="command", service=Service(("http", "meta-data"))), ATTEMPT, SEATS)["b"]
    assert found["environment"]["AIOPS_PORT_HTTP"] == "17002"
    assert found["environment"]["AIOPS_PORT_META_DATA"] == "17003"
    with pytest.raises(InputError):
        specs(job("serve", service=Service(tuple(f"p{n}" for n in range(PORTS)))), ATTEMPT, SEATS)


def test_srun_is_not_for_a_launcher() -> None:
    with pytest.raises(InputError, match="needs Slurm"):
        specs(job("x", launch="srun"), ATTEMPT, SEATS)


@pytest.mark.parametrize(
    ("words", "options", "bare", "script"),
    [
        (["train.py", "-m", "x"], [], False, ["train.py", "-m", "x"]),
        (["--nnodes", "2", "--nproc_per_node=8", "-m", "pkg.train", "a"], ["-m"], False, ["pkg.train", "a"]),
        (["--role", "r", "--standalone", "--no-python", "./run", "--nnodes"], ["--role", "r", "--no-python"], True,
         ["./run", "--nnodes"]),
        (["--", "train.py"], [], False, ["train.py"]),
        (["-t", "3", "train.py"], [], False, ["train.py"]),
    ],
)  # fmt: skip
def test_options_before_the_script(words: list[str], options: list[str], bare: bool, script: list[str]) -> None:
    assert split(words) == (options, bare, script)


def test_visible_devices() -> None:
    assert visible_devices("amd", (1, 3)) == {"HIP_VISIBLE_DEVICES": "1,3"}
    assert visible_devices("nvidia", ())["CUDA_VISIBLE_DEVICES"] == ""
    assert visible_devices(None, (1,)) == {}


def test_the_first_node_of_a_service_is_told_how_it_is_asked_whether_it_serves() -> None:
    service = Service(("api", "http"), "http:http/health?deep=1")
    made = specs(replace(job("serve"), launch="command", kind="service", service=service), ATTEMPT, SEATS)
    first, *others = ATTEMPT.allocation.nodes
    port = int(made[first]["environment"]["AIOPS_PORT_HTTP"])
    assert made[first]["ready"] == {"port": port, "path": "/health?deep=1"}
    assert [made[other]["ready"] for other in others] == [None] * len(others)
    asked = specs(
        replace(job("serve"), launch="command", kind="service", service=Service((), ("curl", "-f"))), ATTEMPT, SEATS
    )
    assert asked[first]["ready"] == {"argv": ["curl", "-f"]}
