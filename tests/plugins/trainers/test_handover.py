"""What runs a tool's program: where it goes on from, and what it reports."""

import json
import re
import sys
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
    handover.report(state, {"loss": 0.00012, "learning_rate": 2e-4, "grad_norm": "1.5"}, str(tmp_path / "m"), 0.0)
    said = [re.search(PROGRESS, line) for line in capsys.readouterr().out.splitlines()]
    (found,) = [one for one in said if one]
    assert (found["step"], float(found["loss"])) == ("7", 0.00012)
    line = json.loads((tmp_path / "m").read_text())
    assert {"step", "loss", "rate", "tokens", "seconds", "epoch", "grad_norm"} == set(line)
    assert (line["grad_norm"], line["rate"], line["tokens"]) == (1.5, 2e-4, None)


def test_each_step_tells_its_own_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report adds them up: seconds since the beginning would be counted again with each step."""

    class CallbackHandler:
        def on_log(self, args: object, state: object, control: object, logs: object) -> None: ...

    module = SimpleNamespace(CallbackHandler=CallbackHandler)
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(trainer_callback=module))
    monkeypatch.setitem(sys.modules, "transformers.trainer_callback", module)
    times = iter([100.0, 103.0, 103.0, 107.0, 107.0])
    monkeypatch.setattr(handover, "time", SimpleNamespace(monotonic=lambda: next(times)))
    handover.listen(str(tmp_path / "m"))
    for step in (1, 2):
        state = SimpleNamespace(is_world_process_zero=True, global_step=step, max_steps=2, epoch=0.5)
        CallbackHandler().on_log(None, state, None, {"loss": 1.0})
    assert [json.loads(line)["seconds"] for line in (tmp_path / "m").read_text().splitlines()] == [3.0, 4.0]


def test_other_ranks_and_other_reports_say_nothing(tmp_path: Path) -> None:
    state = SimpleNamespace(is_world_process_zero=True, global_step=7, max_steps=100, epoch=0.5)
    handover.report(state, {"eval_loss": 1.0}, str(tmp_path / "m"), 0.0)
    state.is_world_process_zero = False
    handover.report(state, {"loss": 1.0}, str(tmp_path / "m"), 0.0)
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
