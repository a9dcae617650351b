"""`aiops recipe`: one module per verb."""

import typer

from . import planning

app = typer.Typer(no_args_is_help=True, help="Recipes: what is tuned, on which data, how; whether it fits.")


@app.callback()
def _recipe() -> None:
    """A group, also while it has one verb."""


app.command("plan")(planning.plan)
