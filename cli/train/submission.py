"""Handing in the job of a run: written down before, so that no kill between two writes starts it twice or loses it."""

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from aiops.cli.app import App
from aiops.layers.core.errors import AiopsError, InputError

from .asked import Asked
from .ready import Ready

if TYPE_CHECKING:
    from aiops.cli.counter import Counter


def hand_in(aiops: App, desk: "Counter", found: Ready, asked: Asked) -> dict[str, Any]:
    """Hand in the job of a run, whose lock is held: the job, and the number of the request.

    Raises:
        InputError: The desk has refused it, so it was surely not taken; a run that is new is taken away again.
        AiopsError: Whether it was taken is not known; the run is kept, and the hint says how to go on.
    """
    from aiops.layers.l3_tuning import run_folder, run_jobs

    at = aiops.clock.now().isoformat(timespec="seconds")
    intent = run_jobs.Intent(uuid4().hex, desk.place, at)
    try:
        run_jobs.intend(found.place, intent)
        wish = {
            "text": run_jobs.marked(found.text, intent),
            "file": str(found.place / run_folder.JOB),
            "folder": str(found.place),
            "overrides": {"resume": True} if found.resume else {},
        }
        try:
            taken: dict[str, Any] = desk.ask("submit", **wish)
        except InputError:
            run_jobs.withdraw(found.place)
            if not found.again:
                run_folder.unmake(found.place)
            raise
        run_jobs.record(found.place, taken["job"], desk.place)
    except InputError:
        raise
    except AiopsError as error:
        error.hints = (*error.hints, f"{found.place.name} is kept; go on with it: `{asked.again}`")
        raise
    except KeyboardInterrupt as cut:
        cut.add_note(f"{found.place.name} is kept, and its job perhaps taken; go on with it: `{asked.again}`")
        raise
    return taken
