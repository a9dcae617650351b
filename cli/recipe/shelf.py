"""`aiops recipe list`: the recipes that come with aiops."""

from typing import Any

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.options import JsonOption, QuietOption


def list_(context: typer.Context, *, json: JsonOption = False, quiet: QuietOption = False) -> int:
    """List the recipes that come with aiops: for which models, how, on how much, and where their values come from."""
    from aiops.layers.l3_tuning.recipe_file import compile_recipe, load_recipe
    from aiops.layers.l3_tuning.shipped import shipped

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    found: list[dict[str, Any]] = []
    for name in shipped():
        file = load_recipe(name, aiops.working_folder, partial=True)
        recipe, about = compile_recipe(file), file.document.about
        if about is None:
            raise ValueError(f"the shipped recipe {name} does not say what it is for")
        found.append(
            {
                "name": name,
                "family": about.family,
                "size": about.size,
                "method": recipe.method,
                "adapter": recipe.adapter.kind,
                "nodes": recipe.placement.nodes,
                "devices": recipe.placement.devices,
                "length": recipe.data.length,
                "proof": about.proof,
                "source": about.source,
                "link": about.link,
                "extends": file.document.extends,
            }
        )
    if json:
        screen.document(found)
        return Exit.DONE
    columns = ("name", "family", "size", "method", "adapter", "devices", "proof")
    screen.table(columns, [tuple(one[key] for key in columns) for one in found])
    screen.hint("all that one says, and where from: `aiops recipe show llama-3-8b-sft-lora`")
    screen.hint("begin one of your own: `aiops recipe init --from llama-3-8b-sft-lora`")
    return Exit.DONE
