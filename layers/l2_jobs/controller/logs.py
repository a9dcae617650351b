"""Logs: what the processes of every rank group wrote, a file per attempt and node under AIOPS_HOME/jobs.

Lines to nodes write each piece at the offset that it has on its node, so a piece that comes twice changes nothing. Of
one that grows beyond `MOST` the first half of that and the last are kept: what lies between is given back to the disk
and is a hole, so offsets stay as they are. When the disk is nearly full nothing is kept: the store is on it too.
"""

import ctypes
import errno
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from aiops.layers.core.home import ensure_folder
from aiops.layers.l2_jobs.attempt import Key

_OPEN = 256
"""Files that are kept open; a process may often have 1,024."""

PIECE = 256 * 1024
"""Bytes that are read at once."""


MOST = 1024 * 1024 * 1024
"""Bytes that are kept of one rank group, as on its node (`remote/spool.py`)."""

_STEPS = 16
"""What is let go, is let go by this part of `MOST` at once."""

_BLOCK = 4096
_SPACE_SECONDS = 1.0
_SCARCE_SHARE = 0.05
_SCARCE_BYTES = 1024 * 1024 * 1024
"""Free, below which no log is kept: the smaller one of both counts, so that a large disk is not left empty."""

_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h

Usage = Callable[[Path], tuple[int, int, int]]


def scarce(total: int, free: int) -> bool:
    """Whether a disk of so many bytes has too few free ones for logs. Pure."""
    return free < min(_SCARCE_SHARE * total, _SCARCE_BYTES)


class Logs:
    """The logs of all attempts of one controller; safe to use from several threads."""

    def __init__(self, home: Path, *, most: int = MOST, usage: Usage = shutil.disk_usage) -> None:
        """Write nothing yet.

        Args:
            home: AIOPS_HOME.
            most: Bytes that are kept of one rank group.
            usage: The bytes of the disk that a path is on: all, used, free.
        """
        self._home = home
        self._folder = home / "jobs"
        self._most = most
        self._usage = usage
        self._files: OrderedDict[Path, int] = OrderedDict()
        self._gone: dict[Path, int] = {}
        """Up to where the middle of a log was let go."""
        self._full: set[Path] = set()
        """Logs on a file system that knows no holes: they have grown as far as they may."""
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self.trouble = ""
        """Why no log is kept now; empty where all are."""

    def write(self, key: Key, node: str, offset: int, data: bytes) -> None:
        """Keep a piece of a rank group's output, which begins `offset` bytes after its beginning.

        Raises:
            OSError: The disk is full or nearly so, or may not be written.
        """
        path = self.path(key, node)
        with self._lock:
            self._require_space()
            if path in self._full:
                raise OSError(errno.EFBIG, "as much of it is kept as may be")
            descriptor = self._files.pop(path, None)
            if descriptor is None:
                ensure_folder(path.parent)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._files[path] = descriptor
            while len(self._files) > _OPEN:
                os.close(self._files.popitem(last=False)[1])
            view = memoryview(data)
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
            if offset > self._most:
                self._let_go(path, descriptor, offset)

    def prune(self, alive: Collection[str], days: float, now: Callable[[], float] = time.time) -> int:
        """Delete the logs of jobs that are over and wrote nothing for so long; how many jobs' logs went.

        Args:
            alive: Jobs that are not over.
            days: So old they may become.
            now: The clock that files are dated by.
        """
        before, gone = now() - days * 86400, 0
        for folder in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            with suppress(OSError):  # it goes next time
                if folder.name not in alive and all(
                    path.lstat().st_mtime < before for path in (folder, *folder.rglob("*"))
                ):
                    with self._lock:
                        self._close([path for path in self._files if folder in path.parents])
                    shutil.rmtree(folder)
                    gone += 1
        return gone

    def _require_space(self) -> None:
        """Look at the disk now and then.

        Raises:
            OSError: It is nearly full.
        """
        now = time.monotonic()
        if now - self._looked >= _SPACE_SECONDS:
            self._looked = now
            total, _, free = self._usage(self._home)
            self.trouble = (
                f"no log is kept: only {free / 2**20:.0f} MiB of {total / 2**30:.0f} GiB are free under {self._home}"
                if scarce(total, free)
                else ""
            )
        if self.trouble:
            raise OSError(errno.ENOSPC, self.trouble)

    def _let_go(self, path: Path, descriptor: int, end: int) -> None:
        """Give the middle of a log back to the disk; its ends, half of `most` each, stay."""
        half = self._most // 2
        first = max(self._gone.get(path, 0), -(-half // _BLOCK) * _BLOCK)
        last = (end - half) // _BLOCK * _BLOCK
        if last - first >= max(self._most // _STEPS, _BLOCK):
            try:
                punch(descriptor, first, last - first)
            except OSError:
                self._full.add(path)
                raise
            self._gone[path] = last

    def path(self, key: Key, node: str) -> Path:
        """Where the output of a rank group is kept.

        Raises:
            ValueError: The name of the node is no file's.
        """
        if "/" in node or node in {"", ".", ".."}:
            raise ValueError(f"`{node}` is no node")
        return self._folder / key.job / str(key.number) / f"{node}.log"

    def size(self, key: Key, node: str) -> int:
        """How much of it there is, in bytes: where a line goes on after the controller was away."""
        try:
            return self.path(key, node).stat().st_size
        except FileNotFoundError:
            return 0

    def nodes(self, key: Key) -> tuple[str, ...]:
        """The nodes of which an attempt has a log, sorted."""
        folder = self._folder / key.job / str(key.number)
        return tuple(sorted(path.stem for path in folder.glob("*.log")))

    def read(self, key: Key, node: str, offset: int, most: int = PIECE) -> tuple[int, bytes]:
        """A piece from `offset` on, or from behind the hole there: where it begins, and its bytes; none at the end."""
        try:
            with self.path(key, node).open("rb") as stream:
                begin = data_from(stream.fileno(), offset)
                stream.seek(begin)
                return begin, stream.read(min(most, data_end(stream.fileno(), begin) - begin))
        except FileNotFoundError:
            return offset, b""

    def lines(self, key: Key, node: str, last: int | None = None) -> Iterator[str]:
        """Its lines without their ends; the last `last` bytes only, where that is given."""
        try:
            with self.path(key, node).open("rb") as stream:
                if last is not None:
                    size = stream.seek(0, os.SEEK_END)
                    stream.seek(max(0, size - last))
                    if size > last:
                        stream.readline()
                for line in _whole_lines(stream):
                    yield line.rstrip(b"\r\n").replace(b"\0", b"").decode("utf-8", "replace")
        except FileNotFoundError:
            return

    def close(self) -> None:
        """Let go of all files."""
        with self._lock:
            self._close(list(self._files))

    def _close(self, paths: list[Path]) -> None:
        for path in paths:
            os.close(self._files.pop(path))
            self._gone.pop(path, None)


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines from here on; holes are stepped over, for they may be larger than the memory."""
    file, at = stream.fileno(), stream.tell()
    while True:
        begin = data_from(file, at)
        end = data_end(file, begin)
        if end <= begin:
            return
        stream.seek(begin)
        while begin < end and (line := stream.readline(end - begin)):
            begin += len(line)
            yield line
        at = end


def data_from(file: int, offset: int) -> int:
    """Where the first byte at or after `offset` is that is in no hole; the end of the file where there is none."""
    return max(offset, _sought(file, offset, os.SEEK_DATA))


def data_end(file: int, offset: int) -> int:
    """Where the hole after `offset`, or the end of the file, is."""
    return max(offset, _sought(file, offset, os.SEEK_HOLE))


def _sought(file: int, offset: int, what: int) -> int:
    """Look for data or a hole; the file is read from where it was read before."""
    before = os.lseek(file, 0, os.SEEK_CUR)
    try:
        return os.lseek(file, offset, what)
    except OSError:  # behind the last byte that is there
        return os.fstat(file).st_size
    finally:
        os.lseek(file, before, os.SEEK_SET)


def punch(file: int, offset: int, length: int) -> None:
    """Make a hole in a file, of whole blocks; the file keeps its size.

    Raises:
        OSError: The file system knows no holes.
    """
    call = ctypes.CDLL(None, use_errno=True).fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if call(file, _PUNCH_HOLE | _KEEP_SIZE, offset, length):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
