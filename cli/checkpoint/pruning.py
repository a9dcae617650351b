"""`aiops checkpoint prune`: old good ones go, at least two stay."""

from typing import TYPE_CHECKING, Annotated

import typer

from aiops.cli.app import App
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.cli.options import DryRunOption, InventoryOption, JsonOption, QuietOption, YesOption

from .place import FormatOption, NodeOption, WhereArgument, found, named_job, place
from .table import document, nothing, spelled

if TYPE_CHECKING:
    from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint

KeepOption = Annotated[
    int, typer.Option("--keep", metavar="N", help="So many of the newest good ones stay; at least 2.")
]


def prune(
    context: typer.Context,
    where: WhereArgument,
    *,
    keep: KeepOption = 2,
    on: NodeOption = None,
    format_: FormatOption = "auto",
    inventory: InventoryOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Delete good checkpoints that are older than the newest good ones; what is not good stays untouched.

    All are verified first, with their hashes.
    """
    from aiops.layers.l2_jobs.checkpoint.keeper import prune as delete
    from aiops.layers.l2_jobs.checkpoint.pruning import pruning
    from aiops.layers.l2_jobs.checkpoint.reader import Reader

    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory) if named_job(where) else None
    if passed is not None:
        return passed
    pruning((), keep)
    with place(aiops, found(aiops, where, format_, on), inventory) as there:
        with screen.step("verify"):
            seen = list(Reader(there.surveyor, there.formats).each(there.where.path))
        if not seen:
            raise nothing(there.where.path)
        plan = pruning((one.checkpoint for one in seen), keep)
        size = sum(one.size for one in plan.removed)
        if not screen.json:
            rows = [("stays", one) for one in plan.kept] + [("goes", one) for one in plan.removed]
            rows += [("not judged", one) for one in plan.left]
            screen.table(
                ("what", "step", "state", "size", "path"),
                [
                    (what, one.step, one.state, spelled(one.size) if screen.terminal else one.size, one.path)
                    for what, one in rows
                ],
            )
        gone: tuple[Checkpoint, ...] = ()
        if dry_run or not plan.removed:
            screen.note("nothing was changed" if plan.removed else "nothing is to be deleted")
        elif screen.confirm(f"Delete {len(plan.removed)} ({spelled(size)})?", yes=yes):
            wanted = {one.path for one in plan.removed}
            gone = delete(there.surveyor, [one for one in seen if one.checkpoint.path in wanted])
            screen.note(f"{len(gone)} deleted, {spelled(sum(one.size for one in gone))} are free")
        else:
            screen.note("nothing was changed")
            return Exit.FAILED
    if screen.json:
        screen.document(
            {
                "path": there.where.path,
                "kept": [document(one) for one in plan.kept],
                "removed" if gone else "would_remove": [document(one) for one in gone or plan.removed],
                "left": [document(one) for one in plan.left],
            }
        )
    return Exit.DONE
