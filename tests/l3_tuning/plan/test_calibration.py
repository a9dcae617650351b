"""Estimates beside peaks that were measured, by others and here: a formula that leaves them behind is seen."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import recipe_memory
from benchmarks.recipe_points import PUBLISHED, TRIALS, Point

from aiops.layers.l3_tuning.plan.calibration import DEVICES, PROCESSORS

RESULTS = Path(recipe_memory.__file__).with_name("results") / "recipe_memory.json"


def kept() -> list[Point]:
    """The trainings as they were measured at the last run of the benchmark."""
    details = json.loads(RESULTS.read_text(encoding="utf-8"))["details"]
    peaks = {one["name"]: one["measured"] for one in details if one.get("set") == "processors"}
    return [replace(one, measured=peaks[one.name]) for one in TRIALS if one.name in peaks]


@pytest.mark.parametrize("fitted", [True, False])
def test_published_peaks_are_met(fitted: bool) -> None:
    fit, _ = recipe_memory.halves(PUBLISHED)
    found = [one for one in recipe_memory.compared(PUBLISHED, DEVICES, fit) if one.fitted == fitted]
    assert len(found) == len(PUBLISHED) // 2
    assert max(abs(one.error) for one in found) < 0.2
    assert all(one.inside for one in found)


@pytest.mark.parametrize("fitted", [True, False])
def test_peaks_that_were_measured_here_are_met(fitted: bool) -> None:
    points = kept()
    fit, _ = recipe_memory.halves(TRIALS)
    found = [one for one in recipe_memory.compared(points, PROCESSORS, fit) if one.fitted == fitted]
    assert len(points) >= 12
    assert max(abs(one.error) for one in found) < 0.15
    assert all(one.inside for one in found)


def test_nothing_fits_where_the_peak_exceeds_the_limit() -> None:
    assert recipe_memory.false_fits(PUBLISHED, DEVICES) == 0
    assert recipe_memory.false_fits(kept(), PROCESSORS) == 0


def test_constants_are_those_of_one_half_alone() -> None:
    sets = (("published", PUBLISHED, PUBLISHED, DEVICES), ("processors", TRIALS, kept(), PROCESSORS))
    for name, every, points, calibration in sets:
        fit, held = recipe_memory.halves(every)
        assert len(fit) <= len(held)
        assert not fit & held
        chosen = [one for one in points if one.name in fit]
        assert recipe_memory.fitted(chosen, calibration, recipe_memory.GRIDS[name]).likely == calibration.likely
