"""docs/examples: the job can be compiled, and the run it starts is the same however it was interrupted."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aiops.layers.l2_jobs.job_file import load_job_file

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


def test_the_job_can_be_compiled() -> None:
    assert load_job_file(EXAMPLES / "job.yml").document.command[:2] == ("torchrun", "train.py")


def steps(folder: Path, kind: str, *words: str, ranks: int = 2, **environment: str) -> dict[int, str]:
    """The loss of each step that a run tells."""
    argv = (sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--rdzv-backend=c10d")
    whole = (*argv, "--rdzv-endpoint=localhost:0", str(EXAMPLES / "train.py"), "--format", kind, *words)
    given = {**os.environ, "AIOPS_CHECKPOINTS": str(folder), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(whole, capture_output=True, text=True, env=given, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    return {int(step): loss for step, loss in re.findall(r"^step (\d+) loss (\S+)$", done.stdout, re.MULTILINE)}


@TORCH
@pytest.mark.parametrize("kind", ["torch", "dcp"])
def test_an_interrupted_run_gives_the_same_numbers(tmp_path: Path, kind: str) -> None:
    whole = steps(tmp_path / "whole", kind, "--steps", "8", "--save-every", "4")
    stop = tmp_path / "stop"
    stop.touch()
    first = steps(tmp_path / "cut", kind, "--steps", "8", AIOPS_STOP=str(stop))
    assert list(first) == [1]
    rest = steps(tmp_path / "cut", kind, "--steps", "8", AIOPS_RESUME=str(tmp_path / "cut" / "step-1"))
    assert first | rest == whole
