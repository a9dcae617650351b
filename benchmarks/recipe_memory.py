"""How near `aiops recipe plan` comes to what a training takes: on processors as measured here, on GPUs as published.

    python -m benchmarks.recipe_memory                      both; trains for some minutes on one core
    python -m benchmarks.recipe_memory --published          only what others have measured; no torch
    python -m benchmarks.recipe_memory --points FILE        goes on with the peaks that a cut-off run has written there
    python -m benchmarks.recipe_memory --points FILE --known   trains nothing more: those count that are there

Points are split by a seed before anything is fitted; constants are fitted on one half alone, and must be those of
layers/l3_tuning/plan/calibration.py. Each training is a process of its own; its peak is the high-water mark of what the
kernel holds for it, less what it held before there was a model. malloc gives back what is freed (MALLOC_* below).
"""

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from aiops.cli.app import App
from aiops.layers.l3_tuning.plan.architecture import model_of
from aiops.layers.l3_tuning.plan.calibration import DEVICES, GIB, MIB, PROCESSORS, Calibration, Guess
from aiops.layers.l3_tuning.plan.memory import Estimate, estimate
from aiops.layers.l3_tuning.plan.verdict import judge
from aiops.layers.l3_tuning.plan.work import Work

from .measurement import BrokenError, Figure, report
from .recipe_points import PUBLISHED, TRIALS, Point
from .tuning_environment import made_environment

SEED = 20261129
"""Of the split. Chosen before the first fit, and never again."""

_TRIAL = Path(__file__).with_name("memory_trial.py")
_MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_SPARE = [round(0.01 * number, 2) for number in range(7)]
_FACTORS = [round(0.5 + 0.05 * number, 2) for number in range(21)]
GRIDS: dict[str, dict[str, list[float]]] = {
    "published": {"parts": _FACTORS, "spare": _SPARE},
    "processors": {"logits": _FACTORS, "spare": _SPARE},
}
"""What is fitted, and among which values, by set. Activations are counted tensor by tensor, and not fitted: the fitted
half of the published points has next to none. All its losses are made in parts, those on processors at once."""


@dataclass(frozen=True)
class Compared:
    """One point beside its estimate, in GiB, the runtime's own left out of both.

    Attributes:
        fitted: Whether it is of the half that constants were fitted on.
    """

    name: str
    measured: float
    low: float
    likely: float
    high: float
    fitted: bool
    doubt: str = ""
    other: float | None = None

    @property
    def error(self) -> float:
        """Of the estimate, as a part of what was measured."""
        return self.likely / self.measured - 1

    @property
    def inside(self) -> bool:
        """Whether the bounds hold."""
        return self.low <= self.measured <= self.high


def halves(points: Sequence[Point]) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the points to fit on, at most half, and of those held out."""
    names = [one.name for one in points]
    fit = frozenset(random.Random(SEED).sample(names, len(names) // 2))  # noqa: S311 - it must be the same each time
    return fit, frozenset(names) - fit


def estimated(point: Point, calibration: Calibration, work: Work | None = None) -> Estimate:
    """The estimate of a point."""
    return estimate(model_of(point.config), work or point.work, calibration)


def with_constants(guess: Guess, values: Mapping[str, float]) -> Guess:
    """A reading with other constants, those that are parts of formulas."""
    known = {"parts": guess.parts, "logits": guess.logits, "spare": guess.spare, **values}
    return replace(guess, parts=known["parts"], logits=known["logits"], spare=known["spare"])


def fitted(points: Sequence[Point], calibration: Calibration, grid: Mapping[str, list[float]]) -> Calibration:
    """The likely reading whose relative errors are least in the sum of their squares."""

    def loss(values: tuple[float, ...]) -> float:
        guess = with_constants(calibration.likely, dict(zip(grid, values, strict=True)))
        with_it = replace(calibration, likely=guess)
        found = ((_past(estimated(one, with_it)), one.measured or 1.0) for one in points)
        return sum((value / measured - 1) ** 2 for value, measured in found)

    best = min(itertools.product(*grid.values()), key=loss)
    return replace(calibration, likely=with_constants(calibration.likely, dict(zip(grid, best, strict=True))))


def _past(found: Estimate) -> float:
    return (found.total.likely - found.runtime.likely) / GIB


def compared(points: Sequence[Point], calibration: Calibration, fit: frozenset[str]) -> list[Compared]:
    """All points beside their estimates."""
    made = []
    for one in points:
        found = estimated(one, calibration)
        other = None if one.other is None else _past(estimated(one, calibration, one.other))
        low, high = found.total.low - found.runtime.low, found.total.high - found.runtime.high
        measured = one.measured or 0.0
        made.append(
            Compared(one.name, measured, low / GIB, _past(found), high / GIB, one.name in fit, one.doubt, other)
        )
    return made


def false_fits(points: Sequence[Point], calibration: Calibration) -> int:
    """How often the verdict is `fits` where the limit is a little less than the peak that was measured."""
    count = 0
    for one in points:
        found = estimated(one, calibration)
        limit = int((one.measured or 0.0) * GIB * 0.999) + found.runtime.high
        count += judge(found, limit) == "fits"
    return count


def known_peaks(kept: Path | None) -> dict[str, float]:
    """Peaks that an earlier run has written, by name of point, in GiB."""
    if kept is None or not kept.exists():
        return {}
    found: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def measured(points: Sequence[Point], python: Path, kept: Path | None) -> tuple[list[Point], list[float]]:
    """Train each, one after the other, but those that were trained before; and MiB that each held before its model.

    Args:
        points: What to train.
        python: Of an environment for it.
        kept: Where peaks are kept, by name of point, in GiB.

    Raises:
        BrokenError: One of them failed, or is not the model that it was taken for.
    """
    runtimes: list[float] = []
    known = known_peaks(kept)
    for one in points:
        if one.name in known:
            continue
        said = json.dumps({"model": dict(one.config), "work": asdict(one.work)})
        done = subprocess.run(
            [str(python), str(_TRIAL), said],
            env={**os.environ, **_MALLOC, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=900,
        )
        if done.returncode:
            raise BrokenError(f"{one.name}: {done.stderr[-1500:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        model = model_of(one.config)
        if told["parameters"] != model.total:
            raise BrokenError(f"{one.name} has {told['parameters']:,} parameters, and {model.total:,} were counted")
        if told["trained"] != estimated(one, PROCESSORS).trained:
            raise BrokenError(f"{one.name} trains {told['trained']:,} parameters, not as many as were counted")
        print(f"{one.name:<38} {told['peak'] / GIB:7.3f} GiB", file=sys.stderr, flush=True)
        known[one.name] = round(told["peak"] / GIB, 4)
        if kept is not None:
            kept.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        runtimes.append(told["runtime"] / MIB)
    return [replace(one, measured=known[one.name]) for one in points], runtimes


def figures_of(
    name: str, points: Sequence[Point], calibration: Calibration, limit: float, fit: frozenset[str]
) -> tuple[list[Figure], list[Compared]]:
    """What is shown of one set of points."""
    title, grid = {"published": "GPUs, as published", "processors": "processors, measured here"}[name], GRIDS[name]
    again = fitted([one for one in points if one.name in fit], calibration, grid)
    off = sum(getattr(again.likely, one) != getattr(calibration.likely, one) for one in grid)
    if off:
        print(f"{title}: the fit gives {again.likely}, the code has {calibration.likely}", file=sys.stderr)
    found = compared(points, calibration, fit)
    made = [Figure(f"{title}: points", "", (float(len(found)),))]
    made.append(Figure(f"{title}: constants that are not those of the fit", "", (float(off),), limit=0))
    for half, part in (("fitted half", True), ("held-out half", False)):
        chosen = [one for one in found if one.fitted == part]
        errors = [abs(one.error) * 100 for one in chosen]
        inside = sum(one.inside for one in chosen) / len(chosen) * 100
        made.append(Figure(f"{title}, {half}: largest error", "%", (max(errors),), limit=limit))
        made.append(Figure(f"{title}, {half}: mean error", "%", (sum(errors) / len(errors),)))
        made.append(Figure(f"{title}, {half}: within the bounds", "%", (inside,), limit=100, at_least=True))
    fits = float(false_fits(points, calibration))
    made.append(Figure(f"{title}: `fits` where the peak exceeds the limit", "", (fits,), limit=0))
    return made, found


def show(found: Iterable[Compared]) -> None:
    """A line for each point."""
    for one in found:
        half = "fitted " if one.fitted else "held   "
        bounds = f"[{one.low:7.3f} {one.high:7.3f}]{'' if one.inside else ' OUTSIDE'}"
        other = "" if one.other is None else f"   other reading {one.other:.2f}"
        print(f"{half} {one.name:<38} {one.measured:8.3f} {one.likely:8.3f} {one.error:+7.1%}  {bounds}{other}")


def main() -> int:
    """Measure, compare and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", action="store_true", help="only what others have measured")
    parser.add_argument("--python", type=Path, help="of an environment with torch, transformers and peft")
    parser.add_argument(
        "--points", type=Path, help="peaks by name of point, in GiB: read where it is there, and written"
    )
    parser.add_argument("--known", action="store_true", help="train nothing: only the peaks that --points has count")
    options = parser.parse_args()
    figures, found = figures_of("published", PUBLISHED, DEVICES, 20, halves(PUBLISHED)[0])
    show(found)
    details: list[object] = [{"seed": SEED, "set": "published", **asdict(one), "error": one.error} for one in found]
    if not options.published:
        wanted = [one for one in TRIALS if one.name in known_peaks(options.points)] if options.known else TRIALS
        left = float(len(TRIALS) - len(wanted))
        trials, runtimes = measured(wanted, _python(options), options.points)
        more, here = figures_of("processors", trials, PROCESSORS, 15, halves(TRIALS)[0])
        show(here)
        figures += [*more, Figure("processors: points that were not measured", "", (left,))]
        if runtimes:
            figures.append(Figure("a process before there is a model, processors", "MiB", tuple(runtimes)))
        details += [{"seed": SEED, "set": "processors", **asdict(one), "error": one.error} for one in here]
    simulated = "nothing; the peaks on GPUs are published figures of torchtune, none was measured here"
    return report(Path(__file__).stem, figures, simulated=simulated, details=details)


def _python(options: argparse.Namespace) -> Path:
    """Of an environment with torch; where nothing is trained, none is made."""
    if options.python is not None:
        return Path(options.python)
    return Path(sys.executable) if options.known else made_environment(App(os.environ).home) / "bin/python"


if __name__ == "__main__":
    sys.exit(main())
