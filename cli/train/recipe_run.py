"""`aiops recipe run`: `aiops train` for a recipe and nothing else."""

from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.options import DryRunOption, InventoryOption, JsonOption, QuietOption
from aiops.cli.recipe.planning import RecipeArgument, SetOption
from aiops.layers.core.errors import InputError

from .asked import overrides_for
from .options import AllowChangedOption, DetachOption, EngineOption, NodesOption, PriorityOption, QueueOption
from .running import asked_of, named, tune


def run(
    context: typer.Context,
    recipe: RecipeArgument,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with its newest run.")] = False,
    nodes: NodesOption = None,
    engine: EngineOption = None,
    sets: SetOption = None,
    priority: PriorityOption = None,
    queue: QueueOption = None,
    allow_changed: AllowChangedOption = None,
    dry_run: DryRunOption = False,
    detach: DetachOption = False,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Run a recipe, and follow it: the same as `aiops train RECIPE`.

    Its data is checked and prepared, the plan judged, and it becomes a job; then the tuned model is handed on. 1 when
    it fails or is held, 4 when it does not fit. Ctrl-C detaches, and the job goes on.
    """
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    read = named(aiops, recipe)
    if not read.recipe:
        raise InputError(
            f"{recipe} is no recipe: it does not say `kind: recipe`",
            code="usage.recipe",
            hints=[f"a job file is started by `aiops train {recipe}`", "begin a recipe: `aiops recipe init`"],
        )
    wishes = overrides_for(sets or (), nodes=nodes, engine=engine, priority=priority, queue=queue, max_restarts=None)
    wanted = asked_of(read, wishes, allow_changed or (), resume=resume)
    return tune(aiops, screen, wanted, inventory, dry_run=dry_run, detach=detach)
