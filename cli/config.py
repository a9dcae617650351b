"""`aiops config`: what is in force here, and who said so."""

import typer

from aiops.layers.core.errors import InputError

from .app import App
from .cell import Cell
from .options import InventoryOption, JsonOption, QuietOption

app = typer.Typer(no_args_is_help=True, help="What is in force here, and who said so.")


@app.command()
def show(
    context: typer.Context, inventory: InventoryOption = None, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show home, database and inventory, and who said so. Passwords are not shown."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    try:
        file: str | None = str(aiops.locate(inventory))
    except InputError:
        file = None
    asked = "option" if inventory else _source(aiops, "AIOPS_INVENTORY")
    rows: list[tuple[str, Cell, str]] = [
        ("home", str(aiops.home), _source(aiops, "AIOPS_HOME")),
        ("database", _database(aiops), _source(aiops, "AIOPS_DB")),
        ("inventory", file, asked),
    ]
    if json:
        screen.document({name: {"value": value, "from": source} for name, value, source in rows})
        return
    screen.table(("setting", "value", "from"), rows)


@app.command()
def path(context: typer.Context) -> None:
    """Show where this machine keeps aiops' own state."""
    aiops: App = context.obj
    aiops.screen().line(str(aiops.home))


def _source(aiops: App, variable: str) -> str:
    return variable if aiops.environment.get(variable) else "default"


def _database(aiops: App) -> str:
    url = aiops.environment.get("AIOPS_DB")
    if not url:
        return str(aiops.home / "aiops.db")
    from aiops.layers.core.store import place_of

    return place_of(url)
