"""`aiops checkpoint`: one module per verb."""

import typer

from . import listing, pruning, verifying

app = typer.Typer(no_args_is_help=True, help="Checkpoints: which are there, which are good, which may go.")
app.command("list")(listing.list_)
app.command("verify")(verifying.verify)
app.command("prune")(pruning.prune)
