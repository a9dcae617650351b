"""All that comes before a recipe's job: a run whose folder is whole, locked until its job is known."""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.cli.app import App

from .asked import Asked, read, trainer_for
from .standing import require_free, taken
from .supply import base_of, prepared, require_fit, require_fitting, seen_for, source_of, with_environment

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.cli.screen import Screen
    from aiops.layers.l3_tuning.recipe import Recipe
    from aiops.layers.l3_tuning.run import Cause
    from aiops.layers.l3_tuning.run_document import Making
    from aiops.layers.l3_tuning.run_folder import Contents
    from aiops.layers.l3_tuning.trainer import Rendered


@dataclass(frozen=True)
class Ready:
    """A run whose folder is whole.

    Attributes:
        text: Its job.yml.
        again: Whether it goes on.
        resume: Whether there is something in its folder of checkpoints to go on from.
        done: Whether nothing is left but to hand on what came of it.
        job: What runs it already: it was handed in by somebody who was killed before they could say so.
    """

    place: Path
    text: str = field(default="", repr=False)
    again: bool = False
    resume: bool = False
    done: bool = False
    job: str | None = None


def ready(
    aiops: App, screen: "Screen", asked: Asked, inventory: Path | None, *, desk: "Counter", locks: ExitStack
) -> Ready:
    """All that comes before the job: data is checked and prepared, the plan judged, the run's folder made.

    Args:
        aiops: The outside world.
        screen: Where it is shown.
        asked: The recipe.
        inventory: As the option says.
        desk: Who knows which jobs go on.
        locks: Gets the run's lock, which is to be held until its job is known.

    Raises:
        InputError: The recipe, its data or its base is wrong.
        ConflictError: A run that is to go on was made of something else (`run.changed`), goes on already
            (`run.alive`), is being started by another (`run.locked`), or was begun by another number of processes
            (`run.world`).
        CriticalError: It does not fit, or nodes do not agree (`plan.refused`).
        FailedError: The run cannot be made.
    """
    from aiops.layers.l3_tuning import run_folder
    from aiops.layers.l3_tuning.artefact import is_of, written_lineage
    from aiops.layers.l3_tuning.recipe_file import origins_of
    from aiops.layers.l3_tuning.run_document import Making, code_digest
    from aiops.layers.l3_tuning.run_lock import held
    from aiops.layers.l3_tuning.run_making import contents_of, prepared_of, run_of, with_questions

    file, recipe = read(aiops, asked)
    trainer = trainer_for(aiops, file, recipe)
    recipe, questions = with_questions(recipe)
    folder = Path(recipe.folder)
    old = run_folder.newest(folder, recipe.name, asked.named) if asked.resume else None
    if old is not None:
        locks.enter_context(held(old))
        job = taken(desk, old, asked, recipe)
        if job is not None:
            return Ready(old, again=True, job=job)
        require_free(desk, old, asked)
        if not trainer.abilities.worlds:
            _require_world(old, asked, recipe)
    base, base_files = base_of(aiops, screen, recipe)
    source = source_of(recipe)
    code = dict(trainer.code())
    digest, code_files = code_digest(code, trainer.name)
    digests: dict[Cause, str] = {"base": base.digest, "data": source.digest, "recipe": recipe.digest, "code": digest}
    making = Making(
        digests,
        recipe,
        base_files,
        dict(source.inputs),
        code_files,
        origins=origins_of(file, recipe),
        questions=questions,
    )
    seen = None
    if old is not None:
        # Nodes are asked before the data is prepared, which may take an hour: theirs is the environment.
        seen = seen_for(aiops, screen, recipe, source.folder, inventory, desk=desk)
        making, code, unknown = _going_on(aiops, asked, old, with_environment(making, seen), code)
        if unknown is not None:
            screen.note(unknown)
    require_fitting(file, recipe, source)
    data = prepared_of(prepared(aiops, screen, source))
    if seen is None:
        seen = seen_for(aiops, screen, recipe, source.folder, inventory, desk=desk)
        making = with_environment(making, seen)
    require_fit(screen, recipe, data.path, seen, asked.named)

    def rendered_as(name: str) -> "tuple[Rendered, Contents]":
        run = run_of(
            making.recipe,
            name,
            base=base,
            data=data,
            code=making.digests["code"],
            trainer=trainer,
            allowed=making.allowed,
            machines=seen.machines,
        )
        rendered = trainer.render(run)
        return rendered, contents_of(run, making, rendered, code)

    if old is None:
        with run_folder.making(folder, recipe.name) as name:
            _, contents = rendered_as(name)
            run_folder.make(folder / name, contents, lambda made: locks.enter_context(held(made)))
        return Ready(folder / name, contents.job)
    rendered, contents = rendered_as(old.name)
    done = is_of(written_lineage(old), making.digests) or (not asked.allowed and _left_whole(desk, old, asked))
    if not done:
        require_free(desk, old, asked)  # once more: data may have been prepared for an hour
        run_folder.remake(old, contents)
    resume = run_folder.has_checkpoints(old, rendered.checkpoints)
    return Ready(old, contents.job, again=True, resume=resume, done=done)


def _left_whole(desk: "Counter", place: Path, asked: Asked) -> bool:
    """Whether a tool that writes no artefact has ended well, and nobody was there to make one of what it left."""
    from aiops.layers.core.errors import NotFoundError
    from aiops.layers.l3_tuning import run_folder, run_jobs

    written, _ = run_folder.read(place, asked.named)
    jobs = run_jobs.jobs(place)
    if not written.get("output") or not jobs:
        return False
    try:
        return bool(desk.ask("standing", job=jobs[-1])["state"] == "succeeded")
    except NotFoundError:
        return False  # of another store, or forgotten


def _require_world(place: Path, asked: Asked, recipe: "Recipe") -> None:
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


def _going_on(
    aiops: App, asked: Asked, place: Path, new: "Making", code: dict[str, bytes]
) -> "tuple[Making, dict[str, bytes], str | None]":
    """What a run that goes on is made of from now on, its code, and what could not be compared, in words.

    Raises:
        ConflictError: Something that it was made of changed, and is not allowed to (`run.changed`).
    """
    from aiops.layers.l3_tuning import run_folder
    from aiops.layers.l3_tuning.resume import changes, going_on, not_compared, refused
    from aiops.layers.l3_tuning.run_document import code_digest

    _, old = run_folder.read(place, asked.named)
    if "code" not in asked.allowed:
        # A run keeps its code: it goes on with that, not with what an upgrade has brought, unless that is asked for.
        code = run_folder.kept_code(place, old.digests["code"])
        digest, files = code_digest(code, new.recipe.trainer)
        new = replace(new, digests={**new.digests, "code": digest}, code_files=files)
    found = changes(old, new)
    wrong = refused(found, asked.allowed, place.name, asked.named)
    if wrong is not None:
        raise wrong
    at = aiops.clock.now().isoformat(timespec="seconds")
    return going_on(old, new, found, asked.allowed, at), code, not_compared(old, new)
