"""`aiops train RECIPE` from its first word to its last."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.cli.controller.embedding import deciding
from aiops.cli.data.checking import needed
from aiops.cli.exit import Exit
from aiops.cli.head import JOB_FILE, on_head
from aiops.layers.core.errors import InputError

from .asked import Asked, causes_of, flattened, read, trainer_for
from .ending import done_before, finish, newest_ended
from .handing import STDIN, come_back, left, read_named, require_controller, tell_detached
from .ready import Ready, ready
from .screen import follow
from .submission import hand_in

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.cli.screen import Screen
    from aiops.layers.core.places import Override
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
        typed: What is typed to name it again, on the machine where it was typed: a head is given it on stdin.
    """

    name: str
    text: str | None
    folder: str
    recipe: bool
    typed: str = STDIN


def named(aiops: App, file: str) -> Named:
    """The recipe or job file that is named.

    Raises:
        InputError: It cannot be read.
    """
    if file != STDIN and "/" not in file and "." not in file and not (aiops.working_folder / file).exists():
        from aiops.layers.l3_tuning.shipped import shipped

        if file in shipped():
            return Named(file, None, str(aiops.working_folder), recipe=True, typed=file)
    name, folder, text = read_named(aiops, file)
    typed = aiops.environment.get(JOB_FILE, STDIN) if file == STDIN else file
    return Named(name, text, folder, recipe=_RECIPE.search(text) is not None, typed=typed)


def asked_of(read: Named, wishes: "tuple[Override, ...]", allowed: Sequence[str], *, resume: bool) -> Asked:
    """A recipe with what the command line says beside.

    Raises:
        InputError: `--allow-changed` names what cannot change, or stands without `--resume`.
    """
    if allowed and not resume:
        raise InputError(
            "`--allow-changed` is for a recipe's run that goes on",
            code="usage.recipe",
            hints=["`aiops train --resume recipe.yml --allow-changed data`"],
        )
    return Asked(read.name, read.text, read.folder, wishes, resume, causes_of(allowed), typed=read.typed)


def tune(
    aiops: App, screen: "Screen", asked: Asked, inventory: Path | None, *, dry_run: bool = False, detach: bool = False
) -> int:
    """Run a recipe, and show it until what came of it is handed on; the exit code."""
    from aiops.layers.l3_tuning.run_jobs import Taken

    file, recipe = read(aiops, asked)
    path = None if asked.text is None or asked.typed == STDIN else Path(asked.typed)
    passed = on_head(aiops, inventory, text=None if asked.text is None else flattened(file, recipe), file=path)
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
            found, job = _handed_in(aiops, screen, asked, inventory, desk)
            about = {"run": found.place.name, "folder": str(found.place)}
            if job and detach:
                tell_detached(screen, job["job"], about=about, again=asked.again)
                return Exit.DONE
            if job:
                code, told = follow(desk, screen, aiops.clock, job, resumed=found.again, again=asked.again)
                ended: Taken | None = Taken(told["job"], desk.place, told["state"])
            else:
                ended = newest_ended(found.place)
                code, told = Exit.DONE, done_before(ended)
    except KeyboardInterrupt as cut:
        if job:
            return left(screen, come_back(aiops, job["job"], asked.again), cut)
        raise
    # With `--json` there is one document: this one, or that of what finishing has failed at.
    came = finish(aiops, screen, found.place, asked, ended)
    if screen.json:
        screen.document({**about, **told, **came})
    return code


def _handed_in(
    aiops: App, screen: "Screen", asked: Asked, inventory: Path | None, desk: "Counter"
) -> tuple[Ready, dict[str, Any]]:
    """A run whose folder is whole, and the request of its job; empty where it needs none any more."""
    needed()
    with ExitStack() as locks:
        found = ready(aiops, screen, asked, inventory, desk=desk, locks=locks)
        screen.note(f"{found.place.name} · {aiops.nickname(str(found.place))}")
        if found.done:
            screen.note("it has been trained; nothing is left but to hand its model on")
            return found, {}
        if found.job is None:
            return found, {**hand_in(aiops, desk, found, asked), "after": 0}
        screen.note(f"{found.job} was handed in before, and goes on")
        return found, {"job": found.job, "request": None, "after": 0}


def _dry_recipe(aiops: App, screen: "Screen", file: "RecipeFile", recipe: "Recipe", inventory: Path | None) -> int:
    """Say what would be run of a recipe, and whether it may start, judged as a start would; nothing is changed."""
    from aiops.cli.recipe.plan_screen import show
    from aiops.cli.recipe.planning import exit_of_plan, planned
    from aiops.layers.l3_tuning.recipe_text import document_of, yaml_of

    trainer_for(aiops, file, recipe)
    plan = planned(aiops, screen, recipe, None, inventory)
    if screen.json:
        screen.document({"recipe": document_of(recipe), "digest": recipe.digest, "plan": plan.document()})
    else:
        screen.text(yaml_of(document_of(recipe)))
        screen.line("")
        show(screen, plan, file.chain.links[0].file)
    screen.note("nothing was changed")
    return exit_of_plan(plan)
