"""Manifests: read strictly, and whatever is written in them ends in words."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import FailedError
from aiops.layers.l2_jobs.checkpoint.facts import MANIFEST
from aiops.layers.l2_jobs.checkpoint.manifest import ManifestError, parse
from aiops.layers.l2_jobs.checkpoint.remote import survey

from .saves import reader, write_manifest

GOOD: dict[str, Any] = {
    "aiops": 1,
    "step": 20,
    "world_size": 8,
    "job": "llama-7",
    "epoch": 3,
    "format": "files",
    "written": "2026-11-28T22:00:00Z",
    "data": {"shard": 4},
    "files": [{"path": "rank0/a.bin", "size": 3, "sha256": "AB" * 32}],
}


def test_a_manifest_is_read() -> None:
    found = parse(json.dumps(GOOD))
    assert (found.step, found.world_size, found.job, found.epoch, found.format) == (20, 8, "llama-7", 3, "files")
    assert found.files == {"rank0/a.bin": (3, "ab" * 32)}


@pytest.mark.parametrize(
    "change",
    [
        {"aiops": 2},
        {"step": None},
        {"step": -1},
        {"step": True},
        {"format": None},
        {"world_size": "8"},
        {"job": 7},
        {"epoch": 1.5},
        {"files": None},
        {"files": [1]},
        {"files": [{"path": "../x", "size": 1, "sha256": "00"}]},
        {"files": [{"path": "/etc/shadow", "size": 1, "sha256": "00"}]},
        {"files": [{"path": "", "size": 1, "sha256": "00"}]},
        {"files": [{"path": "a", "size": "1", "sha256": "00"}]},
        {"files": [{"path": "a", "size": 1}]},
        {"files": [GOOD["files"][0], GOOD["files"][0]]},
    ],
)
def test_what_is_no_manifest_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        parse(json.dumps({**GOOD, **change}))


@settings(max_examples=200)
@given(text=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_any_text_ends_in_an_error_of_its_own(text: str) -> None:
    with pytest.raises(ManifestError):
        parse(text)


def _state(folder: Path) -> tuple[str, str | None]:
    found = reader().all(str(folder))
    assert len(found) == 1
    return found[0].state, found[0].why


def test_any_files_with_a_manifest_are_a_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "epoch-3"
    (folder / "rank0").mkdir(parents=True)
    (folder / "rank0" / "weights.npz").write_bytes(b"abc")
    write_manifest(folder, 4000, "numpy", 8)
    found = reader().all(str(tmp_path / "runs"))[0]
    assert (found.step, found.world_size, found.format, found.state) == (4000, 8, "files", "good")
    (folder / "rank0" / "weights.npz").write_bytes(b"abd")
    assert _state(folder) == (
        "bad",
        "rank0/weights.npz is not what was saved: its SHA-256 is another than in the manifest",
    )
    (folder / "rank0" / "weights.npz").write_bytes(b"abcd")
    assert _state(folder) == ("bad", "rank0/weights.npz has 4 bytes; the manifest says 3")
    (folder / "rank0" / "weights.npz").unlink()
    assert _state(folder) == ("bad", "rank0/weights.npz is missing: the manifest lists it")


def test_a_broken_manifest_proves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "step-3"
    folder.mkdir()
    (folder / MANIFEST).write_text('{"aiops": 1, "st')
    assert _state(folder) == ("bad", f"{MANIFEST} is no JSON document")


def test_hidden_and_deep_files_of_a_manifest_are_looked_at_too(tmp_path: Path) -> None:
    folder = tmp_path / "step-3"
    deep = folder / "a" / "b" / "c" / "d" / "e" / "f" / "weights"
    hidden = folder / ".state" / "x"
    for path in (deep, hidden, folder / ".rng"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"abc")
    write_manifest(folder, 3, "files")
    assert _state(folder) == ("good", None)
    for path in (deep, hidden, folder / ".rng"):
        path.unlink()
        assert _state(folder) == ("bad", f"{path.relative_to(folder)} is missing: the manifest lists it")
        path.write_bytes(b"abd")
        assert _state(folder)[0] == "bad"
        path.write_bytes(b"abc")


def test_a_folder_with_too_many_files_is_refused_rather_than_read_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "MOST", 3)
    (tmp_path / "data").mkdir()
    for number in range(4):
        (tmp_path / "data" / f"{number}.bin").write_bytes(b"x")
    with pytest.raises(FailedError, match="there are more than 3 files: name the folder of its checkpoints"):
        reader().all(str(tmp_path))
