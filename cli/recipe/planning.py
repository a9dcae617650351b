"""`aiops recipe plan`: whether a recipe fits, before anything is started."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.options import InventoryOption, JsonOption, QuietOption
from aiops.layers.core.errors import InputError

from . import looking
from .plan_screen import show

if TYPE_CHECKING:
    from aiops.cli.screen import Screen
    from aiops.layers.l0_nodes.ask import Record
    from aiops.layers.l3_tuning.plan.machine import Machine
    from aiops.layers.l3_tuning.plan.model import Model
    from aiops.layers.l3_tuning.plan.plan import Plan
    from aiops.layers.l3_tuning.recipe import Recipe

    from .looking import Seen


RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe.yml, or a shipped one by its name.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Instead of what the file says, e.g. `train.batch=1`."),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--device-memory",
        metavar="SIZE",
        help="Ask no nodes: plan for accelerators of `80 GiB`; where it trains on processors, for nodes of so much.",
    ),
]


def plan(
    context: typer.Context,
    recipe: RecipeArgument,
    *,
    sets: SetOption = None,
    nodes: Annotated[int | None, typer.Option("--nodes", metavar="N", min=1, help="On N nodes.")] = None,
    devices: Annotated[
        int | None, typer.Option("--devices", metavar="N", min=0, help="With N accelerators of each; 0 for none.")
    ] = None,
    device_memory: MemoryOption = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Say what memory a recipe takes by term, whether it fits, and what to change; nothing is started.

    Nodes are asked once each: memory, disk, ports, /dev/shm, the base, versions. 4 when it does not fit or nodes
    differ, 3 when something is not known, 0 when it fits, also when only just.
    """
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    wanted = list(sets or ())
    wanted += [f"placement.nodes={nodes}"] if nodes is not None else []
    wanted += [f"placement.devices={devices}"] if devices is not None else []
    found = planned(aiops, screen, _read(aiops, recipe, wanted), device_memory, inventory)
    if screen.json:
        screen.document(found.document())
    else:
        show(screen, found, recipe)
    return exit_of_plan(found)


def exit_of_plan(plan: "Plan") -> Exit:
    """The exit code of who has only asked: 4 where it would be refused, 3 where something is not known."""
    from aiops.layers.l3_tuning.plan.plan import refusal

    if refusal(plan, plan.recipe.name) is not None:
        return Exit.CRITICAL
    return Exit.UNREACHABLE if plan.unknown else Exit.DONE


def planned(
    aiops: App, screen: "Screen", recipe: "Recipe", device_memory: str | None, inventory: Path | None
) -> "Plan":
    """The plan of a recipe, on imagined nodes or on those of the cluster.

    Raises:
        InputError: The base is not there or is no model, or the recipe cannot be placed.
        FailedError: The prepared data that it names is damaged.
    """
    if device_memory is not None:
        return plan_upon(recipe, looking.Seen(_imagined(recipe, device_memory)))
    with looking.asker(aiops, inventory) as desk:
        return plan_upon(recipe, looking.look(aiops, screen, recipe, inventory, desk))


def plan_upon(recipe: "Recipe", seen: "Seen", *, there: int = 0) -> "Plan":
    """The plan of a recipe on nodes that were seen.

    Args:
        recipe: Resolved.
        seen: The nodes.
        there: Bytes of the checkpoints of a run that goes on.

    Raises:
        InputError: The base is not there or is no model, or the recipe cannot be placed.
        FailedError: The prepared data that it names is damaged.
    """
    from aiops.layers.l3_tuning.data.store import load, named
    from aiops.layers.l3_tuning.plan.plan import plan_of

    folder = named(recipe.data.train)
    manifest = None if folder is None else load(folder)
    return plan_of(recipe, _model(recipe, seen.records), seen.machines, manifest, there=there)


def _read(aiops: App, name: str, sets: Sequence[str]) -> "Recipe":
    from aiops.layers.l3_tuning.recipe_file import compile_recipe, load_recipe
    from aiops.layers.l3_tuning.recipe_override import recipe_overrides

    return compile_recipe(load_recipe(name, aiops.working_folder, recipe_overrides(sets)))


def _imagined(recipe: "Recipe", text: str) -> "tuple[Machine, ...]":
    from aiops.layers.l2_jobs.quantity import bytes_of
    from aiops.layers.l3_tuning.plan.machine import imagined

    try:
        size = bytes_of(text)
    except ValueError as error:
        raise InputError(
            f"`--device-memory {text}`: {error}", code="usage.memory", hints=["as in `--device-memory '80 GiB'`"]
        ) from error
    if size < 1:
        raise InputError(f"`--device-memory {text}` is none at all", code="usage.memory")
    return imagined(recipe.placement.nodes, recipe.placement.devices, size)


def _model(recipe: "Recipe", records: "Sequence[Record]") -> "Model":
    """The base as it lies here, else as nodes see it.

    Raises:
        InputError: Neither here nor on a node is one.
    """
    from aiops.layers.l3_tuning.base_config import FILE, config_of
    from aiops.layers.l3_tuning.plan.architecture import model_of
    from aiops.layers.l3_tuning.plan.asking import config_text
    from aiops.layers.l3_tuning.plan.model_folder import read_model

    folder = Path(recipe.base)
    if folder.exists():
        return read_model(folder)
    text = next(filter(None, (config_text(record, recipe) for record in records)), None)
    return read_model(folder) if text is None else model_of(config_of(text, f"{recipe.base}/{FILE}"))
