"""`aiops health --cron`: one look among many that nobody watches. It speaks only when something has changed."""

import fcntl
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.cli.exit import Exit

from . import formats
from .telling import folder_of, tell, tell_repairs

if TYPE_CHECKING:
    from .looking import Looking

JITTER_SECONDS = 20.0
"""At most so long it waits first, so that many controllers do not ask at the same second."""

_LOCK = "health.lock"


def once(looking: "Looking", *, fail_on: str) -> int:
    """Look once, unless another is still at it; tell what has changed since the last time it was told.

    While repairs go on others look: who repairs has the cluster's lock, and has told of all else before.
    """
    with ExitStack() as stack, closing(looking.steps()) as steps:
        if not stack.enter_context(_alone(looking)):
            return Exit.DONE
        looking.aiops.clock.sleep(random.uniform(0.0, JITTER_SECONDS))  # noqa: S311 - no secret
        report, acted = next(steps)
        tell(looking, report, acted)
        stack.close()
        for _, repaired in steps:
            with _alone(looking) as alone:
                tell_repairs(looking, report, repaired, alone=alone)
    return formats.exit_code(report, fail_on=fail_on)


@contextmanager
def _alone(looking: "Looking") -> Iterator[bool]:
    """Whether nobody else is at it; the kernel lets go of the lock with the process, however that ends."""
    descriptor = _opened(looking)
    if descriptor is None:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def _opened(looking: "Looking") -> int | None:
    """The lock's file; None where a full disk has no room for it: then it is better to look twice than not at all."""
    try:
        path: Path = folder_of(looking) / _LOCK
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
