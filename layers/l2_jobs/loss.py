"""Loss: no longer a finite number, or far above its course. Pure."""

from statistics import median

from .fault.fault import Evidence, Fault, usual_fault
from .pace import Pace

INFINITE = 3
"""Steps in a row: mixed precision skips a step now and then whose loss overflows."""

BEFORE = 20
"""Losses that a course needs."""

ROW = 5
"""Losses in a row beyond the bound: one odd batch is no spike."""

SPREAD = 12.0
"""Times the median absolute deviation (1.4826 x MAD is a standard deviation of normal noise, so about 8 of those)."""

FLOOR = 0.5
"""Of the median: a course that hardly varies is not left by what would be noise elsewhere."""


def loss_fault(pace: Pace, at: float) -> Fault | None:
    """The fault that the told losses show; None while they show none."""
    if len(pace.infinite) >= INFINITE:
        text = f"the loss was no finite number at the steps {', '.join(map(str, pace.infinite[-INFINITE:]))}"
        return usual_fault("loss_nan", at, evidence=[Evidence("step", text, at=at)])
    if len(pace.losses) < BEFORE + ROW:
        return None
    course = [loss for _, loss in pace.losses[:-ROW]]
    last = pace.losses[-ROW:]
    middle = median(course)
    deviation = median(abs(one - middle) for one in course)
    bound = middle + max(SPREAD * deviation, FLOOR * abs(middle))
    if any(loss <= bound for _, loss in last):
        return None
    text = f"the loss is above {bound:.4g} since step {last[0][0]}; its median before was {middle:.4g}"
    return usual_fault("loss_spike", at, evidence=[Evidence("step", text, at=at)])
