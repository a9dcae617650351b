"""All that comes before a recipe's job: a run whose folder is whole, locked until its job is known."""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.cli.app import App

from .asked import Asked, read, trainer_for
from .resuming import as_kept, end_of, going_on_with, require_world
from .standing import require_free, taken
from .supply import (
    base_of,
    prepared,
    require_fit,
    require_fitting,
    require_start,
    seen_for,
    source_of,
    with_environment,
)

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.cli.recipe.looking import Seen
    from aiops.cli.screen import Screen
    from aiops.layers.l3_tuning.recipe import Recipe
    from aiops.layers.l3_tuning.recipe_file import RecipeFile
    from aiops.layers.l3_tuning.run import Base, Prepared
    from aiops.layers.l3_tuning.run_document import Making
    from aiops.layers.l3_tuning.run_folder import Contents
    from aiops.layers.l3_tuning.trainer import Rendered, Trainer

    from .supply import Source


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
    from aiops.layers.l3_tuning.run_lock import held
    from aiops.layers.l3_tuning.run_making import with_questions

    file, recipe = read(aiops, asked)
    trainer = trainer_for(aiops, file, recipe)
    recipe, questions = with_questions(recipe)
    if not asked.resume:
        upon = _upon(aiops, screen, file, recipe, trainer=trainer, questions=questions)
        return _begun(aiops, screen, asked, inventory, upon, desk=desk, locks=locks)
    old = run_folder.newest(Path(recipe.folder), recipe.name, asked.named)
    locks.enter_context(held(old))
    job = taken(desk, old, asked, recipe)
    if job is not None:
        return Ready(old, again=True, job=job)
    require_free(desk, old, asked)
    if not trainer.abilities.worlds:
        require_world(old, asked, recipe)
    upon = _upon(aiops, screen, file, recipe, trainer=trainer, questions=questions)
    return _gone_on(aiops, screen, asked, inventory, upon, desk=desk, old=old)


@dataclass(frozen=True)
class _Upon:
    """What a run is begun upon, or goes on upon."""

    file: "RecipeFile"
    recipe: "Recipe"
    trainer: "Trainer"
    base: "Base"
    source: "Source"
    code: dict[str, bytes]
    making: "Making"

    def rendered(
        self, name: str, making: "Making", data: "Prepared", code: dict[str, bytes], seen: "Seen"
    ) -> "tuple[Rendered, Contents]":
        """The run as its trainer has it, and what is put into its folder."""
        from aiops.layers.l3_tuning.run_making import contents_of, run_of

        run = run_of(
            making.recipe,
            name,
            base=self.base,
            data=data,
            code=making.digests["code"],
            trainer=self.trainer,
            allowed=making.allowed,
            machines=seen.machines,
        )
        rendered = self.trainer.render(run)
        return rendered, contents_of(run, making, rendered, code)


def _upon(
    aiops: App,
    screen: "Screen",
    file: "RecipeFile",
    recipe: "Recipe",
    *,
    trainer: "Trainer",
    questions: str | None,
) -> _Upon:
    from aiops.layers.l3_tuning.recipe_file import origins_of
    from aiops.layers.l3_tuning.run_document import code_digest, making_of

    base, base_files = base_of(aiops, screen, recipe)
    source = source_of(recipe)
    code = dict(trainer.code())
    made = making_of(recipe, (base.digest, base_files), (source.digest, source.inputs), code_digest(code, trainer.name))
    made = replace(made, origins=origins_of(file, recipe), questions=questions)
    return _Upon(file, recipe, trainer, base, source, code, made)


def _begun(
    aiops: App,
    screen: "Screen",
    asked: Asked,
    inventory: Path | None,
    upon: _Upon,
    *,
    desk: "Counter",
    locks: ExitStack,
) -> Ready:
    """A new run."""
    from aiops.cli.recipe import looking
    from aiops.layers.l3_tuning import run_folder
    from aiops.layers.l3_tuning.run_making import prepared_of

    recipe, source = upon.recipe, upon.source
    require_fitting(upon.file, recipe, source)
    if not source.folder.is_dir():
        # Nothing is prepared for what could not start: that may take an hour, and stays.
        require_start(recipe, looking.look(aiops, screen, recipe, inventory, desk), asked.named)
    data = prepared_of(prepared(aiops, screen, source))
    seen = seen_for(aiops, screen, recipe, source.folder, inventory, desk=desk)
    making = with_environment(upon.making, seen)
    require_fit(screen, recipe, data.path, seen, asked.named)
    folder = Path(recipe.folder)
    with run_folder.making(folder, recipe.name, locks) as name:
        _, contents = upon.rendered(name, making, data, upon.code, seen)
        run_folder.make(folder / name, contents)
    return Ready(folder / name, contents.job)


def _gone_on(
    aiops: App,
    screen: "Screen",
    asked: Asked,
    inventory: Path | None,
    upon: _Upon,
    *,
    desk: "Counter",
    old: Path,
) -> Ready:
    """A run that goes on, or needs to no more."""
    from aiops.layers.l3_tuning import run_folder
    from aiops.layers.l3_tuning.resume import not_compared
    from aiops.layers.l3_tuning.run_making import prepared_of

    recipe, source = upon.recipe, upon.source
    was, new, code = as_kept(asked, old, upon.making, upon.code)
    end = end_of(desk, asked, old, was, new)
    if end == "left":
        prepared(aiops, screen, source)  # what was left is compared with it
    if end is not None:
        return Ready(old, again=True, done=True)
    # Nodes are asked before the data is prepared, which may take an hour: theirs is the environment.
    seen = seen_for(aiops, screen, recipe, source.folder, inventory, desk=desk)
    new = with_environment(new, seen)
    making = going_on_with(aiops, asked, old, was, new)
    unknown = not_compared(was, new)
    if unknown is not None:
        screen.note(unknown)
    require_fitting(upon.file, recipe, source)
    there = source.folder.is_dir()
    data = prepared_of(prepared(aiops, screen, source))
    if not there:  # nodes have less room by now
        seen = seen_for(aiops, screen, recipe, source.folder, inventory, desk=desk)
    require_fit(screen, recipe, data.path, seen, asked.named, there=run_folder.written(old, "checkpoints"))
    rendered, contents = upon.rendered(old.name, making, data, code, seen)
    require_free(desk, old, asked)  # once more: data may have been prepared for an hour
    run_folder.remake(old, contents)
    return Ready(old, contents.job, again=True, resume=run_folder.has_checkpoints(old, rendered.checkpoints))
