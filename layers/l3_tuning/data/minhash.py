"""MinHash with locality-sensitive hashing: which rows may be near duplicates, without comparing all with all. Pure.

A row is the set of its shingles, five words in a row (of scripts without spaces: five characters). Broder 1997, "On the
resemblance and containment of documents": two sets share the least of a random hash with the chance of their Jaccard
similarity. 112 hashes in 14 bands of 8 are those of FineWeb (Penedo et al. 2024, arXiv:2406.17557, section 3.4), and so
are the five words: rows of similarity s share a band with the chance 1 - (1 - s^8)^14, which is 0.77 for 0.75, 0.92 for
0.8 and 0.9996 for 0.9. What shares a band is then compared shingle by shingle, so that chance may only miss, never
remove; `THRESHOLD` is what Lee et al. 2022 (arXiv:2107.06499) call a near duplicate.

All numbers are 64-bit and hashes are seeded with constants: the same on any machine, in any order of work.
"""

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from .identity import texts
from .row import Row
from .words import words

Array = Any
"""An array of numpy, which is imported by whoever needs it; here of 64-bit numbers, and of 32-bit ones of shingles."""

SHINGLE = 5
BANDS = 14
ROWS = 8
THRESHOLD = 0.8
SEED = b"aiops minhash 1"

_BLOCK = 4096
"""Shingles hashed at once: 112 hashes of 8 bytes each are 3.5 MiB."""


def shingles(row: Row) -> Array:
    """The hashed shingles of what `row` says itself, sorted, each once.

    A text of fewer than five words is one shingle. One that has no word counts for nothing.
    """
    import numpy as np

    found = [_hashed(each) for each in map(words, texts(row)) if each]
    if not found:
        return np.empty(0, np.uint32)
    return np.unique((np.concatenate(found) >> np.uint64(32)).astype(np.uint32))


def bands(of: Array) -> Array:
    """One key for each band: rows that share one are compared. Empty rows get keys of their own kind, and share all."""
    import numpy as np

    factors, terms = _permutations()
    least: Array = np.full(BANDS * ROWS, np.iinfo(np.uint64).max, np.uint64)
    wide = _mixed(of.astype(np.uint64) + np.uint64(1))
    for start in range(0, len(wide), _BLOCK):
        block = wide[start : start + _BLOCK, None] * factors[None, :] + terms[None, :]
        np.minimum(least, block.min(axis=0), out=least)
    keys: Array = np.zeros(BANDS, np.uint64)
    for column in (least >> np.uint64(32)).reshape(BANDS, ROWS).T:
        keys = _mixed(keys * np.uint64(0x9E3779B97F4A7C15) + column)
    return keys


def similarity(one: Array, other: Array) -> float:
    """Jaccard: shared shingles by all of both; of two that have none 0."""
    import numpy as np

    shared = len(np.intersect1d(one, other, assume_unique=True))
    every = len(one) + len(other) - shared
    return shared / every if every else 0.0


def _hashed(said: Sequence[str]) -> Array:
    import numpy as np

    each = np.fromiter(map(_word, said), np.uint64, len(said))
    count = max(len(each) - SHINGLE + 1, 1)
    joined: Array = np.zeros(count, np.uint64)
    for start in range(min(SHINGLE, len(each))):
        joined = _mixed(joined * np.uint64(0x9E3779B97F4A7C15) + each[start : start + count])
    return joined


def _mixed(values: Array) -> Array:
    """Each bit depends on each: the finalizer of splitmix64 (Steele et al. 2014, doi:10.1145/2660193.2660195)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@lru_cache(1 << 16)
def _word(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")


@lru_cache(1)
def _permutations() -> tuple[Array, Array]:
    """Odd factors and terms of 112 hash functions modulo 2^64, whose upper halves are used (Dietzfelbinger 1996)."""
    import numpy as np

    drawn = hashlib.shake_256(SEED).digest(BANDS * ROWS * 16)
    numbers = np.frombuffer(drawn, "<u8").astype(np.uint64)
    return numbers[::2] | np.uint64(1), numbers[1::2]


def candidates(keys: Iterable[Array], kept: Array) -> dict[int, list[int]]:
    """For each row that shares a band with another, the numbers of the bands' groups that it is in, by row.

    Args:
        keys: Of each band, one after the other, the keys of all rows.
        kept: Which rows count.
    """
    import numpy as np

    groups: dict[int, list[int]] = {}
    number = 0
    rows = np.flatnonzero(kept)
    for of_band in keys:
        mine = of_band[rows]
        order = np.argsort(mine, kind="stable")
        ordered = mine[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else order
        ends: Array = np.append(starts[1:], len(ordered))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True) if len(ordered) else ():
            if end - start > 1:
                for row in rows[order[start:end]].tolist():
                    groups.setdefault(row, []).append(number)
                number += 1
    return groups
