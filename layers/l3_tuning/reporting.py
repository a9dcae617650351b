"""Writes the report of a run: `report.html`, and what the trainer's `report.json` lacks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiops.layers.core.file import write_atomic

from .artefact import Artefact
from .report import Point, page, speed, whole
from .run_folder import HTML, JSON, RECIPE


def write_report(place: Path, curve: Sequence[Point], artefact: Artefact | None) -> Path:
    """Write both; the path of the page.

    Args:
        place: The folder of the run.
        curve: Its steps.
        artefact: What came of it; None for nothing.
    """
    found = figures(place, curve)
    write_atomic(place / JSON, (json.dumps(found, indent=1) + "\n").encode(), 0o644)
    lineage = {} if artefact is None else artefact.lineage
    recipe = (place / RECIPE).read_text("utf-8") if (place / RECIPE).exists() else ""
    write_atomic(place / HTML, page(place.name, recipe, curve, found, lineage).encode(), 0o644)
    return place / HTML


def figures(place: Path, curve: Sequence[Point]) -> dict[str, Any]:
    """What the metrics tell, and beside it what the trainer has reported.

    Where both tell the same the metrics count: they are of all steps that stand, while a report may be of an attempt
    before. `told` of `steps` were told (`train.log_every`); where that is fewer, tokens and seconds are reckoned.
    """
    try:
        reported = json.loads((place / JSON).read_text("utf-8"))
    except (OSError, ValueError):
        reported = {}
    counted: dict[str, Any] = {"v": 1, "run": place.name}
    if curve:
        tokens, seconds = whole(curve, lambda one: one.tokens), whole(curve, lambda one: one.seconds)
        counted |= {
            "steps": curve[-1].step,
            "told": len(curve),
            "tokens": None if tokens is None else round(tokens),
            "seconds": None if seconds is None else round(seconds, 3),
            "tokens_per_second": speed(curve),
            "first_loss": curve[0].loss,
            "last_loss": curve[-1].loss,
        }
    return {**(reported if isinstance(reported, dict) else {}), **counted}
