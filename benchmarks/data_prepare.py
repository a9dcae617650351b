"""Preparing data: rows a second by step, memory, near duplicates found among planted ones, and engines that agree.

Rows are generated, of 20 to 120 words of a lexicon of 20,000; the tokenizer is trained on the spot, so that nothing has
to be fetched. `--rows N` sets how many the speed is measured with.
"""

import argparse
import sys
import time
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from tests.l3_tuning.data.prepared_folder import contents, prepare, write_rows
from tests.l3_tuning.data.tiny_model import lay_model

from aiops.layers.core.plugin import Plugins
from aiops.layers.l3_tuning.data.data_engine import data_engine
from aiops.layers.l3_tuning.data.duplicate import near
from aiops.layers.l3_tuning.data.minhash import BANDS, THRESHOLD, bands, candidates, shingles, similarity
from aiops.layers.l3_tuning.data.row import Row
from aiops.layers.l3_tuning.recipe import DataPlan

from .measurement import AIOPS, Figure, report, run

SEED = 20261129
PLANTED = 2000
_STEPS = {
    "check": "check, level full",
    "examine": "read",
    "judge": "duplicates",
    "render": "tokens",
    "assemble": "write",
}


def _lexicon(dice: Random) -> list[str]:
    return ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(20_000)]


def _rows(count: int) -> list[dict[str, str]]:
    dice = Random(SEED)  # noqa: S311 - no secret
    lexicon = _lexicon(dice)

    def said(least: int, most: int) -> str:
        return " ".join(dice.choices(lexicon, k=dice.randint(least, most)))

    return [{"prompt": f"{said(10, 60)}?", "completion": f"{said(10, 60)}."} for _ in range(count)]


def _by_step(plan: DataPlan, base: str, into: Path) -> tuple[dict[str, float], int]:
    seconds: dict[str, float] = {}
    begun = 0.0

    def listen(kind: str, _: str = "", /, **data: Any) -> None:
        nonlocal begun
        if kind == "data_step_started":
            begun = time.monotonic()
        elif kind == "data_step_ended":
            seconds[data["step"]] = time.monotonic() - begun

    made = prepare(plan, base, into, emit=listen)
    return seconds, made.tokens


class _Found(NamedTuple):
    """What became of planted copies.

    Attributes:
        alike: Their similarity to what they are copies of, on average.
        wanted: How many are duplicates by the threshold.
        right: How many of these were removed.
        removed: How many rows were removed.
    """

    alike: float
    wanted: int
    right: int
    removed: int


def _found(changed: float) -> _Found:
    """Plant copies with so many of their words changed, and see which are removed."""
    dice = Random(SEED)  # noqa: S311 - no secret
    lexicon = _lexicon(dice)
    texts = [dice.choices(lexicon, k=dice.randint(60, 240)) for _ in range(PLANTED)]
    copies = []
    for text in texts:
        copy = list(text)
        for place in dice.sample(range(len(copy)), max(round(changed * len(copy)), 1)):
            copy[place] = dice.choice(lexicon)
        copies.append(copy)
    of, ends = shingles([Row("text", text=" ".join(words)) for words in (*texts, *copies)])
    starts = [0, *ends.tolist()]

    def set_of(row: int) -> Any:
        return of[starts[row] : starts[row + 1]]

    keys = bands(of, ends)
    groups = candidates((keys[:, band] for band in range(BANDS)), np.ones(len(ends), np.bool_))
    removed = near(groups, set_of)
    alike = [similarity(set_of(row), set_of(row + PLANTED)) for row in range(PLANTED)]
    wanted = {row + PLANTED for row, one in enumerate(alike) if one >= THRESHOLD}
    right = sum(row in wanted and other == row - PLANTED for row, (other, _) in removed.items())
    return _Found(sum(alike) / PLANTED, len(wanted), right, len(removed))


def main() -> int:
    """Measure; exit 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    count = parser.parse_args().rows
    figures = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        base = str(lay_model(folder / "model", vocabulary=4000))
        file = write_rows(folder / "rows.jsonl", _rows(count))
        plan = DataPlan((str(file),), duplicates="near", packing=True, mask=("email", "phone"), held_out=0.02)
        seconds, tokens = _by_step(plan, base, folder / "data")
        figures += [Figure(f"{_STEPS[step]}", "rows/s", (count / took,)) for step, took in seconds.items()]
        figures.append(Figure("tokens", "tokens/s", (tokens / seconds["render"],)))
        figures.append(Figure("all steps", "rows/s", (count / sum(seconds.values()),)))
        small = write_rows(folder / "small.jsonl", _rows(count // 5))
        peaks = []
        for rows in (small, file):
            words = ("data", "prepare", rows, "--base", base, "--into", folder / "peak", "--duplicates", "near")
            peaks.append(run(AIOPS, *words, "--packing", "-q").peak_mib)
        figures.append(Figure(f"most memory, {count // 5:,} rows", "MiB", (peaks[0],)))
        figures.append(Figure(f"most memory, {count:,} rows", "MiB", (peaks[1],)))
        figures.append(Figure("more memory for a row more", "bytes", ((peaks[1] - peaks[0]) * 2**20 / (count * 0.8),)))
        trove = data_engine(Plugins(), "datatrove")
        prepare(DataPlan((str(small),), duplicates="near", packing=True), base, folder / "one")
        prepare(DataPlan((str(small),), duplicates="near", packing=True), base, folder / "two", engine=trove, shares=2)
        same = contents(folder / "one") == contents(folder / "two")
        figures.append(Figure("same bytes by datatrove and in process", "", (float(same),), 1, at_least=True))
    for changed in (0.005, 0.01, 0.02, 0.05, 0.1):
        found = _found(changed)
        what = f"{changed:.1%} of words changed (similarity {found.alike:.2f})"
        if found.wanted:
            figures.append(Figure(f"of {found.wanted} pairs found, {what}", "%", (100 * found.right / found.wanted,)))
        figures.append(Figure(f"removed wrongly of {PLANTED}, {what}", "", (float(found.removed - found.right),), 0))
    return report("data_prepare", figures, simulated="rows are generated, and so is the tokenizer")


if __name__ == "__main__":
    sys.exit(main())
