"""`aiops plugin`: what is plugged in. Listing imports none of them."""

from typing import Annotated

import typer

from aiops.layers.core.errors import NotFoundError

from .app import App
from .options import JsonOption, QuietOption

app = typer.Typer(no_args_is_help=True, help="What is plugged in, the shipped plugins among it.")


@app.command("list")
def list_(context: typer.Context, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List all plugins; none of them is imported."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    names = aiops.plugins.names()
    if json:
        screen.document([{"kind": one.kind, "name": one.name, "from": one.distribution} for one in names])
        return
    screen.table(("kind", "name", "from"), [(one.kind, one.name, one.distribution) for one in names])


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="KIND.NAME", help="E.g. `accelerator.nvidia`.")],
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show where a plugin comes from and whether it can be imported."""
    from difflib import get_close_matches

    from aiops.layers.core.plugin import PluginError

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    known = {f"{one.kind}.{one.name}": one for one in aiops.plugins.names()}
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise NotFoundError(
            f"there is no plugin `{name}`",
            code="plugin.unknown",
            hints=[f"did you mean `{near[0]}`?" if near else "`aiops plugin list` shows all"],
        )
    one = known[name]
    trouble = None
    try:
        aiops.plugins.check(name)
    except PluginError as error:
        trouble = error
    if json:
        screen.document(
            {
                "kind": one.kind,
                "name": one.name,
                "from": one.distribution,
                "target": one.target,
                "error": trouble.message if trouble else None,
            }
        )
    else:
        state = "can be imported" if trouble is None else "broken"
        rows = [
            ("kind", one.kind),
            ("name", one.name),
            ("from", one.distribution),
            ("target", one.target),
            ("state", state),
        ]
        screen.table(("what", "value"), rows)
    if trouble is not None:
        raise trouble
