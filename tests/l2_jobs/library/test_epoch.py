from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.library.writing import is_whole, of_step, tree

from aiops import checkpoint


def raise_fence(folder: Path, epoch: str) -> None:
    (folder / checkpoint.FENCE).write_text(epoch)


@pytest.mark.parametrize(("epoch", "fence"), [("2", "3"), ("2", "3\n"), ("9", "10"), ("2", "junk"), ("2", "")])
def test_a_writer_of_an_old_epoch_is_refused_and_changes_nothing(
    tmp_path: Path, epoch: str, fence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, 1, of_step(1))
    (tmp_path / ".step-9.saving").mkdir()  # of the newer attempt
    raise_fence(tmp_path, fence)
    before = tree(tmp_path)
    monkeypatch.setenv("AIOPS_EPOCH", epoch)
    monkeypatch.setattr(checkpoint, "_CLEARED", set())
    with pytest.raises(checkpoint.StaleEpochError):
        checkpoint.save(tmp_path, 2, of_step(2), keep=2)
    with pytest.raises(checkpoint.StaleEpochError):
        checkpoint.seal(tmp_path / "step-1", 1)
    monkeypatch.setenv("AIOPS_CHECKPOINTS", str(tmp_path))
    with pytest.raises(checkpoint.StaleEpochError):
        checkpoint.save(tmp_path / "inner", 2, of_step(2))
    assert tree(tmp_path) == before


@pytest.mark.parametrize("epoch", ["3", "4", None])
def test_its_own_epoch_a_newer_one_and_none_are_let_in(
    tmp_path: Path, epoch: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    raise_fence(tmp_path, "3")
    if epoch is not None:
        monkeypatch.setenv("AIOPS_EPOCH", epoch)
    assert is_whole(Path(checkpoint.save(tmp_path, 2, of_step(2))))


def test_attempts_of_another_job_are_neither_older_nor_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{checkpoint.FENCE}.sft-1").write_text("3\n")
    monkeypatch.setenv("AIOPS_EPOCH", "1")
    monkeypatch.setenv("AIOPS_JOB", "sft-2")
    assert is_whole(Path(checkpoint.save(tmp_path, 2, of_step(2))))
    monkeypatch.setenv("AIOPS_JOB", "sft-1")
    with pytest.raises(checkpoint.StaleEpochError):
        checkpoint.save(tmp_path, 4, of_step(4))


def test_an_epoch_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_EPOCH", "x")
    with pytest.raises(ValueError, match="AIOPS_EPOCH='x'"):
        checkpoint.save(tmp_path / "runs", 2, of_step(2))
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("can_exchange", [False, True])
@pytest.mark.parametrize("when", ["writing", "renaming"])
def test_a_fence_that_is_raised_meanwhile_is_heeded(
    tmp_path: Path, when: str, there: bool, can_exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer was stopped for a while: before its last look at the fence, and after it."""
    if not can_exchange:
        monkeypatch.setattr(checkpoint, "_exchange", lambda one, other: False)
    checkpoint.save(tmp_path, 1, of_step(1))
    if there:
        checkpoint.save(tmp_path, 2, of_step(5))
    raise_fence(tmp_path, "1")
    before = tree(tmp_path)
    before[checkpoint.FENCE] = b"2"
    monkeypatch.setenv("AIOPS_EPOCH", "1")
    real = checkpoint._rename
    renamed = []

    def rename(source: str, final: str) -> Any:
        raise_fence(tmp_path, "2")
        renamed.append(final)
        return real(source, final)

    def write(folder: str) -> None:
        of_step(2)(folder)
        if when == "writing":
            raise_fence(tmp_path, "2")

    if when == "renaming":
        monkeypatch.setattr(checkpoint, "_rename", rename)
    with pytest.raises(checkpoint.StaleEpochError, match="attempt 2 of this job has begun"):
        checkpoint.save(tmp_path, 2, write)
    assert bool(renamed) == (when == "renaming")
    assert tree(tmp_path) == before
