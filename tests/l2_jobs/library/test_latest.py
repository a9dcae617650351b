import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l2_jobs.library.writing import manifest, of_step

from aiops import checkpoint


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for step in (2, 10):
        checkpoint.save(tmp_path, step, of_step(step))
    return tmp_path


def test_nothing_is_nothing(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path) is None
    assert checkpoint.latest(tmp_path / "none") is None
    (tmp_path / "file").touch()
    assert checkpoint.latest(tmp_path / "file") is None


def test_the_newest_by_number(runs: Path) -> None:
    assert checkpoint.latest(runs) == str(runs / "step-10")
    of_step(11)(str(runs / "checkpoint-11"))
    assert checkpoint.latest(runs) == str(runs / "step-10")
    checkpoint.seal(runs / "checkpoint-11", 11)
    assert checkpoint.latest(str(runs)) == str(runs / "checkpoint-11")


def test_what_is_not_whole_is_passed_over(runs: Path) -> None:
    path = runs / "step-10" / "model"
    path.write_bytes(path.read_bytes()[:-1])
    assert checkpoint.latest(runs) == str(runs / "step-2")
    path.unlink()
    assert checkpoint.latest(runs) == str(runs / "step-2")
    path.symlink_to("/etc/passwd")
    assert checkpoint.latest(runs) == str(runs / "step-2")


def test_one_under_another_s_name_is_passed_over(runs: Path) -> None:
    (runs / "step-10").rename(runs / "step-11")
    assert checkpoint.latest(runs) == str(runs / "step-2")


def test_one_set_aside_is_passed_over(runs: Path) -> None:
    (runs / "step-10").rename(runs / "step-10.bad-20261128")
    assert checkpoint.latest(runs) == str(runs / "step-2")


def test_what_aiops_has_chosen_is_taken(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_CHECKPOINTS", str(runs))
    monkeypatch.setenv("AIOPS_RESUME", str(runs / "step-2"))
    assert checkpoint.latest(runs) == str(runs / "step-2")
    assert checkpoint.latest(runs.parent) == str(runs / "step-2")
    monkeypatch.setenv("AIOPS_RESUME", "")
    assert checkpoint.latest(runs) is None


def test_a_folder_that_aiops_does_not_know_is_looked_at(
    runs: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setenv("AIOPS_CHECKPOINTS", str(other))
    for chosen in ("", str(other / "step-3")):
        monkeypatch.setenv("AIOPS_RESUME", chosen)
        assert checkpoint.latest(runs) == str(runs / "step-10")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(key=st.sampled_from(["aiops", "step", "files", "path", "size", "sha256"]), value=_VALUES)
def test_a_manifest_of_rubbish_is_no_manifest(tmp_path_factory: pytest.TempPathFactory, key: str, value: Any) -> None:
    folder = tmp_path_factory.mktemp("runs")
    checkpoint.save(folder, 2, of_step(2))
    checkpoint.save(folder, 3, of_step(3))
    document = manifest(folder / "step-3")
    (document["files"][0] if key in ("path", "size", "sha256") else document)[key] = value
    (folder / "step-3" / checkpoint.MANIFEST).write_text(json.dumps(document))
    assert checkpoint.latest(folder) in (str(folder / "step-2"), str(folder / "step-3"))


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=60))
def test_bytes_of_rubbish_are_no_manifest(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("runs")
    of_step(3)(str(folder / "step-3"))
    (folder / "step-3" / checkpoint.MANIFEST).write_bytes(content)
    assert checkpoint.latest(folder) is None
