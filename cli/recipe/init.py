"""`aiops recipe init`: a commented recipe.yml to begin with."""

from pathlib import Path
from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.options import JsonOption, QuietOption
from aiops.layers.core.errors import ConflictError, InputError


def init(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="What to write.")] = Path("recipe.yml"),
    *,
    base: Annotated[
        Path | None,
        typer.Option("--base", metavar="DIR", help="The model to be tuned; its config.json tells which recipe fits."),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="A shipped recipe to begin with. [what fits --base]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Write a commented recipe.yml: of a shipped recipe, of what fits a model, or with every key there is."""
    from aiops.layers.core.file import write_atomic
    from aiops.layers.l3_tuning.base_config import read_config
    from aiops.layers.l3_tuning.beginning import beginning
    from aiops.layers.l3_tuning.choice import fitting
    from aiops.layers.l3_tuning.shipped import reference_text

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    path = aiops.working_folder / file.expanduser()
    if path.exists() and not force:
        raise ConflictError(
            f"{file} is there already", code="recipe.exists", hints=["write over it: `--force`; or name another file"]
        )
    model = None if base is None else aiops.working_folder / base.expanduser()
    chosen = from_
    if model is not None and chosen is None:
        chosen = fitting(read_config(model))
        if chosen is None:
            screen.note(f"no shipped recipe is for a model like {base}; this one has every key there is")
    text = reference_text() if chosen is None and model is None else beginning(chosen, model)
    try:
        write_atomic(path, text.encode(), 0o644)
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror}", code="recipe.unwritable", hints=["name another file"]
        ) from error
    if json:
        screen.document({"file": str(path), "from": chosen})
        return Exit.DONE
    screen.line(str(file))
    screen.hint(f"fill in what stands there, then see whether it fits: `aiops recipe plan {file}`")
    screen.hint(f"and run it: `aiops train {file}`")
    return Exit.DONE
