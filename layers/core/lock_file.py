"""Lock file: what one process at a time may do. A flock tells, which goes with its process also after `kill -9`.

It stands in folders that are shared, so what is found under its name may be another's trap: a link or a second name of
some file is not opened as a lock, for whoever holds one writes into it. Where its folder may be written to by a group,
so may the file, whatever the umask is: else the first who comes locks all others out.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import FailedError

_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_TRIES = 100
"""Somebody may make or remove it between two looks; so often in a row they do not."""

_WITHOUT = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})
"""What flock says where the file system has no locks: Lustre mounted without `flock`, NFS without its lock daemon."""


@dataclass(frozen=True, slots=True)
class LockFile:
    """A lock file that is open; it is taken only by `take`."""

    path: Path
    descriptor: int
    code: str

    def take(self, *, wait: bool = False) -> bool:
        """Take the lock, until the file is closed.

        Args:
            wait: Whether to wait for whoever has it.

        Returns:
            Whether it is ours now; never False where one waits.

        Raises:
            FailedError: The file system gives no locks.
        """
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        except OSError as error:
            raise FailedError(
                f"{self.path} cannot be locked: {error.strerror}",
                code=self.code,
                hints=[_mended(error, self.path.parent)],
            ) from error
        return True

    def stands(self) -> bool:
        """Whether it still has its name: whoever held it before may have removed it, and the next makes another."""
        try:
            found = self.path.lstat()
        except OSError:
            return False
        mine = os.fstat(self.descriptor)
        return (found.st_ino, found.st_dev) == (mine.st_ino, mine.st_dev)


@contextmanager
def lock_file(path: Path, code: str) -> Iterator[LockFile]:
    """A lock file, open; made where it is not there, and closed behind the block.

    Args:
        path: Where; its folder must be there.
        code: Of the errors, a stable dotted word.

    Raises:
        FailedError: It cannot be made or opened, or is no file of its own.
    """
    try:
        descriptor = _opened(path)
    except OSError as error:
        raise FailedError(
            f"{path} cannot be locked: {_why(error)}", code=code, hints=[_unlocked(path, error)]
        ) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise FailedError(
                f"{path} cannot be locked: it is {'no file' if found.st_nlink == 1 else 'another name of some file'}",
                code=code,
                hints=[f"see who put it there, and remove it: `ls -li {path}`"],
            )
        _share(path, descriptor, found)
        yield LockFile(path, descriptor, code)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Opened without making it where it is there: in a folder like /tmp only its owner may open what they may make."""
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            return os.open(path, _FLAGS)
        with suppress(FileExistsError):
            return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _share(path: Path, descriptor: int, found: os.stat_result) -> None:
    """Let all write it who may write in its folder; only its owner can, and others have nothing to do."""
    folder = path.parent.stat()
    if found.st_uid != os.geteuid():
        return
    with suppress(OSError):  # then it stays as it was made
        group = found.st_gid
        if folder.st_mode & stat.S_IWGRP and group != folder.st_gid:
            os.fchown(descriptor, -1, folder.st_gid)
            group = folder.st_gid
        wanted = stat.S_IMODE(found.st_mode)
        wanted |= 0o060 if folder.st_mode & stat.S_IWGRP and group == folder.st_gid else 0
        wanted |= 0o006 if folder.st_mode & stat.S_IWOTH else 0
        if wanted != stat.S_IMODE(found.st_mode):
            os.fchmod(descriptor, wanted)


def _why(error: OSError) -> str:
    return "it is a link" if error.errno == errno.ELOOP else error.strerror or str(error)


def _unlocked(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return f"see who put it there, and remove it: `ls -l {path}`"
    if os.access(path.parent, os.W_OK | os.X_OK) and path.exists():
        return f"whoever owns it can let the others write it: `chmod g+w {path}`"
    return f"you are to be able to write in its folder: `ls -ld {path.parent}`"


def _mended(error: OSError, folder: Path) -> str:
    if error.errno in _WITHOUT:
        return (
            f"mount {folder} with locks: Lustre with `-o flock`, NFS 3 with its lock daemon and without `nolock`; "
            "or name a folder on another file system"
        )
    return f"see what is wrong with the file system of {folder}: `dmesg`"
