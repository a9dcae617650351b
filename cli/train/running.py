"""`aiops train RECIPE` from its first word to its last."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.cli.controller.embedding import deciding
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.layers.core.errors import AiopsError

from . import tuning
from .handing import STDIN, ask, come_back, left, read_named, require_controller, tell_detached
from .screen import follow
from .tuning import Asked

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.cli.screen import Screen
    from aiops.layers.l3_tuning.recipe import Recipe
    from aiops.layers.l3_tuning.recipe_file import RecipeFile

_RECIPE = re.compile(r"^kind:\s*[\"']?recipe[\"']?\s*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Named:
    """What a command line names, read once: stdin gives its text only to the first who asks.

    Attributes:
        name: What it is called in words about mistakes.
        text: What stands in it; None for a shipped recipe.
        folder: Where relative paths in it begin.
        recipe: Whether it is a recipe; else it is a job file.
    """

    name: str
    text: str | None
    folder: str
    recipe: bool


def named(aiops: App, file: str) -> Named:
    """The recipe or job file that is named.

    Raises:
        InputError: It cannot be read.
    """
    if file != STDIN and "/" not in file and "." not in file and not (aiops.working_folder / file).exists():
        from aiops.layers.l3_tuning.shipped import shipped

        if file in shipped():
            return Named(file, None, str(aiops.working_folder), recipe=True)
    name, folder, text = read_named(aiops, file)
    return Named(name, text, folder, recipe=_RECIPE.search(text) is not None)


def tune(
    aiops: App, screen: "Screen", asked: "Asked", inventory: Path | None, *, dry_run: bool = False, detach: bool = False
) -> int:
    """Run a recipe, and show it until what came of it is handed on; the exit code."""
    from aiops.layers.l3_tuning import run_folder

    file, recipe = tuning.read(aiops, asked)
    path = None if asked.text is None or asked.stdin else Path(asked.what)
    passed = on_head(aiops, inventory, text=None if asked.text is None else tuning.flattened(file, recipe), file=path)
    if passed is not None:
        return passed
    if dry_run:
        return _dry_recipe(aiops, screen, file, recipe, inventory)
    if detach:
        require_controller(aiops)
    job: dict[str, Any] = {}
    try:
        # Who decides is asked first: nothing is prepared for a job that nobody would take.
        with deciding(aiops, screen, inventory) as desk:
            found = tuning.ready(aiops, screen, asked, inventory)
            screen.note(f"{found.run.name} · {aiops.nickname(str(found.place))}")
            code = Exit.DONE
            if not found.done:
                tuning.require_free(desk, found)
                job = _handed_in(desk, found)
                run_folder.add_job(found.place, job["job"])
                if detach:
                    tell_detached(screen, job["job"])
                    return Exit.DONE
                code = Exit(follow(desk, screen, aiops.clock, job, resumed=found.again))
    except KeyboardInterrupt as cut:
        if job:
            return left(screen, come_back(aiops, job["job"]), cut)
        raise
    ended = tuning.finish(aiops, screen, found.place, succeeded=code == Exit.DONE)
    return code or ended


def _handed_in(desk: "Counter", found: tuning.Ready) -> dict[str, Any]:
    """Hand in the job of a run; a new one is taken away again where it is refused."""
    from aiops.layers.l3_tuning import run_folder

    try:
        return ask(desk, ("submit", tuning.wish_of(found)))
    except AiopsError:
        if not found.again:
            run_folder.unmake(found.place)
        raise


def _dry_recipe(aiops: App, screen: "Screen", file: "RecipeFile", recipe: "Recipe", inventory: Path | None) -> int:
    """Say what would be run of a recipe, and whether it fits; nothing is changed."""
    from aiops.cli.recipe.plan_screen import show
    from aiops.cli.recipe.planning import planned
    from aiops.layers.l3_tuning.recipe_text import document_of, yaml_of

    tuning.trainer_for(aiops, file, recipe)
    plan = planned(aiops, screen, recipe, None, inventory)
    if screen.json:
        screen.document({"recipe": document_of(recipe), "digest": recipe.digest, "plan": plan.document()})
    else:
        screen.text(yaml_of(document_of(recipe)))
        screen.line("")
        show(screen, plan, file.chain.links[0].file)
    screen.note("nothing was changed")
    return Exit.DONE
