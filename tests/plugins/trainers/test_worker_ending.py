"""The end of a run, without torch: what is found of a finished training, where adapters belong, signs of life."""

import json
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiops import checkpoint
from aiops.plugins.trainers.transformers.worker import gguf_file, pulse
from aiops.plugins.trainers.transformers.worker.merge import homes, layer_of, refuse_unmergeable
from aiops.plugins.trainers.transformers.worker.pulse import Pulse
from aiops.plugins.trainers.transformers.worker.trained import FILE, Trained, forget, read, write
from aiops.plugins.trainers.transformers.worker.work import LeaveError, RefusedError, Work

DIGESTS = {one: one[0] * 64 for one in ("base", "data", "recipe", "code")}
FOUND = Trained("adapter", {"passed": True, "held_out_loss": 0.5, "answers": [{"answer": "tin"}]})
ADAPTER = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"


def work_of(folder: Path, **more: Any) -> Work:
    """What `trained` reads of a run."""
    said = {"folder": str(folder), "artefact": folder / "artefact", "steps": 12, "world": 2, "digests": DIGESTS}
    return cast("Work", SimpleNamespace(**{**said, **more}))


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a run whose training is over."""
    place = tmp_path / "artefact/adapter"
    place.mkdir(parents=True)
    (place / "adapter_model.safetensors").write_bytes(b"weights")
    write(work_of(tmp_path), FOUND)
    return tmp_path


def test_a_finished_training_is_found(finished: Path) -> None:
    assert read(work_of(finished), 12) == FOUND


@pytest.mark.parametrize(
    "more", [{"steps": 13}, {"world": 1}, {"digests": {**DIGESTS, "data": "0" * 64}}, {"digests": {}}]
)
def test_that_of_another_run_is_not(finished: Path, more: dict[str, Any]) -> None:
    assert read(work_of(finished, **more), more.get("steps", 12)) is None


def test_who_goes_on_from_an_earlier_step_trains(finished: Path) -> None:
    assert read(work_of(finished), 9) is None


def test_weights_that_are_not_whole_are_made_again(finished: Path) -> None:
    weights = finished / "artefact/adapter/adapter_model.safetensors"
    weights.write_bytes(b"weigh")
    assert read(work_of(finished), 12) is None
    weights.unlink()
    assert read(work_of(finished), 12) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"v": 1}', '{"v": 2, "step": 12, "world": 2}'])
def test_a_file_that_says_nothing_is_none(finished: Path, text: str) -> None:
    (finished / FILE).write_text(text)
    assert read(work_of(finished), 12) is None


def test_it_can_be_forgotten_twice(finished: Path) -> None:
    forget(work_of(finished))
    forget(work_of(finished))
    assert read(work_of(finished), 12) is None


def base_of(folder: Path, tensors: dict[str, str], file: str = "model.safetensors") -> Path:
    """A file of tensors of two numbers each, by name with their type."""
    header = {
        name: {"dtype": kind, "shape": [2], "data_offsets": [8 * number, 8 * number + 8]}
        for number, (name, kind) in enumerate(tensors.items())
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / file).write_bytes(struct.pack("<Q", len(text)) + text + bytes(8 * len(tensors)))
    return folder


def test_a_layer_is_named_as_in_the_base() -> None:
    assert layer_of(ADAPTER) == layer_of(ADAPTER.replace("lora_A", "lora_B")) == "model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize("before", ["model.", "", "language_model.model."])
def test_each_adapter_finds_its_weight_also_where_names_begin_elsewhere(tmp_path: Path, before: str) -> None:
    base_of(tmp_path, {"lm_head.weight": "F32"}, "a.safetensors")
    base_of(tmp_path, {f"{before}layers.{n}.self_attn.q_proj.weight": "BF16" for n in (10, 0)}, "b.safetensors")
    (layer,) = (found := homes(tmp_path, [ADAPTER, ADAPTER.replace("lora_A", "lora_B")]))
    assert layer == "model.layers.0.self_attn.q_proj"
    place = found[layer]
    assert (place.file, place.kind, place.shape, place.size) == ("b.safetensors", "BF16", (2,), 8)
    assert place.start == (tmp_path / "b.safetensors").stat().st_size - 8


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"model.layers.0.self_attn.q_proj.weight": "U8"}, "is of U8"),
        ({"model.layers.1.self_attn.q_proj.weight": "F32"}, "no file has model.layers.0.self_attn.q_proj.weight"),
        ({f"{one}.model.layers.0.self_attn.q_proj.weight": "F32" for one in "ab"}, "no file has"),
        ({}, "no file has"),
    ],
)
def test_what_cannot_be_merged_is_refused(tmp_path: Path, tensors: dict[str, str], why: str) -> None:
    base = base_of(tmp_path, tensors)
    said = {"base": str(base), "adapter": {"kind": "lora"}, "merge": False, "gguf": ()}
    work = cast("Work", SimpleNamespace(**said))
    refuse_unmergeable(work, [ADAPTER])
    for wanted in ({"merge": True}, {"gguf": ("q8_0",)}):
        with pytest.raises(RefusedError, match=why):
            refuse_unmergeable(cast("Work", SimpleNamespace(**{**said, **wanted})), [ADAPTER])


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The phases that were told."""
    found: list[str] = []
    monkeypatch.setattr(checkpoint, "progress", lambda _step, *, phase, total: found.append(f"{phase} {total}"))
    monkeypatch.setattr(checkpoint, "stop_requested", lambda: False)
    return found


def test_a_pulse_is_news_each_time_and_not_too_often(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(pulse, "time", SimpleNamespace(monotonic=lambda: now[0]))
    one = Pulse(work_of(Path("/run")))
    for _ in range(30):
        one.beat()
        now[0] += 0.25
    assert told == ["save 12", "evaluate 12"] * 4


def test_a_pulse_ends_where_it_is_asked_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "stop_requested", lambda: True)
    with pytest.raises(LeaveError):
        Pulse(work_of(Path("/run"))).beat()


class Counted:
    """A pulse that counts."""

    def __init__(self, most: int = 1000) -> None:
        self.beats = 0
        self._most = most

    def beat(self) -> None:
        self.beats += 1
        if self.beats > self._most:
            raise LeaveError


def test_a_converter_has_a_pulse_only_while_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_file, "_LOOK", 0.05)
    target = tmp_path / "model.gguf"
    sleeps, works = Counted(), Counted()
    idle = "import time; time.sleep(0.5)"
    busy = "import time\nwhile time.process_time() < 0.6: pass"
    for words, one in ((idle, sleeps), (busy, works)):
        with subprocess.Popen([sys.executable, "-S", "-c", words]) as converter:
            assert gguf_file._ended(converter, target, cast("Pulse", one)) == 0
    assert sleeps.beats < works.beats


def test_a_converter_does_not_outlive_who_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_file, "_LOOK", 0.01)
    program = tmp_path / "converter"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(gguf_file, "sys", SimpleNamespace(executable=str(program)))
    with pytest.raises(LeaveError):  # and at once: `Popen` would wait for a converter that still runs
        gguf_file.write(tmp_path, tmp_path / "gguf/model.gguf", "f16", cast("Pulse", Counted(most=0)))
