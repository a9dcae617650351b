"""One writer: whoever decides holds a lock on a file in AIOPS_HOME for as long as it lives, however it ends."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import ConflictError
from aiops.layers.core.home import ensure_folder

FILE = "controller.lock"
_TRIES = 10
_TRY_SECONDS = 0.05


@contextmanager
def sole_writer(home: Path, **said: Any) -> Iterator[None]:
    """Be the only one who decides about the jobs of this store, until the block ends or the process does.

    Args:
        home: AIOPS_HOME.
        said: What others are told of whoever holds it; JSON-ready, no secret.

    Raises:
        ConflictError: Another is (`controller.held`).
    """
    ensure_folder(home)
    path = home / FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            holder = _read(descriptor)
            who = f", process {holder['pid']}" if "pid" in holder else ""
            raise ConflictError(
                f"a controller runs already on {home}{who}",
                code="controller.held",
                hints=["see what it does: `aiops controller status`"],
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), **said}).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Take the lock; what a holder that was killed was just starting has it for an instant more, until its exec.

    Raises:
        BlockingIOError: It is another's.
    """
    for left in reversed(range(_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_TRY_SECONDS)
        else:
            return


def _read(descriptor: int) -> dict[str, Any]:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:  # it is being written
        return {}
    return found if isinstance(found, dict) else {}
