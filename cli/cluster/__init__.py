"""`aiops cluster`: one module per verb."""

import typer

from . import bundle

app = typer.Typer(no_args_is_help=True, help="Deploy and keep the cluster.")
app.add_typer(bundle.app, name="bundle")


@app.callback()
def _group() -> None:
    """Placeholder until the first verb is built."""
