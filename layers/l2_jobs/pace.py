"""Pace: the steps of an attempt as its ranks tell them, and what follows for how long a step takes. A pure fold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median

from .report import Phase, Stepped

ENOUGH = 3
"""Steps that are to be timed before their median says how long one takes."""

WINDOW = 31
"""Steps that a median is taken of: odd, and a minute's worth where a step is told each two seconds."""

LOSSES_KEPT = 128


@dataclass(frozen=True, slots=True)
class Mark:
    """Where one rank is.

    Attributes:
        at: When its step or phase last changed.
        seconds: What its last steps took, in seconds a step, oldest first.
    """

    node: str
    step: int
    phase: Phase
    at: float
    seconds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """The steps of an attempt.

    Attributes:
        marks: By rank.
        top: The highest step that any rank has told, and when that was first told.
        began: The first step that was told; None before it.
        seconds: What the last steps took, in seconds a step, oldest first; without those with a save or an evaluation.
            Their node has timed them where it could: not each is told, and what is told comes when it comes.
        losses: The last finite ones told, by step, oldest first.
        infinite: The steps told last whose loss was no finite number; empty once a later one is finite again.
        phases: Whether it tells phases, so that a pause without a word of one means something.
        printed: Whether its steps are only read from its output: then not all of its pauses are told, though some are.
        longest: What the longest save and the longest evaluation so far took, in seconds, by phase.
        pause: The longest time between two words of progress so far, in seconds.
    """

    marks: Mapping[int, Mark] = field(default_factory=dict, hash=False)
    top: int | None = None
    top_at: float | None = None
    began: int | None = None
    seconds: tuple[float, ...] = ()
    losses: tuple[tuple[int, float], ...] = ()
    infinite: tuple[int, ...] = ()
    phases: bool = False
    printed: bool = False
    longest: Mapping[Phase, float] = field(default_factory=dict, hash=False)
    pause: float = 0.0

    @property
    def stepped(self) -> bool:
        """Whether a step was told."""
        return self.top is not None

    @property
    def tells(self) -> bool:
        """Whether a pause without a word means something: it tells its phases and its steps."""
        return self.phases and not self.printed

    @property
    def median(self) -> float | None:
        """Seconds that a step takes; None before enough of them were timed."""
        return median(self.seconds) if len(self.seconds) >= ENOUGH else None

    def after(self, report: Stepped) -> "Pace":
        """What is known after `report`; one that is older than what its rank has told changes nothing."""
        before = self.marks.get(report.rank)
        if before is not None and (report.step < before.step or report.at < before.at):
            return self
        if before is not None and (report.step, report.phase) == (before.step, before.phase):
            return self._lost(report)
        seconds = before.seconds if before is not None else ()
        if before is not None and report.step > before.step and "step" == before.phase == report.phase:
            seconds = (*seconds, (report.at - before.at) / (report.step - before.step))[-WINDOW:]
        mark = Mark(report.node, report.step, report.phase, report.at, seconds)
        told = self._topped(report) if report.phase != "start" else self
        pause = max(self.pause, report.at - before.at) if before is not None else self.pause
        if before is not None and before.phase != report.phase and before.phase in {"save", "evaluate"}:
            took = max(report.at - before.at, told.longest.get(before.phase, 0.0))
            told = replace(told, longest={**told.longest, before.phase: took})
        marks = {**self.marks, report.rank: mark}
        told = told._lost(report)  # noqa: SLF001 - one of us
        phases, printed = self.phases or report.phase != "step", self.printed or report.printed
        return replace(told, marks=marks, phases=phases, printed=printed, pause=pause)

    def _topped(self, report: Stepped) -> "Pace":
        seconds = self.seconds
        if report.seconds is not None and (self.top is None or report.step > self.top):
            seconds = (*seconds, report.seconds)[-WINDOW:]
        if self.top is None or self.top_at is None:
            return replace(self, top=report.step, top_at=report.at, began=report.step, seconds=seconds)
        if report.step <= self.top:
            return self
        if (
            report.seconds is None
            and all(mark.phase == "step" for mark in self.marks.values())
            and report.phase == "step"
        ):
            seconds = (*seconds, (report.at - self.top_at) / (report.step - self.top))[-WINDOW:]
        return replace(self, top=report.step, top_at=report.at, seconds=seconds)

    def _lost(self, report: Stepped) -> "Pace":
        if report.loss is None or report.step <= max((step for step, _ in self.losses[-1:]), default=-1):
            return self
        if not math.isfinite(report.loss):
            known = report.step in self.infinite
            return self if known else replace(self, infinite=(*self.infinite, report.step)[-LOSSES_KEPT:])
        if report.step <= max(self.infinite, default=-1):
            return self
        return replace(self, losses=(*self.losses, (report.step, report.loss))[-LOSSES_KEPT:], infinite=())
