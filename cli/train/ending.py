"""What came of a run, once its job has ended."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.cli.app import App
from aiops.layers.core.errors import FailedError

from .asked import Asked

if TYPE_CHECKING:
    from aiops.cli.screen import Screen


def done_before(place: Path) -> dict[str, Any]:
    """The end of a job that somebody else has followed, or nobody, as a document."""
    from aiops.layers.l3_tuning import run_jobs

    jobs = run_jobs.jobs(place)
    return {
        "job": jobs[-1] if jobs else None,
        "state": "succeeded",
        "reason": None,
        "attempts": None,
        "resumed": True,
    }


def finish(aiops: App, screen: "Screen", place: Path, asked: Asked, *, succeeded: bool) -> dict[str, Any]:
    """What came of a run: its curve, its report, and the tuned model handed on; all of it as a document.

    Raises:
        FailedError: The tuned model did not pass its evaluation, or is not whole.
    """
    from aiops.layers.l3_tuning.artefact import hand_on
    from aiops.layers.l3_tuning.report import plot, read_curve, speed
    from aiops.layers.l3_tuning.reporting import write_report
    from aiops.layers.l3_tuning.sealing import sealed

    curve = read_curve(place / "metrics.jsonl")
    if not screen.json:
        for line in plot(curve):
            screen.note(f"  {line}")
        if curve:
            pace = speed(curve)
            fast = "" if pace is None else f", {pace:,.0f} tokens/s"
            screen.note(f"  loss {curve[0].loss:.4g} to {curve[-1].loss:.4g} in {curve[-1].step:,} steps{fast}")
    artefact = sealed(place, aiops.clock.now()) if succeeded else None
    report = write_report(place, curve, artefact)
    screen.note(f"  report: {aiops.nickname(str(report))}")
    came: dict[str, Any] = {"step": curve[-1].step if curve else None, "report": str(report)}
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
