"""A lock file where others write: no trap is opened, no umask locks others out, and what fails is told."""

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from aiops.layers.core.errors import FailedError
from aiops.layers.core.lock_file import lock_file


def test_one_at_a_time_and_what_was_removed_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with lock_file(path, "a.lock") as first, lock_file(path, "a.lock") as second:
        assert first.take()
        assert not second.take()
        assert second.stands()
        path.unlink()
        assert not second.stands()
        with lock_file(path, "a.lock") as third:
            assert third.take(wait=True)
            assert third.stands()
            assert not first.stands()
    with lock_file(path, "a.lock") as again:
        assert again.take()


def test_a_link_is_no_lock_and_what_it_leads_to_stays_as_it_is(tmp_path: Path) -> None:
    keys, path = tmp_path / "authorized_keys", tmp_path / ".lock"
    keys.write_text("ssh-ed25519 A")
    for trap in (path.symlink_to, path.hardlink_to):
        trap(keys)
        with pytest.raises(FailedError, match="cannot be locked: it is a") as caught, lock_file(path, "a.lock"):
            pass
        assert caught.value.code == "a.lock"
        assert keys.read_text() == "ssh-ed25519 A"
        path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FailedError, match="it is a link"), lock_file(path, "a.lock"):
        pass
    assert not (tmp_path / "nowhere").exists()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FailedError, match="it is no file"), lock_file(path, "a.lock"):
        pass


@pytest.mark.parametrize(
    ("folder", "wanted", "again"),
    [(0o2775, 0o664, 0o660), (0o755, 0o644, 0o600), (0o777, 0o666, 0o666), (0o1777, 0o666, 0o666)],
    ids=oct,
)
def test_who_may_write_in_the_folder_may_write_the_lock(tmp_path: Path, folder: int, wanted: int, again: int) -> None:
    place = tmp_path / "runs"
    place.mkdir()
    place.chmod(folder)
    before = os.umask(0o022)
    try:
        with lock_file(place / ".lock", "a.lock") as lock:
            assert lock.take()
        assert stat.S_IMODE((place / ".lock").stat().st_mode) == wanted
        (place / ".lock").chmod(0o600)  # of an aiops that did not see to it
        with lock_file(place / ".lock", "a.lock"):
            pass
        assert stat.S_IMODE((place / ".lock").stat().st_mode) == again
    finally:
        os.umask(before)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EIO])
@pytest.mark.parametrize("wait", [True, False])
def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, wait: bool
) -> None:
    def without(_descriptor: int, _how: int) -> None:
        raise OSError(number, os.strerror(number))  # as flock says it: with no name of a file

    monkeypatch.setattr(fcntl, "flock", without)
    with lock_file(tmp_path / ".lock", "run.folder") as lock, pytest.raises(FailedError) as caught:
        lock.take(wait=wait)
    assert caught.value.message == f"{tmp_path}/.lock cannot be locked: {os.strerror(number)}"
    assert caught.value.code == "run.folder"
    assert ("`-o flock`" in caught.value.hints[0]) == (number != errno.EIO)


def test_what_may_not_be_written_says_whom_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FailedError, match="No such file") as caught, lock_file(tmp_path / "no" / ".lock", "a.lock"):
        pass
    assert f"`ls -ld {tmp_path}/no`" in caught.value.hints[0]
    (tmp_path / ".lock").touch()

    def refused(*_words: object, **_more: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(FailedError, match="Permission denied") as caught, lock_file(tmp_path / ".lock", "a.lock"):
        pass
    assert caught.value.hints == (f"whoever owns it can let the others write it: `chmod g+w {tmp_path}/.lock`",)
