"""Errors are for the person: what happened, on which node, what to type next.

Every error that aiops raises on purpose is an `AiopsError`. Its family says what kind of trouble it is, and
`aiops.cli.exit` alone maps families to exit codes. `code` is a stable dotted word for machines
(`inventory.duplicate_key`); `hints` hold commands or steps that can be pasted.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in something the user wrote, with the place it stands at."""

    message: str
    file: str | None = None
    line: int | None = None
    hint: str | None = None

    @property
    def where(self) -> str:
        """`file:line`, `file`, or an empty string when the place is unknown."""
        if self.file is None:
            return ""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class AiopsError(Exception):
    """The root of all errors aiops raises on purpose."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        hints: Iterable[str] = (),
        problems: Iterable[Problem] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hints = tuple(hints)
        self.problems = tuple(problems)


class InputError(AiopsError, ValueError):
    """What the user gave is wrong (a file, an option, an empty selection); nothing was changed."""


class NotFoundError(AiopsError, LookupError):
    """There is no such node, run, lab or plugin."""


class UnreachableError(AiopsError, OSError):
    """A node or service did not answer, or refused us (a changed host key is one)."""


class ConflictError(AiopsError):
    """The lock is held by another, or the state does not allow this now."""


class FailedError(AiopsError):
    """Something was tried and failed."""


class CriticalError(AiopsError):
    """It was checked, and speaks against a start; nothing was started."""


class PendingError(AiopsError):
    """It was still running when the time the user gave it had passed."""
