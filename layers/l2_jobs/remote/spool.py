"""What a launcher keeps on its node's disk while nobody listens: events, and the output of its processes.

A thread of its own writes both: a disk that stalls must not keep the launcher from its lease. An event is on the disk
before anybody is told, and has room there from the beginning on, so that a disk that is full does not take the end of a
group from those who wait for it. Output is kept in segments named by where they begin; when there is more than `most`
bytes, the first half of that and the last stay, and what lies between goes.

Standard library only, Python 3.6, imports nothing of ours.
"""

import ctypes
import json
import os
import re
import threading
from collections import deque
from typing import Any, Callable, Dict, List, Optional, Tuple

EVENTS = "events.jsonl"
MOST = 1024 * 1024 * 1024
"""Bytes of output that are kept of one rank group."""

_ROOM = 65536
"""Bytes that are reserved for events: some hundreds, when what is told of most comes to a few dozen."""
_KEEP_SIZE = 1
"""Of fallocate(2): the file becomes no longer by it."""
_SEGMENTS = 8
_WAITING = 4 * 1024 * 1024
"""Bytes of output that wait for the disk; then those who write them wait too."""
_PREFIX = "out-"
_SUFFIX = ".log"
_SEGMENT = re.compile(r"^out-([0-9]{15,18})\.log$")
"""What a launcher of ours writes; a user may put any name beside it."""


class ClaimedError(Exception):
    """Another launcher of the same attempt has run here, or runs."""


def segments(folder: str) -> List[Tuple[int, str]]:
    """The segments of output in a folder: where each begins, and its path."""
    found = []
    for name in os.listdir(folder):
        known = _SEGMENT.match(name)
        if known is not None:
            found.append((int(known.group(1)), os.path.join(folder, name)))
    return sorted(found)


class Spool(object):
    """Writes events and output; `grown` is called, by its thread, when there is more to read."""

    def __init__(self, folder: str, grown: Callable[[], None], most: int = MOST) -> None:
        """Claim the folder: only one launcher ever writes there.

        Raises:
            ClaimedError: There was one before.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._events = os.open(os.path.join(folder, EVENTS), flags, 0o600)
        except FileExistsError:
            raise ClaimedError("there was a launcher of this attempt before") from None
        _reserve(self._events)
        _sync(folder)
        self._folder = folder
        self._grown = grown
        self._size = max(1, most // _SEGMENTS)
        self._number = 0
        self._log: Optional[int] = None
        self._begin = 0
        self._end = 0
        self._work: Any = deque()
        self._bytes = 0
        self._closing = False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="spool", daemon=True)
        self._thread.start()

    def tell(self, event: Dict[str, Any]) -> None:
        """Write an event, numbered, and put it on the disk; it does not wait for that."""
        self._put("event", event)

    def write(self, data: bytes) -> None:
        """Write output. It waits where the disk is slower than the output comes."""
        with self._turn:
            while self._bytes > _WAITING and not self._closing:
                self._turn.wait(1.0)
            self._bytes += len(data)
            self._work.append(("log", data))
            self._turn.notify_all()

    def do(self, work: Callable[[], None]) -> None:
        """Do something that touches the disk, in order with the rest."""
        self._put("call", work)

    def close(self, seconds: float) -> None:
        """Write what is left, and end; a disk that does not answer is waited for `seconds`."""
        self._closing = True
        self._put("end", None)
        self._thread.join(seconds)

    def _put(self, kind: str, what: Any) -> None:
        with self._turn:
            self._work.append((kind, what))
            self._turn.notify_all()

    def _serve(self) -> None:
        ending = False
        while not ending:
            with self._turn:
                while not self._work:
                    self._turn.wait()
                batch = list(self._work)
                self._work.clear()
            durable = False
            for kind, what in batch:
                durable = kind == "event" or durable
                ending = kind == "end" or ending
                try:
                    self._write_one(kind, what)
                except (OSError, IOError):
                    pass  # the disk is full or broken: the launcher goes on, and its processes say so themselves
            with self._turn:
                self._bytes -= sum(len(what) for kind, what in batch if kind == "log")
                self._turn.notify_all()
            if durable:
                try:
                    os.fsync(self._events)
                except OSError:
                    pass
            self._grown()

    def _write_one(self, kind: str, what: Any) -> None:
        if kind == "event":
            self._number += 1
            line = json.dumps(dict(what, n=self._number), sort_keys=True)
            size = os.fstat(self._events).st_size
            try:
                _write_all(self._events, (line + "\n").encode("utf-8"))
            except OSError:
                os.ftruncate(self._events, size)  # half a line would spoil the next one
                raise
        elif kind == "log":
            self._append(what)
        elif kind == "call":
            what()

    def _append(self, data: bytes) -> None:
        if self._log is None or self._end - self._begin >= self._size:
            self._next_segment()
        if self._log is not None:
            _write_all(self._log, data)
            self._end += len(data)

    def _next_segment(self) -> None:
        if self._log is not None:
            os.close(self._log)
            self._log = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        name = "%s%015d%s" % (_PREFIX, self._end, _SUFFIX)
        self._log = os.open(os.path.join(self._folder, name), flags, 0o600)
        self._begin = self._end
        known = segments(self._folder)
        half = _SEGMENTS // 2
        for _, path in known[half : max(half, len(known) - half)]:
            os.unlink(path)


def _reserve(file: int) -> None:
    """Have room on the disk for events, where the file system can; what it gives to others first is not ours to say."""
    try:
        reserve = ctypes.CDLL(None).fallocate
        reserve.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        reserve(file, _KEEP_SIZE, 0, _ROOM)
    except (OSError, AttributeError):
        pass


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync(folder: str) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
