"""Resuming: what a run was made of against what there is now, and whether anything of it is left to be done."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aiops.cli.app import App
from aiops.layers.core.errors import FailedError, NotFoundError

from .asked import Asked

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.layers.l3_tuning.recipe import Recipe
    from aiops.layers.l3_tuning.run_document import Making


def end_of(
    desk: "Counter", asked: Asked, place: Path, was: "Making", new: "Making"
) -> "Literal['whole', 'left'] | None":
    """What there is of the end of a run: the tuned model, or what its tool has left to make it of; None for neither.

    Neither nodes nor room for checkpoints are needed then. What changed and is not allowed to is told later, together
    with the environment, which only nodes know.
    """
    from aiops.layers.l3_tuning.artefact import is_of, whole_artefact
    from aiops.layers.l3_tuning.resume import changes, going_on, refused

    found = changes(was, new)
    if refused(found, asked.allowed, place.name, asked.named) is not None:
        return None
    if is_of(whole_artefact(place), going_on(was, new, found, asked.allowed, "").digests):
        return "whole"
    return "left" if not asked.allowed and _left_whole(desk, place, asked) else None


def _left_whole(desk: "Counter", place: Path, asked: Asked) -> bool:
    """Whether a tool that writes no artefact has ended well, and what it left is there to make one of."""
    from aiops.layers.l3_tuning import run_folder, run_jobs
    from aiops.layers.l3_tuning.sealing import left_by

    written, _ = run_folder.read(place, asked.named)
    newest = next(reversed(run_jobs.taken(place)), None)
    if not written.get("output") or newest is None:
        return False
    try:
        state = newest.state
        if newest.desk is None:  # `require_free` has asked for others
            state = desk.ask("standing", job=newest.job)["state"]
        if state != "succeeded":
            return False
        left_by(place, written)
    except (NotFoundError, FailedError):
        return False  # forgotten; or the tool has to write it again
    return True


def require_world(place: Path, asked: Asked, recipe: "Recipe") -> None:
    """Refuse what the trainer would refuse on the nodes, hours later.

    Raises:
        ConflictError: The run was begun by another number of processes (`run.world`).
    """
    from aiops.layers.l3_tuning import run_folder
    from aiops.layers.l3_tuning.resume import other_world

    written, _ = run_folder.read(place, asked.named)
    wrong = other_world(written.get("world"), recipe, place.name, asked.named)
    if wrong is not None:
        raise wrong


def as_kept(
    asked: Asked, place: Path, new: "Making", code: dict[str, bytes]
) -> "tuple[Making, Making, dict[str, bytes]]":
    """What a run was made of, what it would be made of now, and the code that it goes on with.

    A run keeps its code: it goes on with that, not with what an upgrade has brought, unless that is asked for.
    """
    from aiops.layers.l3_tuning import run_folder
    from aiops.layers.l3_tuning.run_document import code_digest

    _, was = run_folder.read(place, asked.named)
    if "code" not in asked.allowed:
        code = run_folder.kept_code(place, was.digests["code"])
        digest, files = code_digest(code, new.recipe.trainer)
        new = replace(new, digests={**new.digests, "code": digest}, code_files=files)
    return was, new, code


def going_on_with(aiops: App, asked: Asked, place: Path, was: "Making", new: "Making") -> "Making":
    """What a run that goes on is made of from now on.

    Raises:
        ConflictError: Something that it was made of changed, and is not allowed to (`run.changed`).
    """
    from aiops.layers.l3_tuning.resume import changes, going_on, refused

    found = changes(was, new)
    wrong = refused(found, asked.allowed, place.name, asked.named)
    if wrong is not None:
        raise wrong
    return going_on(was, new, found, asked.allowed, aiops.clock.now().isoformat(timespec="seconds"))
