"""The kernel's log from now on, record by record, and no faster than somebody can read.

Standard library only, Python 3.6, imports nothing of ours.
"""

import errno
import os
from typing import List, Optional, Tuple

PATH = "/dev/kmsg"
RATE = 200
"""Records a second that are passed on; what is more is counted."""

_RECORD = 8192
_MOST = 65536


class KernelLog(object):
    """Reads /dev/kmsg, of which one read gives one record; in a lab a file stands for it."""

    def __init__(self, path: str = PATH) -> None:
        """Begin at the end."""
        self._partial = b""
        self._second = 0
        self._count = 0
        self._missed = 0
        self._file: Optional[int] = None
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._file, 0, os.SEEK_END)
        except OSError:
            pass  # no such log here, or not for us

    def read(self, now: float) -> Tuple[List[str], int]:
        """What has come, and how many records were left out before them."""
        if self._file is None:
            return [], 0
        found = []
        taken = 0
        while taken < _MOST:
            try:
                data = os.read(self._file, _RECORD)
            except OSError as error:
                if error.errno == errno.EPIPE:  # records were overwritten before we came; the next read goes on
                    self._missed += 1
                    continue
                break
            if not data:
                break
            taken += len(data)
            lines = (self._partial + data).split(b"\n")
            self._partial = lines.pop()[:_RECORD]
            for line in lines:
                if line and not line.startswith(b" "):  # what begins with a blank belongs to the record before
                    self._allow(line, now, found)
        missed, self._missed = (self._missed, 0) if found or int(now) != self._second else (0, self._missed)
        return found, missed

    def _allow(self, line: bytes, now: float, found: List[str]) -> None:
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        if self._count < RATE:
            self._count += 1
            found.append(line.decode("utf-8", "replace"))
        else:
            self._missed += 1
