"""`aiops job`: one module per verb, or two that belong together."""

import typer

from . import asking, diagnose, listing, logs, showing

app = typer.Typer(no_args_is_help=True, help="Jobs: which run, what they write, how they ended, and why.")
app.command("list")(listing.list_)
app.command("show")(showing.show)
app.command("logs")(logs.logs)
app.command("attempts")(showing.attempts)
app.command("explain")(showing.explain)
app.command("wait")(asking.wait)
app.command("cancel")(asking.cancel)
app.command("diagnose")(diagnose.diagnose)
