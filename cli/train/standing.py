"""How a run stands at the desk: which of its jobs go on, and whether what was to be handed in has been."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, NotFoundError

from .asked import Asked

if TYPE_CHECKING:
    from aiops.cli.counter import Counter
    from aiops.layers.l3_tuning.recipe import Recipe
    from aiops.layers.l3_tuning.run_jobs import Intent


def require_free(desk: "Counter", place: Path, asked: Asked) -> None:
    """Refuse to touch a run whose job goes on, whoever has handed that in, or may go on where we cannot ask.

    Raises:
        ConflictError: One does (`run.alive`); or another desk has taken the newest, and nobody has seen it end
            (`run.unsettled`).
    """
    from aiops.layers.l3_tuning import run_jobs

    newest = next(reversed(run_jobs.taken(place)), None)
    if newest is not None and not newest.over and newest.desk not in {None, desk.place}:
        raise ConflictError(
            f"whether {newest.job} of {place.name} goes on is not known: it was taken at {newest.desk}, and this is "
            f"{desk.place}",
            code="run.unsettled",
            hints=[
                f"go on where it was begun: `{asked.again}`",
                (
                    "if that store is gone for good, and no process of the run is left, write how the job has ended "
                    f'into {place / run_jobs.JOBS}: `"state": "failed"`; else two jobs may write the same checkpoints'
                ),
            ],
        )
    for one in _alive(desk, place):
        raise _goes_on(place, one, asked)
    if newest is not None and not newest.over and newest.desk == desk.place:
        with suppress(NotFoundError, FailedError):  # forgotten; or it cannot be written, and is asked for again
            run_jobs.ended(place, newest.job, newest.desk, desk.ask("standing", job=newest.job)["state"])


def taken(desk: "Counter", place: Path, asked: Asked, recipe: "Recipe") -> str | None:
    """The job of an intent that was never settled, where it was taken and goes on; the run's list of jobs is put right.

    Raises:
        ConflictError: Nobody here can say whether it was taken (`run.unsettled`); or it goes on, and was to be changed
            (`run.alive`).
    """
    from aiops.layers.l3_tuning import run_folder, run_jobs

    intent = run_jobs.intended(place)
    if intent is None:
        return None
    one = _handed_in(desk, place, asked, intent)
    if one is None:
        run_jobs.withdraw(place)
        return None
    run_jobs.record(place, one["job"], desk.place)
    if not _goes(one):
        return None
    if asked.allowed or recipe.digest != run_folder.read(place, asked.named)[1].digests["recipe"]:
        raise _goes_on(place, one, asked)
    return str(one["job"])


def _handed_in(desk: "Counter", place: Path, asked: Asked, intent: "Intent") -> dict[str, Any] | None:
    """The job that carries the word of an intent; None where there surely is none.

    Raises:
        ConflictError: Nobody here can say (`run.unsettled`).
    """
    from aiops.layers.l3_tuning import run_jobs

    why = f"that was to be at {intent.desk}, and this is {desk.place}"
    hints = [
        f"go on where it was begun: `{asked.again}`",
        f"if that store is gone for good, take `intended` out of {place / run_jobs.JOBS}; else two jobs may run",
    ]
    if intent.desk == desk.place:
        try:
            found = desk.ask("saving", below=str(place))
        except AiopsError as error:
            why, hints = f"the controller cannot say: {error.message}", [*error.hints, f"then again: `{asked.again}`"]
        else:
            for one in found:
                if one["text"] is not None and run_jobs.carries(one["text"], intent):
                    return dict(one)
            hidden = [one["job"] for one in found if one["text"] is None]
            if not hidden:
                return None
            why, hints = f"{hidden[0]} is another user's", [f"whoever owns {hidden[0]} can: `{asked.again}`"]
    raise ConflictError(
        f"whether the job of {place.name} that was being handed in at {intent.at} was taken is not known: {why}",
        code="run.unsettled",
        hints=hints,
    )


def _alive(desk: "Counter", place: Path) -> list[dict[str, Any]]:
    return [dict(one) for one in desk.ask("saving", below=str(place)) if _goes(one)]


def _goes(one: dict[str, Any]) -> bool:
    from aiops.cli.job.following import AT_REST

    return one["state"] not in AT_REST


def _goes_on(place: Path, one: dict[str, Any], asked: Asked) -> ConflictError:
    return ConflictError(
        f"{place.name} goes on already: {one['job']} is {one['state']}",
        code="run.alive",
        hints=[
            f"follow it: `aiops job logs -f {one['job']}`; once it has ended: `{asked.again}`",
            f"where no controller runs, somebody has to decide about it: `aiops job wait {one['job']}`",
            f"or end it first: `aiops job cancel {one['job']}`",
        ],
    )
