"""A training program as the simulated cluster runs it: phases, steps, checkpoints, and what may go wrong in it."""

from dataclasses import dataclass, field
from random import Random
from typing import Literal

from aiops.layers.l2_jobs.report import Phase

Tells = Literal["phases", "steps", "nothing"]


@dataclass(frozen=True)
class Script:
    """What a program does when nothing goes wrong.

    Attributes:
        start: Seconds before its first step, and `jitter` a factor by which steps vary.
        every: Steps between two saves; 0 for none. `evaluate_every` likewise.
        tells: What the head learns of it.
    """

    steps: int = 60
    step: float = 1.0
    start: float = 5.0
    every: int = 10
    save: float = 1.0
    evaluate_every: int = 0
    evaluate: float = 0.0
    jitter: float = 0.1
    tells: Tells = "phases"


@dataclass(frozen=True)
class Flaw:
    """What goes wrong in a program by itself, in each attempt, until `times` are used up.

    Attributes:
        at: At this step; 0 before the first.
        kind: The class that its log shows.
        times: In so many attempts.
    """

    kind: str
    at: int = 0
    status: int = 1
    times: int = 1000


@dataclass
class Saved:
    """A checkpoint on the shared storage, with what is true of it."""

    step: int
    whole: bool = False
    damaged: bool = False
    aside: bool = False
    written: float = 0.0


@dataclass
class Folder:
    """The checkpoints of one job, and the lowest epoch that may write there."""

    saved: dict[int, Saved] = field(default_factory=dict)
    epoch: int = 0


@dataclass
class Run:
    """One attempt's program: all of its ranks go step by step together."""

    script: Script
    step: int
    random: Random
    phase: Phase = "start"
    left: float = 0.0
    stuck: str = ""
    done: bool = False
    spoilt: bool = False
    starved: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.script.start

    def advance(self, seconds: float, folder: Folder, now: float, *, storage: bool) -> None:
        """Go on for `seconds`.

        Args:
            seconds: How long.
            folder: Its checkpoints.
            now: The time.
            storage: Whether the storage answers; saves, and reads of data, wait while it does not.
        """
        if self.stuck or self.done or not storage:
            return
        self.left -= seconds
        while self.left <= 0 and not self.done:
            self._next(folder, now)

    def _next(self, folder: Folder, now: float) -> None:
        script = self.script
        if self.phase == "save":
            saved = folder.saved[self.step]
            saved.whole, saved.written = True, now
        elif self.phase == "step":
            self.step += 1
        if self.phase == "step" and script.every and self.step % script.every == 0:
            self.phase = "save"
            self.left += script.save
            folder.saved[self.step] = Saved(self.step, damaged=self.spoilt)
        elif self.phase in {"step", "save"} and script.evaluate_every and self.step % script.evaluate_every == 0:
            self.phase = "evaluate"
            self.left += script.evaluate
        elif self.step >= script.steps:
            self.done = True
        else:
            self.phase = "step"
            self.left += script.step * (1 + script.jitter * self.random.uniform(-1, 1))
