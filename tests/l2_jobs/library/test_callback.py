"""The callback without transformers: it needs none of it. Benchmarks run it under the real Trainer."""

import json
import signal
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.library.writing import is_whole, manifest, of_step

from aiops import checkpoint


@dataclass
class Args:
    output_dir: str
    should_save: bool = True
    world_size: int = 1
    device: str = "cpu"


@dataclass
class State:
    global_step: int = 0
    max_steps: int = 50


@dataclass
class Control:
    should_save: bool = False
    should_training_stop: bool = False


@dataclass
class Run:
    """What the Trainer would call."""

    args: Args
    callback: Any = field(default_factory=checkpoint.Callback)
    state: State = field(default_factory=State)
    control: Control = field(default_factory=Control)

    def event(self, name: str, **more: Any) -> None:
        assert getattr(self.callback, name)(self.args, self.state, self.control, model=None, **more) is None

    def saved(self, step: int) -> Path:
        self.state.global_step = step
        path = Path(self.args.output_dir, f"checkpoint-{step}")
        of_step(step)(str(path))
        self.event("on_save")
        return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    monkeypatch.setenv("AIOPS_PROGRESS", str(tmp_path / "lines"))
    (tmp_path / "out").mkdir()
    yield Run(Args(str(tmp_path / "out")))
    for number, handler in before.items():
        signal.signal(number, handler)


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]


def test_it_tells_where_training_is(run: Run, tmp_path: Path) -> None:
    run.event("on_init_end")
    run.event("on_train_begin")
    run.state.global_step = 1
    run.event("on_step_end")
    run.event("on_log", logs={"loss": 1.5})
    run.event("on_log", logs={"eval_loss": 9.0})
    run.event("on_log", logs=None)
    run.event("on_prediction_step")
    run.event("on_event_of_a_later_version", new=1)
    told = [(line["step"], line["phase"], line["loss"], line["total"]) for line in lines(tmp_path)]
    assert told == [(0, "start", None, 50), (1, "step", None, 50), (1, "step", 1.5, 50), (1, "evaluate", None, 50)]
    with pytest.raises(AttributeError):
        run.callback.other  # noqa: B018 - that it is not there is what is looked at


def test_a_request_saves_and_stops(run: Run) -> None:
    run.event("on_train_begin")
    run.event("on_step_end")
    assert run.control == Control()
    signal.raise_signal(signal.SIGTERM)
    run.event("on_step_end")
    assert run.control == Control(should_save=True, should_training_stop=True)


def test_every_checkpoint_is_sealed(run: Run) -> None:
    path = run.saved(10)
    assert is_whole(path)
    assert (manifest(path)["format"], manifest(path)["world_size"]) == ("hf-trainer", 1)
    assert checkpoint.latest(run.args.output_dir) == str(path)
    run.args.should_save = False
    assert not (run.saved(20) / checkpoint.MANIFEST).exists(), "another rank seals it"
    run.state.global_step = 30
    run.event("on_save")  # on a node that has no such folder


@pytest.mark.parametrize("event", ["on_step_end", "on_epoch_end"])
def test_an_old_epoch_is_refused_before_the_trainer_writes(
    run: Run, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(run.args.output_dir, checkpoint.FENCE).write_text("2")
    monkeypatch.setenv("AIOPS_EPOCH", "1")
    run.event(event)
    run.control.should_save = True
    with pytest.raises(checkpoint.StaleEpochError):
        run.event(event)


def test_ranks_agree_before_they_stop(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rank was asked, this one not yet: both stop at this step."""
    others = 0
    barriers = []

    class Flag:
        def __init__(self, values: list[int], device: str) -> None:
            self.value = values[0]

        def item(self) -> int:
            return self.value

    def all_reduce(flag: Flag) -> None:
        flag.value += others

    torch = types.ModuleType("torch")
    torch.tensor = Flag  # type: ignore[attr-defined]
    torch.distributed = types.SimpleNamespace(  # type: ignore[attr-defined]
        is_available=lambda: True,
        is_initialized=lambda: True,
        get_world_size=lambda: 2,
        all_reduce=all_reduce,
        barrier=lambda: barriers.append(1),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    run.event("on_step_end")
    alone = run.control.should_training_stop
    others = 1
    run.event("on_step_end")
    assert (alone, run.control.should_training_stop) == (False, True)
    assert is_whole(run.saved(1))
    assert barriers == [1]
