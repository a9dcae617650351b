"""`aiops checkpoint list`: what is there, by headers and lengths alone."""

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.cli.options import InventoryOption, JsonOption, QuietOption

from .place import FormatOption, NodeOption, WhereArgument, found, named_job, place
from .table import nothing, show


def list_(
    context: typer.Context,
    where: WhereArgument,
    *,
    on: NodeOption = None,
    format_: FormatOption = "auto",
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """List checkpoints, the newest first; only headers and lengths are read, so `verify` may find more."""
    from aiops.layers.l2_jobs.checkpoint.checkpoint import Level
    from aiops.layers.l2_jobs.checkpoint.reader import Reader

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory) if named_job(where) else None
    if passed is not None:
        return passed
    with place(aiops, found(aiops, where, format_, on), inventory) as there:
        reader = Reader(there.surveyor, there.formats, checksums=False)
        checkpoints = reader.all(there.where.path, Level.STRUCTURE)
    if not checkpoints:
        raise nothing(there.where.path)
    show(screen, there.where.path, checkpoints)
    return Exit.DONE
