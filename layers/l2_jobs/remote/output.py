"""The output of a group's processes: read from pipes, a rank in front of each line where there are several.

Each rank that torchrun starts writes into a pipe of its own (`Ranks`): torchrun is told to start a few lines of shell
in the place of Python, which join the rank to its pipe and then become the real program. So every byte is known by its
rank, also when torchrun itself is killed or hangs, nothing is read from files that only grow, and no process is added.
torchrun's own `--tee` copies from files, by a thread of torchrun: what it has not copied when it is killed is missing.

Standard library only, Python 3.6, imports nothing of ours.
"""

import fcntl
import os
import re
import selectors
import threading
from typing import Any, Callable, Dict, List, Optional

_CHUNK = 65536
_LONGEST = 65536
"""Bytes without an end of line that are kept back; then what is there is written."""
_SEARCHED = 4096
"""Bytes of a line in which the job's regex is searched."""
_PIPE_BYTES = 1048576
_F_SETPIPE_SZ = 1031

SHIM = """#!/bin/sh
# Started by torchrun in the place of Python: joins this rank to its pipe, and becomes the real program.
unset PYTHON_EXEC
out=$AIOPS_OUT/$LOCAL_RANK
if [ "$1" = --aiops-bare ]; then shift; exec "$@" >"$out" 2>&1; fi
python=${AIOPS_PYTHON_EXEC:-$(tr '\\0' '\\n' <"/proc/$PPID/cmdline" | head -n 1)}
exec "$python" "$@" >"$out" 2>&1
"""
BARE = "--aiops-bare"


class Source(object):
    """A pipe, and what has come of the line that is not yet at its end."""

    def __init__(self, rank: Optional[int], prefix: bytes) -> None:
        self.rank = rank
        self.prefix = prefix
        self.held = b""
        self.begun = False
        self.carry = b""
        self.asked: List[threading.Event] = []
        """Who waits until all that was written is read."""


class Output(object):
    """Reads pipes in a thread of its own, and writes lines."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        stepped: Callable[[Optional[int], int, Optional[float]], None],
        regex: Optional[str],
    ) -> None:
        """Prepare.

        Args:
            write: Takes what is to be kept.
            stepped: Told of rank, step and loss that the regex has found.
            regex: Of the job, with a group `step` and perhaps `loss`; None for none.
        """
        self._write = write
        self._stepped = stepped
        self._regex = re.compile(regex.encode("utf-8")) if regex else None
        self._selector = selectors.DefaultSelector()
        self._sources: List[Source] = []
        self._woken = self._waker = -1
        self._open: Optional[Source] = None
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="output", daemon=True)

    def add(self, file: int, rank: Optional[int], prefix: bytes) -> None:
        """Read a pipe from now on; before `start`."""
        os.set_blocking(file, False)
        try:
            fcntl.fcntl(file, _F_SETPIPE_SZ, _PIPE_BYTES)  # so that ranks wait less for a disk that stalls
        except OSError:
            pass  # more than this user may have: the default does as well
        source = Source(rank, prefix)
        self._sources.append(source)
        self._selector.register(file, selectors.EVENT_READ, source)

    def start(self) -> None:
        """Begin to read."""
        self._woken, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()

    def note(self, text: str) -> None:
        """Write lines of our own."""
        with self._lock:
            self._finish_open(None)
            self._write(b"".join(b"[aiops] " + line.encode("utf-8") + b"\n" for line in text.splitlines()))

    def settle(self, rank: int, seconds: float) -> None:
        """Have read what a rank has written until now: why it ended is to be known before that it ended.

        Args:
            rank: Which.
            seconds: Nobody waits for longer, whatever children of it go on to write.
        """
        asked = threading.Event()
        for source in self._sources:
            if source.rank == rank and self._thread.is_alive():
                source.asked.append(asked)
                self._wake()
                asked.wait(seconds)

    def close(self, seconds: float) -> None:
        """Take what is still in the pipes, and end."""
        self._ending.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _serve(self) -> None:
        while True:
            ending = self._ending.is_set()
            asked = [source for source in self._sources if source.asked]
            ready = self._selector.select(0 if ending or asked else 0.2)
            came = [key.data for key, _ in ready if key.data is not None and self._read(key)]
            self._slept(ready)
            for source in asked:
                if source not in came:
                    self._flush(source)
                    while source.asked:
                        source.asked.pop().set()
            if not came and (ending or not ready):
                for source in self._sources:
                    self._flush(source)
            if ending and not came:
                return

    def _wake(self) -> None:
        try:
            os.write(self._waker, b".")
        except OSError:
            pass  # it is full: the thread wakes anyway

    def _slept(self, ready: Any) -> None:
        if any(key.data is None for key, _ in ready):
            try:
                os.read(self._woken, _CHUNK)
            except OSError:
                pass

    def _read(self, key: Any) -> bool:
        try:
            data = os.read(key.fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(key.fd)
            self._flush(key.data)
            return False
        self._take(key.data, data)
        return True

    def _take(self, source: Source, data: bytes) -> None:
        if self._regex is not None:
            self._search(source, data)
        with self._lock:
            text = source.held + data
            end = text.rfind(b"\n") + 1
            source.held = text[end:]
            if end:
                self._put(source, text[:end])
            if len(source.held) > _LONGEST:
                self._put(source, source.held)
                source.held = b""

    def _flush(self, source: Source) -> None:
        with self._lock:
            if source.held:
                self._put(source, source.held)
                source.held = b""

    def _put(self, source: Source, text: bytes) -> None:
        """Write whole lines, or the beginning of one; two sources never share a line."""
        self._finish_open(source)
        if source.prefix:
            lines = text.splitlines(True) if b"\r" not in text else re.findall(b"[^\n]*\n|[^\n]+", text)
            begun = source.begun
            written = []
            for line in lines:
                own = begun or line.startswith(source.prefix)  # torch writes tracebacks with the rank already
                written.append(line if own else source.prefix + line)
                begun = not line.endswith(b"\n")
            text = b"".join(written)
        source.begun = not text.endswith(b"\n")
        self._open = source if source.begun else None
        self._write(text)

    def _finish_open(self, source: Optional[Source]) -> None:
        if self._open is not None and self._open is not source:
            self._open.begun = False
            self._open = None
            self._write(b"\n")

    def _search(self, source: Source, data: bytes) -> None:
        pieces = re.split(b"[\r\n]+", source.carry + data)
        source.carry = pieces.pop()[-_SEARCHED:]
        for piece in reversed(pieces):
            found = self._regex.search(piece[:_SEARCHED])
            if found is not None:
                groups = found.groupdict()
                step = number(groups.get("step"))
                if step is not None and 0 <= step < 1e18:  # noqa: PLR2004 - neither NaN nor endless
                    self._stepped(source.rank, int(step), number(groups.get("loss")))
                    return  # the last one of what has come is the one that counts


def number(text: Optional[bytes]) -> Optional[float]:
    """A number of a log line, with or without separators of thousands; None where it is none."""
    if text is None:
        return None
    try:
        return float(text.decode("ascii", "replace").replace(",", "").replace("_", ""))
    except ValueError:
        return None


class Ranks(object):
    """A pipe for each rank of a node, and the program that joins a rank to its own."""

    def __init__(self, folder: str, count: int) -> None:
        """Make them below `folder`."""
        self.folder = os.path.join(folder, "rank")
        self.shim = os.path.join(folder, "shim")
        os.mkdir(self.folder, 0o700)
        self.files: List[int] = []
        for rank in range(count):
            path = os.path.join(self.folder, str(rank))
            os.mkfifo(path, 0o600)
            # Opened for writing too: it is never at its end, whoever comes and goes.
            self.files.append(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        file = os.open(self.shim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
        try:
            os.write(file, SHIM.encode("ascii"))
        finally:
            os.close(file)

    def environment(self, own: Dict[str, str]) -> Dict[str, str]:
        """What torchrun is to find in its environment."""
        found = {"AIOPS_OUT": self.folder, "PYTHON_EXEC": self.shim}
        if own.get("PYTHON_EXEC"):
            found["AIOPS_PYTHON_EXEC"] = own["PYTHON_EXEC"]
        return found


def executable(folder: str) -> bool:
    """Whether programs in `folder` may be executed."""
    return not os.statvfs(folder).f_flag & os.ST_NOEXEC
