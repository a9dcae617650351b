"""Share: a part of one step of a preparation, done by one process; all that it needs is the work folder."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, InputError, NotFoundError, Problem
from aiops.layers.core.file import write_atomic

from .assembly import assemble
from .examination import examine
from .judgement import judge
from .rendering import render
from .work import Step, Work

_FAMILIES: tuple[type[AiopsError], ...] = (InputError, NotFoundError, ConflictError, FailedError, AiopsError)
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


class ShareError(Exception):
    """A share that another process did has failed; what of is kept in the work folder."""


def do_apart(work: Path, step: Step, rank: int, of: int) -> None:
    """Do a share in a process of its own; what it raises is kept for `trouble`, since not every error can be sent.

    Raises:
        ShareError: The share raised an error that is for the person.
    """
    file = work / step / f"{rank}.error"
    file.unlink(missing_ok=True)
    try:
        do(work, step, rank, of, lambda _: None)
    except AiopsError as error:
        problems = [asdict(one) for one in error.problems]
        family = next(one.__name__ for one in _FAMILIES if isinstance(error, one))
        said = {"message": error.message, "code": error.code, "hints": error.hints, "problems": problems}
        write_atomic(file, json.dumps({"family": family, **said}).encode())
        raise ShareError(f"share {rank} of the step {step}: {error.message}") from None


def trouble(work: Path, step: Step) -> AiopsError | None:
    """The error of the first share of a step that had one."""
    for file in sorted((work / step).glob("*.error")):
        said = json.loads(file.read_bytes())
        family = next(one for one in _FAMILIES if one.__name__ == said["family"])
        problems = [Problem(**one) for one in said["problems"]]
        return family(said["message"], code=said["code"], hints=said["hints"], problems=problems)
    return None


def forget_troubles(work: Path, step: Step) -> None:
    """Before a step is carried out again."""
    for file in (work / step).glob("*.error"):
        file.unlink(missing_ok=True)
