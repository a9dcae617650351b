"""The lock of a run: whoever brings it up to date and hands in its job holds it, until the job is known.

Whoever hands on what came of it holds it too, for the tuned model may have to be made of what a tool has left. What
stands in the file only says who that is.
"""

import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from aiops.layers.core.errors import ConflictError
from aiops.layers.core.lock_file import lock_file

LOCK = ".lock"
_LARGEST = 4096
_TRIES = 10
_TRY_SECONDS = 0.02


@contextmanager
def held(place: Path, doing: str = "started") -> Iterator[None]:
    """Hold the lock of a run; nobody waits for it.

    Args:
        place: The run's folder.
        doing: What is done to the run meanwhile, in a word for whoever finds it locked.

    Raises:
        ConflictError: Another holds it, who is named (`run.locked`).
        FailedError: There can be no lock: the folder may not be written to, or its file system has none (`run.folder`).
    """
    with lock_file(place / LOCK, "run.folder") as lock:
        if not lock.take():
            raise ConflictError(
                f"{place.name} is being {_holder(lock.descriptor)}",
                code="run.locked",
                hints=["wait until that is done; then see its jobs: `aiops job list`"],
            )
        said = {
            "doing": doing,
            "pid": os.getpid(),
            "user": _user(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(lock.descriptor, 0)
        with suppress(OSError):  # the disk is full: it is held all the same, only nobody is named
            os.pwrite(lock.descriptor, json.dumps(said).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(lock.descriptor, 0)  # so that nobody is named who holds it no more


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account that only has a number
        return str(os.geteuid())


def _holder(descriptor: int) -> str:
    for _ in range(_TRIES):
        try:
            said = json.loads(os.pread(descriptor, _LARGEST, 0))
            who = f"process {said['pid']} of {said['user']} on {said['host']}, since {said['since']}"
            return f"{said.get('doing', 'started')} by {who}"
        except (ValueError, KeyError, TypeError):  # it has been taken in this moment
            time.sleep(_TRY_SECONDS)
    return "started by another process"
