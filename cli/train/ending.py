"""What came of a run, once its job has ended."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.layers.core.errors import ConflictError, FailedError

from .asked import Asked

if TYPE_CHECKING:
    from aiops.cli.screen import Screen
    from aiops.layers.l3_tuning.report import Point
    from aiops.layers.l3_tuning.run_jobs import Taken


def newest_ended(place: Path) -> "Taken | None":
    """The newest job of a run that needs none any more, taken for one that has succeeded; None where none is known."""
    from aiops.layers.l3_tuning import run_jobs

    newest = next(reversed(run_jobs.taken(place)), None)
    return None if newest is None else replace(newest, state="succeeded")


def done_before(newest: "Taken | None") -> dict[str, Any]:
    """The end of a job that somebody else has followed, or nobody, as a document."""
    return {
        "job": None if newest is None else newest.job,
        "state": "succeeded",
        "reason": None,
        "attempts": None,
        "resumed": True,
    }


def finish(aiops: App, screen: "Screen", place: Path, asked: Asked, ended: "Taken | None") -> dict[str, Any]:
    """What came of a run: its curve, its report, and the tuned model handed on; all of it as a document.

    The run is locked meanwhile: whoever else would hand it on, or have it go on, comes before or behind.

    Args:
        aiops: The outside world.
        screen: Where it is shown.
        place: The folder of the run.
        asked: Its recipe.
        ended: Its newest job with its state; None where no job is known of what is there.

    Raises:
        ConflictError: Another does something to the run (`run.locked`), or has had it go on since (`run.moved`).
        FailedError: The tuned model did not pass its evaluation, or is not whole.
    """
    from aiops.layers.l3_tuning.report import plot, read_curve, speed
    from aiops.layers.l3_tuning.run import METRICS
    from aiops.layers.l3_tuning.run_lock import held

    curve = read_curve(place / METRICS)
    if not screen.json:
        for line in plot(curve):
            screen.note(f"  {line}")
        if curve:
            pace = speed(curve)
            fast = "" if pace is None else f", {pace:,.0f} tokens/s"
            screen.note(f"  loss {curve[0].loss:.4g} to {curve[-1].loss:.4g} in {curve[-1].step:,} steps{fast}")
    with ExitStack() as locks:
        try:
            locks.enter_context(held(place, "handed on"))
            _require_newest(place, ended)
        except ConflictError as error:
            if ended is None or ended.state == "succeeded":
                raise
            # It has failed, which is what whoever waits is to hear; the report is of whoever has it go on.
            screen.note(f"  no report is written: {error.message}")
            step = curve[-1].step if curve else None
            return {"step": step, "report": None, "artefact": None, "handed_on": []}
        return _finished(aiops, screen, place, asked, ended, curve)


def _require_newest(place: Path, ended: "Taken | None") -> None:
    """Refuse to hand on what another job writes by now.

    Raises:
        ConflictError: The run has gone on since (`run.moved`).
    """
    from aiops.layers.l3_tuning import run_jobs

    newest, intent = next(reversed(run_jobs.taken(place)), None), run_jobs.intended(place)
    if newest is None or ended is None:
        same = newest is ended
    else:  # runs of before do not say whose desk it was
        same = newest.job == ended.job and (newest.desk == ended.desk or newest.desk is None)
    if intent is None and same:
        return
    what = f"a job that was being handed in at {intent.at}" if intent else f"job {newest.job if newest else 'unknown'}"
    raise ConflictError(
        f"{place.name} has gone on since, as {what}: what comes of it is handed on by whoever follows that",
        code="run.moved",
        hints=["see its jobs: `aiops job list`", f"and what came of it: `aiops recipe show {place}`"],
    )


def _finished(  # noqa: PLR0917 - what `finish` has, and the curve
    aiops: App, screen: "Screen", place: Path, asked: Asked, ended: "Taken | None", curve: "Sequence[Point]"
) -> dict[str, Any]:
    from aiops.layers.l3_tuning import run_jobs
    from aiops.layers.l3_tuning.artefact import hand_on
    from aiops.layers.l3_tuning.reporting import write_report
    from aiops.layers.l3_tuning.sealing import sealed

    if ended is not None and ended.desk is not None and ended.state is not None:
        with suppress(FailedError):  # the disk is full: then nobody else can see that it has ended
            run_jobs.ended(place, ended.job, ended.desk, ended.state)
    succeeded = ended is None or ended.state == "succeeded"
    artefact = sealed(place, aiops.clock.now()) if succeeded else None
    came: dict[str, Any] = {"step": curve[-1].step if curve else None, "report": None}
    try:
        came["report"] = str(write_report(place, curve, artefact))
        screen.note(f"  report: {aiops.nickname(came['report'])}")
    except OSError as error:  # what was tuned is there all the same
        screen.note(f"  no report is written: {error.strerror}")
    if not succeeded:
        return {**came, "artefact": None, "handed_on": []}
    if artefact is None:
        raise FailedError(
            f"{place.name} has ended without a tuned model: there is no {place}/artefact/lineage.json",
            code="artefact.missing",
            hints=[f"see what it has said: `aiops recipe show {place}`", f"have it go on: `{asked.again}`"],
        )
    told = hand_on(artefact, aiops.plugins)
    screen.note(f"  evaluation: {artefact.verdict}")
    screen.note(f"  tuned model: {artefact.folder}")
    for words in told:
        screen.note(f"  {words}")
    found = {"folder": str(artefact.folder), "passed": artefact.passed}
    return {**came, "artefact": found, "handed_on": list(told)}
