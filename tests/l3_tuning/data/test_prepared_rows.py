"""What is told where somebody reads rows of a prepared folder that was damaged: the file, the folder, what to type."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.layers.core.errors import FailedError
from aiops.layers.l3_tuning.data import prepared_rows, store
from aiops.layers.l3_tuning.recipe import DataPlan

from .prepared_folder import asked, prepare, write_rows
from .tiny_model import lay_model

Deed = Callable[[bytes], bytes | None]
NAMES = ("tokens.bin", "mask.bin", "samples.bin", "segments.bin", "rows.jsonl.zst")
READERS: dict[str, Callable[[Path], object]] = {
    "row": lambda folder: prepared_rows.row(folder, 3),
    "held out": lambda folder: prepared_rows.row(folder, 1, held_out=True),
    "spread": lambda folder: list(prepared_rows.spread(folder, 4)),
    "rows": lambda folder: list(prepared_rows.rows(folder)),
    "removed": lambda folder: list(prepared_rows.removed(folder)),
    "lengths": prepared_rows.lengths,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    rows = write_rows(folder / "facts.jsonl", [*map(asked, range(12)), asked(3)])
    plan = DataPlan((str(rows),), length=512, packing=True, held_out=0.3)
    return folder / "data" / prepare(plan, str(lay_model(folder / "model")), folder / "data").digest


def damaged(whole: Path, target: Path, name: str, deed: Deed) -> Path:
    for path in whole.rglob("*"):
        if path.is_file():
            (target / path.relative_to(whole)).parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            changed = deed(content) if str(path.relative_to(whole)) == name else content
            if changed is not None:
                (target / path.relative_to(whole)).write_bytes(changed)
    return target


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "change",
    [
        (lambda content: content + b"123", "bytes, not"),
        (lambda _: b"", "has 0 bytes, not"),
        (lambda _: None, "is missing"),
    ],
)
@pytest.mark.parametrize("name", [*NAMES, *(f"evaluation/{name}" for name in NAMES), "removed.jsonl.zst"])
def test_a_file_of_another_length_is_named_by_every_reader(
    tmp_path: Path, whole: Path, name: str, change: tuple[Deed, str], reader: str
) -> None:
    deed, words = change
    folder = damaged(whole, tmp_path / "x", name, deed)
    with pytest.raises(FailedError) as caught:
        READERS[reader](folder)
    assert caught.value.message.startswith(f"{folder / name} ")
    assert words in caught.value.message
    assert caught.value.code == "data.damaged"
    first, second = caught.value.hints
    assert f"`aiops data show {folder} --verify`" in first
    assert f"`rm -r {folder}`" in second


@pytest.mark.parametrize(
    ("name", "deed", "reader"),
    [
        ("samples.bin", lambda content: b"\xff" * len(content), "row"),
        ("samples.bin", lambda content: b"\xff" * len(content), "spread"),
        ("rows.jsonl.zst", lambda content: bytes(len(content)), "row"),
        ("rows.jsonl.zst", lambda content: bytes(len(content)), "rows"),
        ("rows.jsonl.zst", lambda content: bytes(len(content)), "spread"),
        ("evaluation/rows.jsonl.zst", lambda content: bytes(len(content)), "held out"),
        ("removed.jsonl.zst", lambda content: bytes(len(content)), "removed"),
    ],
)
def test_content_that_makes_no_sense_is_damage_too(
    tmp_path: Path, whole: Path, name: str, deed: Deed, reader: str
) -> None:
    folder = damaged(whole, tmp_path / "x", name, deed)
    with pytest.raises(FailedError, match="is not what was written") as caught:
        READERS[reader](folder)
    assert str(folder / name) in caught.value.message
    assert f"`aiops data show {folder} --verify`" in caught.value.hints[0]


@pytest.mark.parametrize(("key", "value"), [("rows", 10**6), ("samples", 1)])
def test_a_manifest_that_counts_otherwise_ends_no_reader(tmp_path: Path, whole: Path, key: str, value: int) -> None:
    def deed(text: bytes) -> bytes:
        return json.dumps({**json.loads(text), key: value}).encode()

    folder = damaged(whole, tmp_path / "x", "manifest.json", deed)
    with pytest.raises(FailedError, match="is not what was written"):
        prepared_rows.row(folder, store.whole(folder).rows)
