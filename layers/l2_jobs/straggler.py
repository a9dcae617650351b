"""Straggler: a rank whose own steps take much longer than the others'. Pure.

Ranks that wait for each other in each step all take as long as the slowest, so this sees only what ranks tell of steps
that they make by themselves. It is told; a person, or a spare node, does something about it.
"""

from statistics import median

from .fault.fault import Evidence, Fault, usual_fault
from .pace import Pace

RATIO = 1.5
"""Times the median of all ranks; and in `MOST` of the last `STEPS` steps."""

STEPS = 12
MOST = 10


def straggler(pace: Pace, at: float) -> Fault | None:
    """The fault of the slowest rank; None where there is none, or too few ranks to tell."""
    timed = {rank: mark for rank, mark in pace.marks.items() if len(mark.seconds) >= STEPS}
    if len(timed) < 3 or len(timed) < len(pace.marks):  # noqa: PLR2004 - of two ranks either may be the odd one
        return None
    usual = median(median(mark.seconds[-STEPS:]) for mark in timed.values())
    if usual <= 0:
        return None
    slow = {
        rank: mark for rank, mark in timed.items() if sum(one >= RATIO * usual for one in mark.seconds[-STEPS:]) >= MOST
    }
    if not slow or len(slow) * 2 >= len(timed):
        return None
    rank, mark = max(slow.items(), key=lambda one: median(one[1].seconds[-STEPS:]))
    text = f"rank {rank} on {mark.node} takes {median(mark.seconds[-STEPS:]):.3g} s a step, the others {usual:.3g} s"
    return usual_fault("straggler", at, nodes=[mark.node], evidence=[Evidence("step", text, mark.node, rank, at=at)])
