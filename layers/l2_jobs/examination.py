"""The seam for what `aiops doctor` asks this machine beside its own questions: plugins of the kind `doctor`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.plugin import hookspec

Verdict = Literal["ok", "warn", "critical", "unknown"]


@dataclass(frozen=True, slots=True)
class Remark:
    """What was found of one thing, and what to do about it."""

    subject: str
    verdict: Verdict
    words: str
    action: str | None = None


@dataclass(frozen=True, slots=True)
class Examination:
    """A question and its judge.

    Attributes:
        subject: What it is about, for words when it cannot be asked.
        command: What is run on this machine; it changes nothing.
        judge: Pure.
    """

    subject: str
    command: Command
    judge: Callable[[Completed], Iterator[Remark]]


class DoctorHooks:
    """Hooks of the kind `doctor`."""

    @hookspec
    def examinations(self) -> tuple[Examination, ...]:  # type: ignore[empty-body]
        """What this plugin asks."""
