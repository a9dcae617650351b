"""`aiops controller`: one module per verb."""

import typer

from . import restoring, running

app = typer.Typer(no_args_is_help=True, help="The controller: the one process that decides about jobs, on the head.")
app.command("run")(running.run)
app.command("status")(running.status)
app.command("backup")(restoring.backup)
app.command("restore")(restoring.restore)
