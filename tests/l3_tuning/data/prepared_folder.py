"""Data to prepare, and what became of it as one can compare it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiops.layers.l3_tuning.data.dataset import MASK, SAMPLES, SEGMENTS, TOKENS, Manifest
from aiops.layers.l3_tuning.data.preparation import preparation_of
from aiops.layers.l3_tuning.data.production import produce
from aiops.layers.l3_tuning.recipe import DataPlan


def prepare(plan: DataPlan, base: str, into: Path, filters: Sequence[tuple[str, float]] = (), **how: Any) -> Manifest:
    """Make what a plan asks for, as the command line does."""
    return produce(preparation_of(plan, base, filters), into, **how)


def digest_of(plan: DataPlan, base: str, filters: Sequence[tuple[str, float]] = ()) -> str:
    """The digest of what a plan would make."""
    return preparation_of(plan, base, filters).digest


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def asked(number: int, answer: str = "") -> dict[str, str]:
    words = " ".join(f"word{(number * 7919 + step * 104729) % 9973}" for step in range(12 + number % 9))
    return {"prompt": f"Question {number}: {words}?", "completion": answer or f"Answer {number} to {words}."}


def contents(folder: Path) -> dict[str, bytes]:
    """All files with their bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def sequences(folder: Path) -> list[tuple[list[int], list[int]]]:
    """Each sample: tokens and mask."""
    tokens, mask = np.fromfile(folder / TOKENS, "<u4"), np.fromfile(folder / MASK, "u1")
    pairs = np.fromfile(folder / SAMPLES, "<u8").reshape(-1, 2)
    return [
        (tokens[start : start + size].tolist(), mask[start : start + size].tolist()) for start, size in pairs.tolist()
    ]


def rows_of(folder: Path) -> list[tuple[list[int], list[int]]]:
    """Each row of shared samples: tokens and mask."""
    segments = np.fromfile(folder / SEGMENTS, "<u4")
    found, start = [], 0
    for tokens, mask in sequences(folder):
        mine = segments[start : start + len(tokens)]
        start += len(tokens)
        for segment in range(int(mine.max()) + 1):
            places = np.flatnonzero(mine == segment).tolist()
            assert places == list(range(places[0], places[-1] + 1)), "a row lies in one piece"
            found.append(([tokens[place] for place in places], [mask[place] for place in places]))
    return found
