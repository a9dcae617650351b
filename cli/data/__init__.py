"""`aiops data`: one module per verb."""

import typer

from . import checking

app = typer.Typer(no_args_is_help=True, help="Data to learn from: what is wrong with it, and what becomes of it.")
app.command("check")(checking.check)
