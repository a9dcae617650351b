"""`aiops recipe`: one module per verb."""

import typer

from . import init, planning, shelf, showing

app = typer.Typer(no_args_is_help=True, help="Recipes: what is tuned, on which data, how; whether it fits.")
app.command("list")(shelf.list_)
app.command("show")(showing.show)
app.command("plan")(planning.plan)
app.command("init")(init.init)
