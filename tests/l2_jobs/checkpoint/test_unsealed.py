"""A power cut before a checkpoint was sealed: structure alone does not tell what it took."""

import json
import struct
from pathlib import Path

from aiops import checkpoint
from aiops.layers.core.plugin import Plugins
from aiops.layers.l2_jobs.checkpoint.format import read_formats
from aiops.layers.l2_jobs.checkpoint.reader import Reader
from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor


def save(folder: Path, step: int, *, sealed: bool) -> None:
    place = folder / f"step-{step}"
    place.mkdir()
    header = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (place / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\1\2\3\4")
    if sealed:
        checkpoint.seal(place, step, format="safetensors")


def chosen(folder: Path) -> tuple[int | None, dict[int | None, str | None]]:
    """The step that a restart goes on from, and why newer ones are not taken."""
    seen, newer = Reader(LocalSurveyor(), read_formats(Plugins()), settled=0.0).newest(str(folder))
    return (
        None if seen is None else seen.checkpoint.step,
        {one.checkpoint.step: one.checkpoint.why for one in newer},
    )


def test_one_that_was_not_sealed_after_one_that_was_is_passed_over(tmp_path: Path) -> None:
    save(tmp_path, 1, sealed=True)
    save(tmp_path, 2, sealed=True)
    save(tmp_path, 3, sealed=False)
    step, why = chosen(tmp_path)
    assert step == 2
    assert why == {3: "it has no manifest, and the one before it has: its save has not ended"}


def test_who_seals_no_more_is_believed(tmp_path: Path) -> None:
    save(tmp_path, 1, sealed=True)
    save(tmp_path, 2, sealed=False)
    save(tmp_path, 3, sealed=False)
    assert chosen(tmp_path) == (3, {})


def test_without_manifests_the_newest_is_taken(tmp_path: Path) -> None:
    save(tmp_path, 1, sealed=False)
    assert chosen(tmp_path) == (1, {})
    save(tmp_path, 2, sealed=False)
    assert chosen(tmp_path) == (2, {})
    save(tmp_path, 3, sealed=True)
    assert chosen(tmp_path) == (3, {})


def test_a_damaged_one_between_them_changes_nothing(tmp_path: Path) -> None:
    save(tmp_path, 1, sealed=True)
    save(tmp_path, 2, sealed=True)
    (tmp_path / "step-2" / "model.safetensors").write_bytes(b"short")
    save(tmp_path, 3, sealed=False)
    step, why = chosen(tmp_path)
    assert step == 1
    assert set(why) == {2, 3}
