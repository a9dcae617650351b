import errno
import os
import resource
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.library.writing import is_whole, manifest, names, of_step, tree, writer
from tests.support.traced_child import Child

from aiops import checkpoint


def test_a_checkpoint_has_its_files_and_a_manifest_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOPS_JOB", "sft-7")
    monkeypatch.setenv("AIOPS_EPOCH", "3")
    path = checkpoint.save(tmp_path / "a" / "b", 12, writer(w=b"1", sub__é=b"22"), data={"epoch": 1.5}, format="torch")
    assert path == str(tmp_path / "a/b/step-12")
    assert tree(tmp_path / "a/b").keys() == {
        "step-12",
        "step-12/aiops-manifest.json",
        "step-12/sub",
        "step-12/sub/é",
        "step-12/w",
    }
    document = manifest(path)
    assert document.pop("written").endswith("Z")
    assert document == {
        "aiops": 1,
        "step": 12,
        "world_size": None,
        "job": "sft-7",
        "epoch": 3,
        "format": "torch",
        "data": {"epoch": 1.5},
        "files": [
            {
                "path": "sub/é",
                "size": 2,
                "sha256": "785f3ec7eb32f30b90cd0fcf3657d388b5ff4297f2f9716ff66e9b69c05ddd09",
            },
            {
                "path": "w",
                "size": 1,
                "sha256": "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
            },
        ],
    }
    assert is_whole(Path(path))


def test_the_user_s_umask_counts(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = Path(checkpoint.save(tmp_path / "runs", 1, writer(w=b"1")))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o750
    assert (path / checkpoint.MANIFEST).stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_step_that_is_there_is_replaced(tmp_path: Path, can_exchange: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not can_exchange:
        monkeypatch.setattr(checkpoint, "_exchange", lambda one, other: False)
    checkpoint.save(tmp_path, 5, writer(old=b"1", both=b"1"))
    checkpoint.save(tmp_path, 5, writer(new=b"2", both=b"2"))
    assert tree(tmp_path).keys() == {"step-5", "step-5/aiops-manifest.json", "step-5/both", "step-5/new"}
    assert (tmp_path / "step-5/both").read_bytes() == b"2"
    assert is_whole(tmp_path / "step-5")


def test_so_many_are_kept_and_only_whole_ones_count(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, of_step(step))
    (tmp_path / "step-3" / "model").write_bytes(b"short")
    (tmp_path / "step-2.bad-1").mkdir()
    (tmp_path / "checkpoint-1").mkdir()
    checkpoint.save(tmp_path, 9, of_step(9))
    checkpoint.save(tmp_path, 4, of_step(4), keep=2)
    assert sorted(names(tmp_path)) == ["checkpoint-1", "step-2", "step-2.bad-1", "step-3", "step-4", "step-9"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"step": -1}, "step=-1"),
        ({"step": True}, "step=True"),
        ({"step": 1.0}, "step=1.0"),
        ({"keep": 1}, "keep at least 2"),
        ({"world_size": 0}, "at least one rank"),
        ({"rank": 1}, "none of 1 ranks"),
        ({"rank": 4, "world_size": 4}, "none of 4 ranks"),
        ({"data": {"a": object()}}, "data cannot be written"),
        ({"data": {"a": float("nan")}}, "data cannot be written"),
        ({"data": [1]}, "no dictionary"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    tmp_path: Path, arguments: dict[str, Any], said: str
) -> None:
    given: dict[str, Any] = {"step": 1, "write": writer(w=b"1"), **arguments}
    with pytest.raises(ValueError, match=said):
        checkpoint.save(tmp_path / "runs", **given)
    assert tree(tmp_path) == {}


def test_what_write_raises_is_raised_and_nothing_is_left(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, of_step(1))
    before = tree(tmp_path)

    def write(folder: str) -> None:
        of_step(2)(folder)
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        checkpoint.save(tmp_path, 2, write)
    with pytest.raises(ValueError, match="nothing was written"):
        checkpoint.save(tmp_path, 2, lambda folder: None)
    with pytest.raises(ValueError, match="no regular file"):
        checkpoint.save(tmp_path, 2, lambda folder: Path(folder, "link").symlink_to("/etc"))
    with pytest.raises(ValueError, match="no regular file"):
        checkpoint.save(tmp_path, 2, lambda folder: os.mkfifo(f"{folder}/pipe"))
    assert tree(tmp_path) == before


def test_a_failing_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, 1, of_step(1))
    before = tree(tmp_path)
    real = os.fsync
    for nth in range(20):
        left = [nth]

        def fsync(descriptor: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise OSError(errno.EIO, "the disk")
            real(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="the disk"):
            checkpoint.save(tmp_path, 2, of_step(2))
        found = tree(tmp_path)
        if "step-2" in found:  # the last fsync is that of the folder, which has the name already
            assert is_whole(tmp_path / "step-2")
            assert nth == 5  # two files, a folder, the manifest, its folder, and this one
            return
        assert found == before
    pytest.fail("no end")


@pytest.mark.parametrize("room", [0, 100, 2999, 3000, 4096])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, room: int) -> None:
    checkpoint.save(tmp_path, 1, of_step(1))
    before = tree(tmp_path)

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        with pytest.raises(OSError, match="File too large"):
            checkpoint.save(tmp_path, 2, writer(model=b"2" * 5000))

    with Child(work) as one:
        one.go()
        assert one.status(20.0) == 0
    assert tree(tmp_path) == before
    assert checkpoint.latest(tmp_path) == str(tmp_path / "step-1")


def killed_at(nth: int, work: Callable[[], object]) -> bool:
    """Do `work` in a child that is killed before its nth change of files; False when there are fewer."""
    left = nth

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **more)

        return wrapper

    def run() -> None:
        for name in ("mkdir", "rename", "fsync", "unlink", "rmdir", "open"):
            setattr(os, name, counted(getattr(os, name)))
        work()

    with Child(run) as one:
        one.go()
        status = one.status(20.0)
    assert status in (0, -signal.SIGKILL)
    return status != 0


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("step", [2, 3], ids=["replaced", "new"])
def test_killed_anywhere_the_newest_whole_one_is_found(
    tmp_path: Path, step: int, can_exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(checkpoint, "_exchange", lambda one, other: False)
    before = tmp_path / "before"
    for number in (1, 2):
        checkpoint.save(before, number, of_step(number))
    for nth in range(200):
        folder = tmp_path / str(nth)
        shutil.copytree(before, folder)
        more = killed_at(nth, partial(checkpoint.save, folder, step, of_step(7), keep=2))
        found = checkpoint.latest(folder)
        assert found is not None
        assert Path(found).name.startswith("step-2" if not (folder / "step-3").exists() else "step-3"), nth
        assert is_whole(Path(found))
        assert all(is_whole(path) for path in folder.glob("step-*")), nth
        monkeypatch.setattr(checkpoint, "_CLEARED", set())  # the next process
        checkpoint.save(folder, 4, of_step(4))
        assert all(name.startswith("step-") for name in names(folder)), "what was left is not removed"
        assert not any(".old-" in name for name in names(folder))
        if not more:
            assert nth > 15
            return
    pytest.fail("no end")


def test_what_others_have_written_is_sealed(tmp_path: Path) -> None:
    of_step(3)(str(tmp_path / "checkpoint-3"))
    (tmp_path / "checkpoint-3" / "aiops-manifest.json.0123456789ab").write_bytes(b"cut o")
    checkpoint.seal(tmp_path / "checkpoint-3", 3, format="hf-trainer", world_size=2)
    assert is_whole(tmp_path / "checkpoint-3")
    assert manifest(tmp_path / "checkpoint-3")["world_size"] == 2
    (tmp_path / "checkpoint-3" / "late").write_bytes(b"1")
    checkpoint.seal(tmp_path / "checkpoint-3", 3)
    assert is_whole(tmp_path / "checkpoint-3")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no files"):
        checkpoint.seal(tmp_path / "empty", 3)
    with pytest.raises(OSError, match="No such file"):
        checkpoint.seal(tmp_path / "none", 3)
