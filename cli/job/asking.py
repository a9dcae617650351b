"""`aiops job cancel|wait`: a wish, and its end."""

from typing import Annotated

import typer

from aiops.cli.app import App
from aiops.cli.controller.embedding import deciding
from aiops.cli.counter import counter
from aiops.cli.exit import Exit, worst
from aiops.cli.head import on_head
from aiops.cli.options import InventoryOption, JsonOption, QuietOption
from aiops.layers.core.errors import PendingError

from .following import AT_REST, exit_of_job, standings
from .options import JobArgument

CANCEL_SECONDS = 5.0
"""So long is waited for the controller to take a cancel up: it does within a second."""


def cancel(
    context: typer.Context,
    job: JobArgument,
    *,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """End a job for good: it is asked to save and leave, then ended. Its owner and admins may do this."""
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory)
    if passed is not None:
        return passed
    with counter(aiops) as desk:
        asked = desk.ask("cancel", job=job)
        found = desk.ask("standing", job=asked["job"])
        if desk.decided:
            for found in standings(desk, aiops.clock, asked["job"], request=asked["request"], seconds=CANCEL_SECONDS):
                if found["heard"]:
                    break
        decided = desk.decided
    if json:
        screen.document({"job": asked["job"], "state": found["state"], "heard": found["heard"] and decided})
        return Exit.DONE
    if not decided:
        screen.note(f"{asked['job']} is ended once a controller runs: nobody decides now")
        screen.hint("start one: `aiops controller run`")
    else:
        screen.note(f"{asked['job']} is {found['state']}")
        if found["state"] not in AT_REST:
            screen.hint(f"wait for its end: `aiops job wait {asked['job']}`")
    return Exit.DONE


def wait(
    context: typer.Context,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", help="Jobs by id, or by name for the newest.")],
    *,
    timeout: Annotated[float | None, typer.Option("--timeout", metavar="S", min=0, help="At most S seconds.")] = None,
    inventory: InventoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> int:
    """Wait until jobs have ended, or wait for a person; 1 when one did not succeed, 8 when one goes on after S.

    Where no controller runs, this is one meanwhile.
    """
    aiops: App = context.obj
    screen = aiops.screen(json=json, quiet=quiet)
    passed = on_head(aiops, inventory)
    if passed is not None:
        return passed
    ends = None if timeout is None else aiops.clock.monotonic() + timeout
    last = []
    with deciding(aiops, screen, inventory) as desk:
        for job in [desk.ask("standing", job=job)["id"] for job in jobs]:  # one that is unknown is told at once
            left = None if ends is None else max(0.0, ends - aiops.clock.monotonic())
            *_, found = standings(desk, aiops.clock, job, seconds=left)
            last.append(found)
    going = [one["id"] for one in last if one["state"] not in AT_REST]
    if json and not going:
        screen.document([{"job": one["id"], "state": one["state"], "reason": one["reason"] or None} for one in last])
    for one in last:
        if one["state"] in AT_REST:
            screen.note(f"{one['id']} {one['state']}" + (f": {one['reason']}" if one["reason"] else ""))
    if going:
        raise PendingError(
            f"{', '.join(going)} {'goes' if len(going) == 1 else 'go'} on after {timeout or 0:g} s",
            code="job.pending",
            hints=[f"see where it is: `aiops job show {going[0]}`"],
        )
    return worst(exit_of_job(one["state"]) for one in last)
