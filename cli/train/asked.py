"""A recipe as a command line asks for it, and what it is read as."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiops.cli.app import App
from aiops.layers.core.errors import InputError

from .handing import STDIN

if TYPE_CHECKING:
    from aiops.layers.core.places import Override
    from aiops.layers.l3_tuning.recipe import Recipe
    from aiops.layers.l3_tuning.recipe_file import RecipeFile
    from aiops.layers.l3_tuning.run import Cause
    from aiops.layers.l3_tuning.trainer import Trainer


@dataclass(frozen=True)
class Asked:
    """A recipe as a command line asks for it.

    Attributes:
        what: A file, or a shipped recipe's name.
        text: What stands in the file; None for a shipped one.
        folder: Where relative paths in it begin.
        overrides: What the command line says instead.
        resume: Whether its newest run goes on.
        allowed: What may have changed since.
        typed: What is typed to name it again; `-` for stdin.
    """

    what: str
    text: str | None
    folder: str
    overrides: "tuple[Override, ...]" = ()
    resume: bool = False
    allowed: "tuple[Cause, ...]" = ()
    typed: str = STDIN

    @property
    def named(self) -> str:
        """The recipe as it would be typed again, with what is said instead of it."""
        return shlex.join([self.typed, *self._options()])

    @property
    def again(self) -> str:
        """What is typed to go on with its newest run."""
        return f"aiops train --resume {self.named}"

    def _options(self) -> Sequence[str]:
        """An option is `--set KEY=VALUE` as it was typed: the first blank ends its name."""
        return [word for one in self.overrides for word in one.option.split(" ", 1)]


def read(aiops: App, asked: Asked, *, partial: bool = False) -> "tuple[RecipeFile, Recipe]":
    """The recipe.

    Raises:
        InputError: It is wrong; all mistakes together, with lines.
    """
    from aiops.layers.l3_tuning.recipe_file import compile_recipe, load_recipe, read_recipe

    here = aiops.working_folder
    if asked.text is None:
        file = load_recipe(asked.what, here, asked.overrides, partial=partial)
    else:
        file = read_recipe(
            asked.text, asked.what, folder=asked.folder, overrides=asked.overrides, partial=partial, here=str(here)
        )
    return file, compile_recipe(file)


def flattened(file: "RecipeFile", recipe: "Recipe") -> str:
    """A recipe as text that stands alone, for another machine."""
    from aiops.layers.l3_tuning.recipe_text import document_of, yaml_of

    return file.text if len(file.chain.links) == 1 else yaml_of(document_of(recipe))


def trainer_for(aiops: App, file: "RecipeFile", recipe: "Recipe") -> "Trainer":
    """Who trains it.

    Raises:
        InputError: There is no such trainer, or it cannot do what the recipe asks; all of it together, with lines. Or
            the recipe names layers that its base has not.
    """
    from aiops.layers.l2_jobs.mistake import dotted
    from aiops.layers.l3_tuning.base_digest import known_config
    from aiops.layers.l3_tuning.plan.architecture import model_of
    from aiops.layers.l3_tuning.plan.plan import require_parts
    from aiops.layers.l3_tuning.recipe_file import wrong_recipe
    from aiops.layers.l3_tuning.trainer import refusals, trainer_named, trainers_of

    trainer = trainer_named(trainers_of(aiops.plugins), recipe.trainer)
    config = known_config(recipe.base)
    wrong = refusals(recipe, trainer, config)
    if wrong:
        problems = [file.chain.problem(one.path, f"`{dotted(one.path)}` {one.words}", one.hint) for one in wrong]
        raise wrong_recipe(problems, file.chain.links[0].file)
    if config is not None:
        require_parts(recipe, model_of(config))
    return trainer


def causes_of(words: Sequence[str]) -> "tuple[Cause, ...]":
    """What `--allow-changed` names.

    Raises:
        InputError: It names something else.
    """
    from aiops.layers.core.places import nearest
    from aiops.layers.l3_tuning.run import CAUSES

    for word in words:
        if word not in CAUSES:
            near = nearest(word, CAUSES)
            raise InputError(
                f"`--allow-changed {word}`: what may change is {', '.join(CAUSES)}",
                code="usage.recipe",
                hints=[f"did you mean `{near}`?"] if near else (),
            )
    return tuple(one for one in CAUSES if one in words)


def overrides_for(
    sets: Sequence[str],
    *,
    nodes: str | None,
    engine: str | None,
    priority: int | None,
    queue: str | None,
    max_restarts: int | None,
) -> "tuple[Override, ...]":
    """The options of `aiops train` as overrides of a recipe.

    Raises:
        InputError: One of them makes no sense for a recipe.
    """
    from aiops.layers.core.places import Override
    from aiops.layers.l3_tuning.recipe_override import recipe_overrides

    if max_restarts is not None:
        raise InputError(
            "`--max-restarts` is of job files, and a recipe is named",
            code="usage.recipe",
            hints=["a recipe's job follows aiops' own budget: leave it out"],
        )
    found = list(recipe_overrides(sets))
    given = (("nodes", nodes), ("engine", engine), ("priority", priority), ("queue", queue))
    found += [Override(("placement", key), str(value), f"--{key} {value}") for key, value in given if value is not None]
    return tuple(found)
