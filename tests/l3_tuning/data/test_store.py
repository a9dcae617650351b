"""What is named as prepared data, and what is told where a file of it is not what it was."""

import json
import os
from pathlib import Path

import pytest

from aiops.layers.core.errors import AiopsError, FailedError, InputError
from aiops.layers.l3_tuning.data import store
from aiops.layers.l3_tuning.recipe import DataPlan

from .prepared_folder import asked, prepare, write_rows
from .tiny_model import lay_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    plan = DataPlan((str(write_rows(folder / "facts.jsonl", map(asked, range(12)))),), length=512, held_out=0.3)
    return folder / "data" / prepare(plan, str(lay_model(folder / "model")), folder / "data").digest


def copied(whole: Path, target: Path) -> Path:
    for path in whole.rglob("*"):
        if path.is_file():
            (target / path.relative_to(whole)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(whole)).write_bytes(path.read_bytes())
    return target


def test_a_prepared_folder_is_told_from_rows(tmp_path: Path, whole: Path) -> None:
    rows = write_rows(tmp_path / "rows/a.jsonl", [asked(1)]).parent
    (rows / "manifest.json").write_text('{"files": ["a.jsonl"]}')  # of whoever made the rows
    assert store.named([str(rows)]) is None
    assert store.named([str(rows / "a.jsonl"), str(rows)]) is None
    assert store.named([str(tmp_path / "nowhere")]) is None
    assert store.named([str(whole)]) == whole
    with pytest.raises(InputError, match="names other files beside it"):
        store.named([str(rows), str(whole)])
    lost = copied(whole, tmp_path / "lost")
    (lost / "manifest.json").unlink()
    with pytest.raises(FailedError, match=r"lost/manifest\.json is missing"):
        store.named([str(lost)])
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "manifest.json").write_bytes((whole / "manifest.json").read_bytes())
    assert store.named([str(alone)]) == alone
    with pytest.raises(FailedError, match="is missing"):
        store.whole(alone)


def test_every_file_that_is_not_what_it_was_is_named(tmp_path: Path, whole: Path) -> None:
    cache = tmp_path / "sums.json"
    for number, name in enumerate(sorted(str(one.relative_to(whole)) for one in whole.rglob("*") if one.is_file())):
        folder = copied(whole, tmp_path / str(number))
        assert store.verify(folder, cache) == store.verify(folder) == store.load(folder)
        (folder / name).unlink()
        with pytest.raises(AiopsError) as caught:
            store.verify(folder, cache)
        assert f"{number}/{name} is missing" in caught.value.message
        content = bytearray((whole / name).read_bytes())
        content[len(content) // 2 if "manifest" not in name else 0] ^= 0xFF
        (folder / name).write_bytes(content)
        with pytest.raises(FailedError, match=name.replace(".", r"\.") + " is ") as broken:
            store.verify(folder, cache)
        assert broken.value.code == "data.damaged"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("samples", -1),
        ("samples", "12"),
        ("tokens", True),
        ("form", "chats"),
        ("packed", 1),
        ("inputs", []),
        ("files", {"tokens.bin": 1}),
        ("digest", None),
    ],
)
def test_a_manifest_that_says_nonsense_is_broken(tmp_path: Path, whole: Path, key: str, value: object) -> None:
    said = json.loads((whole / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**said, key: value}))
    with pytest.raises(FailedError, match=r"manifest\.json is broken"):
        store.load(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({**said, "later": 1}))
    assert store.load(tmp_path) == store.load(whole)


def test_a_manifest_that_says_too_little_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(FailedError, match=r"manifest\.json is broken: it says no `digest`$"):
        store.load(tmp_path)


def test_a_manifest_must_be_that_of_its_inputs(tmp_path: Path, whole: Path) -> None:
    folder = copied(whole, tmp_path / "x")
    said = json.loads((folder / "manifest.json").read_text())
    said["inputs"]["tokenizer"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(said))
    with pytest.raises(FailedError, match="its digest is not that of its inputs"):
        store.verify(folder)


def test_what_looks_as_it_did_is_not_read_again(tmp_path: Path, whole: Path) -> None:
    folder, cache = copied(whole, tmp_path / "x"), tmp_path / "home" / "sums.json"
    told: list[tuple[int, int]] = []

    def listen(done: int, all_: int) -> None:
        told.append((done, all_))

    size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file() and one.name != "manifest.json")
    store.verify(folder, cache, listen)
    assert told[-1] == (size, size)
    told.clear()
    store.verify(folder, cache, listen)
    assert told == []
    state = (folder / "mask.bin").stat()
    os.utime(folder / "mask.bin", ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    store.verify(folder, cache, listen)
    assert told == [(state.st_size, state.st_size)]


def test_reading_a_manifest_needs_nothing_heavy() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from aiops.layers.l3_tuning.data import store;"
        "print([one for one in ('numpy', 'orjson', 'tokenizers', 'pyarrow', 'jinja2') if one in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
