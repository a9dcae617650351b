"""The lock of a run: whoever brings it up to date and hands in its job holds it, until the job is known.

A flock on a file in the run's folder: it goes with the process that holds it, also after `kill -9`, so none is left
over. What stands in the file only says who that is.
"""

import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiops.layers.core.errors import ConflictError, FailedError

LOCK = ".lock"
_LARGEST = 4096
_TRIES = 10
_TRY_SECONDS = 0.02


@contextmanager
def held(place: Path) -> Iterator[None]:
    """Hold the lock of a run; nobody waits for it.

    Raises:
        ConflictError: Another holds it, who is named (`run.locked`).
        FailedError: There can be no lock: the folder may not be written to (`run.folder`).
    """
    try:
        descriptor = os.open(place / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise FailedError(
            f"the run {place} cannot be locked: {error.strerror}",
            code="run.folder",
            hints=["the folders of runs are to be shared by all nodes, and you are to be able to write to them"],
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"{place.name} is being started by {_holder(descriptor)}",
                code="run.locked",
                hints=["wait until that has handed in its job; then see it: `aiops job list`"],
            ) from error
        said = {
            "pid": os.getpid(),
            "user": _user(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(said).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)  # so that nobody is named who holds it no more
    finally:
        os.close(descriptor)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account that only has a number
        return str(os.geteuid())


def _holder(descriptor: int) -> str:
    for _ in range(_TRIES):
        try:
            said = json.loads(os.pread(descriptor, _LARGEST, 0))
            return f"process {said['pid']} of {said['user']} on {said['host']}, since {said['since']}"
        except (ValueError, KeyError, TypeError):  # it has been taken in this moment
            time.sleep(_TRY_SECONDS)
    return "another process"
