"""`aiops job list`: which jobs there are, and where each stands."""

from enum import StrEnum
from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.counter import counter
from aiops.cli.exit import Exit
from aiops.cli.head import on_head
from aiops.cli.options import InventoryOption, JsonOption, QuietOption

from .options import moment, nodes_of, progress_of


class StateName(StrEnum):
    """What `--state` takes."""

    queued = "queued"
    starting = "starting"
    running = "running"
    stopping = "stopping"
    waiting = "waiting"
    held = "held"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"


WATCH_SECONDS = 2.0


def _nothing(state: StateName | None, *, every: bool, mine: bool) -> str:
    """That no job is as it was asked for."""
    what = "no job of yours" if mine else "no job"
    if state is not None:
        return f"{what} is {state.value}"
    return what if every else f"{what} goes on; `aiops job list --all` shows those that have ended"


def list_(
    context: typer.Context,
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only my own.")] = False,
    state: Annotated[StateName | None, typer.Option("--state", help="Only those in this state.")] = None,
    last: Annotated[int, typer.Option("-n", "--last", metavar="N", min=1, help="At most N.")] = 50,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """List jobs, the newest first; those that have ended only with `--all`."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory)
    if passed is not None:
        return passed
    with counter(aiops) as desk:
        while True:
            rows = desk.ask("list", last=last, every=every, mine=mine, state=None if state is None else state.value)
            if json:
                (screen.record if watch else screen.document)(rows)
            elif rows:
                screen.table(
                    ("job", "state", "user", "nodes", "progress", "verified", "since", "reason"),
                    [
                        (
                            row["id"],
                            row["state"],
                            row["user"],
                            nodes_of(row["nodes"]),
                            progress_of(row["progress"]),
                            None if row["step"] is None else f"step {row['step']:,}",
                            moment(row["since"]),
                            row["reason"] or None,
                        )
                        for row in rows
                    ],
                )
            else:
                screen.note(_nothing(state, every=every, mine=mine))
            if not watch:
                return Exit.DONE
            aiops.clock.sleep(WATCH_SECONDS)
            if not json:
                screen.line("")
