"""Share: a part of one step of a preparation, done by one process; all that it needs is the work folder."""

from collections.abc import Callable
from pathlib import Path

from .assembly import assemble
from .examination import examine
from .judgement import judge
from .rendering import render
from .work import Step, Work

_DONE = {"examine": examine, "judge": judge, "render": render, "assemble": assemble}


def do(work: Path, step: Step, rank: int, of: int, told: Callable[[int], None]) -> None:
    """Do the share `rank` of `of` shares.

    Args:
        work: The work folder.
        step: Which step.
        rank: From 0.
        of: How many shares there are; 1 for steps that nobody shares.
        told: Told how many rows are done, each time.

    Raises:
        AiopsError: What the step raises.
    """
    _DONE[step](Work(work), rank, of, told)
