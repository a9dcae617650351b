"""What runs a tool's program: where it goes on from, and what it reports."""

import json
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from aiops.plugins.trainers import handover
from aiops.plugins.trainers.hugging_face import PROGRESS

WORDS = "tool.train /run/metrics.jsonl --resume --from --resume {} --fresh --anew -- a.yaml {}"
ARGV = WORDS.split()


def test_a_resume_hands_over_the_verified_checkpoint() -> None:
    assert handover.words_of(ARGV, "/run/checkpoints/checkpoint-5")[2] == [
        "a.yaml",
        "{}",
        "--from",
        "/run/checkpoints/checkpoint-5",
    ]


def test_a_beginning_is_told_to_look_for_none() -> None:
    assert handover.words_of(ARGV, "") == ("tool.train", "/run/metrics.jsonl", ["a.yaml", "{}", "--anew"])


def test_a_report_is_a_line_that_jobs_understand_and_one_of_the_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = SimpleNamespace(is_world_process_zero=True, global_step=7, max_steps=100, epoch=0.5)
    handover.report(
        state, {"loss": 0.00012, "learning_rate": 2e-4, "grad_norm": "1.5"}, str(tmp_path / "m"), handover.Pace()
    )
    said = [re.search(PROGRESS, line) for line in capsys.readouterr().out.splitlines()]
    (found,) = [one for one in said if one]
    assert (found["step"], float(found["loss"])) == ("7", 0.00012)
    line = json.loads((tmp_path / "m").read_text())
    assert {"step", "loss", "rate", "tokens", "seconds", "epoch", "grad_norm"} == set(line)
    assert (line["grad_norm"], line["rate"], line["tokens"]) == (1.5, 2e-4, None)


def test_seconds_are_those_of_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like those of the shipped trainer, so that a report may add them up; a line may tell of many steps."""
    pace, said = handover.Pace(), tmp_path / "m"
    for step, now in ((10, 100.0), (20, 105.0), (25, 106.0), (25, 106.5)):
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        state = SimpleNamespace(is_world_process_zero=True, global_step=step, max_steps=25, epoch=0.5)
        handover.report(state, {"loss": 1.0}, str(said), pace)
    found = [json.loads(line)["seconds"] for line in said.read_text().splitlines()]
    assert found == [None, 0.5, 0.2, None]


def test_other_ranks_and_other_reports_say_nothing(tmp_path: Path) -> None:
    state = SimpleNamespace(is_world_process_zero=True, global_step=7, max_steps=100, epoch=0.5)
    handover.report(state, {"eval_loss": 1.0}, str(tmp_path / "m"), handover.Pace())
    state.is_world_process_zero = False
    handover.report(state, {"loss": 1.0}, str(tmp_path / "m"), handover.Pace())
    assert not (tmp_path / "m").exists()


def test_the_tools_program_runs_as_if_it_were_called_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a_tool.py").write_text("import sys\nif __name__ == '__main__':\n    print(sys.argv[1:])\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setenv("AIOPS_RESUME", "/c")
    handover.main(["a_tool", "/m", "--resume", "--from={}", "--", "x"])
    assert capsys.readouterr().out.splitlines()[-1] == "['x', '--from=/c']"
