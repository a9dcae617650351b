"""Samples: prepared data as it lies on the disk, and which samples a step, a pass and a rank read.

The order is a permutation of (seed, epoch) and of nothing else. It is not drawn from a library's generator, whose
stream may change with its version: samples are sorted by a number that SplitMix64's finaliser makes of theirs (Steele,
Lea, Flood 2014, "Fast splittable pseudorandom number generators", with Stafford's variant 13). That is a bijection of
64 bits, so no two samples have the same number.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""One of numpy's, which need not be there to check types."""

EVALUATION = "evaluation"
_GOLDEN = 0x9E3779B97F4A7C15


def mixed(value: Array) -> Array:
    """Each number of 64 bits as another that looks like chance."""
    with np.errstate(over="ignore"):
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def seed_of(*parts: int) -> int:
    """One seed of 63 bits of several numbers, in their order."""
    state = 0
    for part in parts:
        array = np.array([(state + _GOLDEN + part) % (1 << 64)], np.uint64)
        state = int(mixed(mixed(array))[0])
    return state >> 1


@lru_cache(maxsize=2)
def order(seed: int, epoch: int, count: int) -> Array:
    """The numbers of all samples in the order in which an epoch reads them."""
    start = np.uint64(seed_of(seed, epoch))
    return np.argsort(mixed(np.arange(count, dtype=np.uint64) ^ start), kind="stable")


@dataclass(frozen=True, slots=True)
class Share:
    """Who reads what: `batch` samples in each of `accumulate` passes on each of `world` ranks."""

    seed: int
    count: int
    world: int
    batch: int
    accumulate: int

    def passes(self, step: int, rank: int) -> list[list[int]]:
        """The samples of a step, counted from 0, of one rank; for each pass a list."""
        whole = self.world * self.batch * self.accumulate
        found = []
        for number in range(self.accumulate):
            first = step * whole + (number * self.world + rank) * self.batch
            found.append([self.sample(place) for place in range(first, first + self.batch)])
        return found

    def sample(self, place: int) -> int:
        """The sample at a place of all that is ever read: one epoch's order after the other's."""
        epoch, within = divmod(place, self.count)
        return int(order(self.seed, epoch, self.count)[within])

    def epoch(self, step: int) -> float:
        """How often the data was read once a step is done."""
        return (step + 1) * self.world * self.batch * self.accumulate / self.count


@dataclass(frozen=True, slots=True)
class Sequenced:
    """One sequence that the model reads.

    Attributes:
        tokens: All of them.
        counted: For each whether the loss counts it.
        segments: For each the number of its row in the sample; None where there is one.
    """

    tokens: Array
    counted: Array
    segments: Array | None = None


class Samples:
    """The samples of a folder of prepared data, or of its part that is held out."""

    def __init__(self, folder: Path, form: str, *, packed: bool) -> None:
        """Map the files; nothing is read yet.

        Raises:
            OSError: A file is missing, or empty.
        """
        self._parts = 3 if form == "preference" else 1
        self._tokens: Array = np.memmap(folder / "tokens.bin", "<u4", "r")
        self._mask: Array = np.memmap(folder / "mask.bin", "u1", "r")
        self._segments: Array = np.memmap(folder / "segments.bin", "<u4", "r") if packed else None
        self._places: Array = np.memmap(folder / "samples.bin", "<u8", "r").reshape(-1, self._parts, 2)

    def __len__(self) -> int:
        return len(self._places)

    def sequences(self, number: int) -> list[Sequenced]:
        """The sequences of a sample: one; of a preference the chosen and the rejected, each behind the prompt."""
        if self._parts == 1:
            return [self._cut(self._places[number, 0])]
        prompt, chosen, rejected = (self._cut(place) for place in self._places[number])
        return [joined(prompt, answer) for answer in (chosen, rejected)]

    def _cut(self, place: Array) -> Sequenced:
        start, size = int(place[0]), int(place[1])
        span = slice(start, start + size)
        segments: Array = None if self._segments is None else self._segments[span].astype(np.int64)
        return Sequenced(self._tokens[span].astype(np.int64), self._mask[span].astype(bool), segments)


def held_out(data: Path) -> bool:
    """Whether prepared data has a part that is held out, and a row in it: of a few rows a small part may have none.

    Raises:
        OSError: It cannot be looked at.
    """
    try:
        return (data / EVALUATION / "samples.bin").stat().st_size > 0
    except FileNotFoundError:
        return False


def joined(prompt: Sequenced, answer: Sequenced) -> Sequenced:
    """An answer behind its prompt, of which nothing is counted."""
    counted = np.concatenate([np.zeros(len(prompt.tokens), bool), answer.counted])
    return Sequenced(np.concatenate([prompt.tokens, answer.tokens]), counted)


def digest(sequences: Sequence[Sequenced]) -> str:
    """A short digest of what was read, for traces."""
    hashing = hashlib.sha256()
    for one in sequences:
        hashing.update(one.tokens.astype("<u4").tobytes() + one.counted.astype("u1").tobytes())
    return hashing.hexdigest()[:16]
