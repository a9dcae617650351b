"""`aiops data`: one module per verb."""

import typer

from . import checking, preparing, showing

app = typer.Typer(no_args_is_help=True, help="Data for tuning: checked, prepared once, shown with where it came from.")
app.command("check")(checking.check)
app.command("prepare")(preparing.prepare)
app.command("show")(showing.show)
