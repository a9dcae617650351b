"""The end of a run: its curve from `metrics.jsonl`, as a page and as lines of a terminal. Pure but for the reading."""

import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

_WIDTH, _HEIGHT, _EDGE = 720, 240, 44
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Braille dots of a character by row and column (Unicode block 2800)."""

_HIDDEN = ("answers", "curve")


@dataclass(frozen=True, slots=True)
class Point:
    """A step that was told.

    Attributes:
        tokens: That were read in it alone; `seconds` what it took. 0 where it was not told.
        steps: That it stands for: since the one that was told before, with `train.log_every` more than one.
    """

    step: int
    loss: float
    tokens: int = 0
    seconds: float = 0.0
    steps: int = 1


def read_curve(path: Path) -> tuple[Point, ...]:
    """The steps of a run in order; what an attempt had told behind the step that the next went back to is left out."""
    found: list[Point] = []
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    for line in lines:
        try:
            one = json.loads(line)
            step, loss = int(one["step"]), float(one["loss"])
            point = Point(step, loss, int(one.get("tokens") or 0), float(one.get("seconds") or 0.0))
        except (ValueError, KeyError, TypeError):
            continue  # cut off with whoever wrote it
        if math.isfinite(loss):
            while found and found[-1].step >= step:
                found.pop()
            found.append(replace(point, steps=max(step - (found[-1].step if found else 0), 1)))
    return tuple(found)


def speed(curve: Sequence[Point]) -> float | None:
    """Tokens a second over all steps that tell both; None where none does."""
    known = [one for one in curve if one.tokens and one.seconds > 0]
    seconds = sum(one.seconds * one.steps for one in known)
    return sum(one.tokens * one.steps for one in known) / seconds if known else None


def whole(curve: Sequence[Point], told: Callable[[Point], float]) -> float | None:
    """What all steps come to: steps that were not told count as those that stand for them. None where none was told.

    Args:
        curve: In order of steps.
        told: What one step has told; 0 for nothing.
    """
    known = [one for one in curve if told(one)]
    if not known:
        return None
    return sum(told(one) * one.steps for one in known) / sum(one.steps for one in known) * curve[-1].step


def plot(curve: Sequence[Point], width: int = 60, height: int = 8) -> list[str]:
    """The curve in lines of braille characters, with the highest and lowest loss beside; empty below two points.

    Args:
        curve: In order of steps.
        width: Characters of the curve.
        height: Lines.
    """
    if len(curve) < 2:  # noqa: PLR2004 - two points make a line
        return []
    columns, rows = width * 2, height * 4
    values = _columns(curve, columns)
    low, high = min(values), max(values)
    span = high - low or 1.0
    cells = [[0] * width for _ in range(height)]
    before: int | None = None
    for column, value in enumerate(values):
        row = round((high - value) / span * (rows - 1))
        first = row if before is None else before
        for each in range(min(first, row), max(first, row) + 1):
            cells[each // 4][column // 2] |= _DOTS[each % 4][column % 2]
        before = row
    lines = ["".join(chr(0x2800 + cell) for cell in line) for line in cells]
    labels = {0: f"{high:.3g}", height - 1: f"{low:.3g}"}
    wide = max(len(one) for one in labels.values())
    drawn = [f"{labels.get(number, ''):>{wide}} ┤{line}" for number, line in enumerate(lines)]
    first_step, last_step = str(curve[0].step), str(curve[-1].step)
    return [*drawn, f"{'':>{wide}}  {first_step}{last_step:>{width - len(first_step)}}"]


def _columns(curve: Sequence[Point], columns: int) -> list[float]:
    """The mean loss of each column; one without a step lies on the line between those beside it."""
    first, last = curve[0].step, curve[-1].step
    sums: dict[int, list[float]] = {}
    for one in curve:
        sums.setdefault(round((one.step - first) / max(last - first, 1) * (columns - 1)), []).append(one.loss)
    known = {column: sum(values) / len(values) for column, values in sums.items()}
    places = sorted(known)
    found: list[float] = []
    for left, right in pairwise(places):
        step = (known[right] - known[left]) / (right - left)
        found += [known[left] + step * along for along in range(right - left)]
    return [*found, known[places[-1]]]


def page(run: str, recipe: str, curve: Sequence[Point], report: Mapping[str, Any], lineage: Mapping[str, Any]) -> str:
    """report.html: one page with nothing loaded from elsewhere.

    Args:
        run: Its name.
        recipe: recipe.yml, resolved.
        curve: Its steps.
        report: Figures, as report.json has them.
        lineage: Of what came of it; empty for nothing.
    """
    figures = {**_flat(report), **{f"lineage: {key}": one for key, one in _flat(lineage).items()}}
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(str(one))}</td></tr>\n" for key, one in figures.items()
    )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(run)}</title>\n'
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:780px;margin:2em auto;padding:0 1em;color:#222}"
        "th{text-align:left;font-weight:500;padding-right:2em;vertical-align:top}td{font-variant-numeric:tabular-nums;"
        "word-break:break-all}pre{background:#f6f6f4;padding:1em;overflow:auto}</style>\n"
        f"<h1>{html.escape(run)}</h1>\n<h2>Loss</h2>\n{_svg(curve)}\n<h2>Figures</h2>\n<table>\n{rows}</table>\n"
        f"<h2>Recipe</h2>\n<pre>{html.escape(recipe)}</pre>\n</html>\n"
    )


def _flat(found: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, one in found.items():
        if key in _HIDDEN or one is None:
            continue
        if isinstance(one, Mapping):
            flat |= _flat(one, f"{above}{key}.")
        elif not isinstance(one, list) or not one or not isinstance(one[0], Mapping):
            flat[f"{above}{key}"] = ", ".join(map(str, one)) if isinstance(one, list) else one
    return flat


def _svg(curve: Sequence[Point]) -> str:
    if len(curve) < 2:  # noqa: PLR2004 - two points make a line
        return "<p>Fewer than two steps told a loss.</p>"
    values = [one.loss for one in curve]
    low, high, first, last = min(values), max(values), curve[0].step, curve[-1].step
    span, length = high - low or 1.0, max(last - first, 1)

    def place(one: Point) -> str:
        x = _EDGE + (one.step - first) / length * (_WIDTH - 2 * _EDGE)
        y = 10 + (high - one.loss) / span * (_HEIGHT - 40)
        return f"{x:.1f},{y:.1f}"

    points = " ".join(place(one) for one in curve)
    base = _HEIGHT - 30
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="loss by step" font-size="11" fill="#555">\n'
        f'<path d="M{_EDGE} 10V{base}H{_WIDTH - _EDGE}" fill="none" stroke="#bbb"/>\n'
        f'<polyline points="{points}" fill="none" stroke="#0b6bcb" stroke-width="1.5"/>\n'
        f'<text x="{_EDGE - 6}" y="16" text-anchor="end">{high:.3g}</text>\n'
        f'<text x="{_EDGE - 6}" y="{base}" text-anchor="end">{low:.3g}</text>\n'
        f'<text x="{_EDGE}" y="{base + 16}">{first}</text>\n'
        f'<text x="{_WIDTH - _EDGE}" y="{base + 16}" text-anchor="end">{last}</text>\n</svg>'
    )
