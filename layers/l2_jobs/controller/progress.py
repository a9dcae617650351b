"""How far an attempt has come: the newest step, the loss that was told with it, and how fast it goes. Pure."""

import math
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from aiops.layers.l2_jobs.report import Phase, Stepped

_KEPT = 32
"""Steps that the pace is the median of, and seconds that tokens are counted over; half a minute."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What was told so far.

    Attributes:
        first: The first step that was told, at `began`.
        at: When the newest was told (steady clock).
        loss: The newest that was told; None where none was.
        paces: Seconds for one step, of the last ones that were told.
        total: Steps that the run means to make, where any rank says so.
        tokens: That all ranks were trained on since the first word about them.
        counts: Of the last seconds: when, and how many tokens it were then.
    """

    step: int | None = None
    at: float = 0.0
    phase: Phase = "start"
    loss: float | None = None
    first: int | None = None
    began: float = 0.0
    first_loss: float | None = None
    paces: tuple[float, ...] = ()
    total: int | None = None
    tokens: float = 0.0
    counts: tuple[tuple[float, float], ...] = ()

    @property
    def seconds_per_step(self) -> float | None:
        """The median of the last ones; None before there were two."""
        return median(self.paces) if self.paces else None

    @property
    def tokens_per_second(self) -> float | None:
        """Of all ranks, over the last seconds; None where they do not tell, or have just begun to."""
        if len(self.counts) < 2:  # noqa: PLR2004 - a rate needs two
            return None
        (began, first), (ended, last) = self.counts[0], self.counts[-1]
        return (last - first) / (ended - began)

    @property
    def seconds_left(self) -> float | None:
        """Until the last step, at the pace of the last ones; None where the program does not say how many it makes."""
        pace = self.seconds_per_step
        if self.total is None or self.step is None or pace is None:
            return None
        return max(0, self.total - self.step) * pace

    def after(self, told: Stepped) -> "Progress":
        """What is known after one more report; a step that was told before, or by another rank, changes nothing.

        Of a program that says that it only starts, no step was made.
        """
        if told.phase == "start":
            return self if told.total is None else replace(self, total=told.total)
        found = self._stepped(told)
        if told.total is not None:
            found = replace(found, total=told.total)
        return found if told.tokens is None else found.counted(told.at, told.tokens)

    def counted(self, at: float, tokens: float) -> "Progress":
        """What is known after more tokens; ranks tell one by one, so a moment is what was told within a second."""
        tokens += self.tokens
        if not self.counts or at - self.counts[-1][0] >= 1.0:
            return replace(self, tokens=tokens, counts=(*self.counts, (at, tokens))[-_KEPT:])
        return replace(self, tokens=tokens)

    def _stepped(self, told: Stepped) -> "Progress":
        step = self.step if self.step is not None and told.step <= self.step else told.step
        loss = told.loss if told.loss is not None and (self.step is None or told.step >= self.step) else self.loss
        if self.step is None:
            return replace(
                self,
                step=step,
                at=told.at,
                phase=told.phase,
                loss=loss,
                first=step,
                began=told.at,
                first_loss=told.loss,
            )
        if told.step <= self.step:
            return replace(self, phase=told.phase, loss=loss)
        pace = max(0.0, told.at - self.at) / (told.step - self.step)
        paces = (*self.paces, pace)[-_KEPT:]
        return replace(self, step=step, at=told.at, phase=told.phase, loss=loss, paces=paces)

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        pace = self.seconds_per_step
        return {
            "step": self.step,
            "at": self.at if self.step is not None else None,
            "phase": self.phase,
            "loss": None if self.loss is None else self.loss if math.isfinite(self.loss) else str(self.loss),
            "first": self.first,
            "first_at": self.began if self.first is not None else None,
            "first_loss": self.first_loss
            if self.first_loss is None or math.isfinite(self.first_loss)
            else str(self.first_loss),
            "seconds_per_step": pace,
            "total": self.total,
            "tokens_per_second": self.tokens_per_second,
            "seconds_left": self.seconds_left,
        }
