"""`aiops cluster`: one module per verb."""

import typer

app = typer.Typer(no_args_is_help=True, help="Deploy and keep the cluster.")


@app.callback()
def _group() -> None:
    """Placeholder until the first verb is built."""
