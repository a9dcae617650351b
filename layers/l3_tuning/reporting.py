"""Writes the report of a run: `report.html`, and what the trainer's `report.json` lacks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiops.layers.core.file import write_atomic

from .artefact import Artefact
from .report import Point, page, speed
from .run_folder import RECIPE

JSON = "report.json"
HTML = "report.html"


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
    """What the trainer has reported; where it reports nothing, what its metrics tell."""
    try:
        told = json.loads((place / JSON).read_text("utf-8"))
    except (OSError, ValueError):
        told = {}
    counted = {
        "v": 1,
        "run": place.name,
        "steps": curve[-1].step if curve else 0,
        "tokens": sum(one.tokens for one in curve),
        "seconds": round(sum(one.seconds for one in curve), 3),
        "tokens_per_second": speed(curve),
        "first_loss": curve[0].loss if curve else None,
        "last_loss": curve[-1].loss if curve else None,
    }
    return {**counted, **(told if isinstance(told, dict) else {})}
