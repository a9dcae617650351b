"""`aiops node`."""

import typer

app = typer.Typer(no_args_is_help=True, help="node")


@app.callback()
def _group() -> None:
    """Placeholder until the first verb is built."""
