"""The one place that maps what happened to exit codes."""

from collections.abc import Iterable
from enum import IntEnum

from aiops.layers.core.errors import (
    AiopsError,
    ConflictError,
    CriticalError,
    FailedError,
    InputError,
    NotFoundError,
    PendingError,
    UnreachableError,
)


class Exit(IntEnum):
    """Exit codes, as documented in docs/reference/exit-codes.md."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    CRITICAL = 4
    CONFLICT = 5
    NOT_FOUND = 6
    PENDING = 8
    DEFECT = 70
    INTERRUPTED = 130
    TERMINATED = 143


_FAMILIES: tuple[tuple[type[AiopsError], Exit], ...] = (
    (InputError, Exit.USAGE),
    (NotFoundError, Exit.NOT_FOUND),
    (UnreachableError, Exit.UNREACHABLE),
    (ConflictError, Exit.CONFLICT),
    (CriticalError, Exit.CRITICAL),
    (PendingError, Exit.PENDING),
    (FailedError, Exit.FAILED),
)

_WORST_FIRST = (Exit.FAILED, Exit.CRITICAL, Exit.UNREACHABLE, Exit.DONE)


def exit_of(error: AiopsError) -> Exit:
    """The exit code of an error, by its family."""
    for family, code in _FAMILIES:
        if isinstance(error, family):
            return code
    return Exit.DEFECT


def worst(codes: Iterable[Exit]) -> Exit:
    """Of several nodes' codes the worst: 1 over 4 over 3 over 0."""
    seen = set(codes)
    return next((code for code in _WORST_FIRST if code in seen), Exit.DONE)
