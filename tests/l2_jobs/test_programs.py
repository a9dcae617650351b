"""The programs that stand for training runs do what their faults are called after."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

STEPPER = Path(__file__).with_name("programs") / "stepper.py"
QUICK = ("--steps", "12", "--rate", "500", "--save-every", "5", "--print-every", "0")


def start(folder: Path, *words: str, **environment: str) -> "subprocess.Popen[str]":
    given = {**os.environ, "AIOPS_CHECKPOINTS": str(folder), **environment}
    argv = (sys.executable, str(STEPPER), *QUICK, *words)
    return subprocess.Popen(argv, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    program = start(folder, *words, **environment)
    said, _ = program.communicate(timeout=60)
    return program.returncode, said


@pytest.mark.parametrize(
    ("fault", "status", "words", "saved"),
    [
        ("crash@7", 1, "RuntimeError: injected crash at step 7", ["step-5"]),
        ("exit@3:status=9", 9, "", []),
        ("kill@7", -signal.SIGKILL, "", ["step-5"]),
        ("bug@0", 1, "AttributeError", []),
        ("oom@7", 1, "CUDA out of memory", ["step-5"]),
        ("enospc@5", 1, "No space left on device", []),
    ],
)
def test_a_run_that_failed_goes_on_to_the_same_result(
    tmp_path: Path, fault: str, status: int, words: str, saved: list[str]
) -> None:
    _, whole = run(tmp_path / "whole")
    found, said = run(tmp_path / "run", "--fault", fault)
    assert (found, words in said) == (status, True), said
    assert (
        sorted(path.parent.name for path in (tmp_path / "run").glob("step-*/*.json") if "aiops" in path.name) == saved
    )
    found, said = run(tmp_path / "run", "--fault", fault, AIOPS_ATTEMPT="2")
    assert found == 0
    assert said.splitlines()[-1] == whole.splitlines()[-1]


def test_a_torn_checkpoint_has_no_seal(tmp_path: Path) -> None:
    status, _ = run(tmp_path, "--fault", "torn@10")
    assert status == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "step-10").iterdir()] == ["rank-0.json"]
    with pytest.raises(json.JSONDecodeError):
        json.loads((tmp_path / "step-10" / "rank-0.json").read_text())


def gang(folder: Path, trace: Path, *words: str) -> list[tuple[int, str]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    world: Mapping[str, str] = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    programs = [start(folder, "--trace", str(trace), *words, **world, RANK=str(rank)) for rank in (0, 1)]
    return [(program.communicate(timeout=60)[0], program.returncode)[::-1] for program in programs]


def test_ranks_step_together_and_a_lost_one_ends_the_others(tmp_path: Path) -> None:
    (first, echo), (second, cause) = gang(tmp_path / "run", tmp_path / "trace", "--fault", "crash@7:rank=1")
    assert (first, second) == (1, 1)
    assert "another rank has gone" in echo
    assert "injected crash" in cause
    steps = [line.split()[1:] for line in (tmp_path / "trace").read_text().splitlines()]
    assert sorted(steps) == [["1", rank, str(step)] for rank in "01" for step in range(1, 7)]
    assert [status for status, _ in gang(tmp_path / "run", tmp_path / "trace")] == [0, 0], "it goes on"


def test_progress_is_told_and_a_stop_saves(tmp_path: Path) -> None:
    told, stop = tmp_path / "told", tmp_path / "stop"
    stop.touch()
    status, _ = run(
        tmp_path / "run", "--steps", "0", "--fault", "nan@1", AIOPS_PROGRESS=str(told), AIOPS_STOP=str(stop)
    )
    assert status == 0
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(line["phase"], line["step"]) for line in lines] == [("start", 0), ("step", 1), ("save", 1)]
    assert math.isnan(lines[1]["loss"])
    assert (tmp_path / "run" / "step-1" / "aiops-manifest.json").exists()
