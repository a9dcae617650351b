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

_GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, made odd: what splitmix64 steps by."""


def shingles(rows: Sequence[Row]) -> tuple[Array, Array]:
    """The hashed shingles of what rows say themselves, one row after the other, and where each row's end.

    Of each row they are sorted, each once. A text of fewer than five words is one shingle; one without a word is none.
    """
    import numpy as np

    said: list[int] = []
    texts_of: list[tuple[int, int]] = []
    for number, row in enumerate(rows):
        for text in texts(row):
            each = words(text)
            if each:
                said += map(_word, each)
                texts_of.append((number, len(each)))
    owners: Array = np.array(texts_of, np.int64).reshape(-1, 2)
    found = _unique(np.array(said, np.uint64), owners[:, 1], owners[:, 0])
    ends = np.searchsorted(found >> np.uint64(32), np.arange(len(rows), dtype=np.uint64), "right")
    return found.astype(np.uint32), ends.astype(np.uint64)


def bands(of: Array, ends: Array) -> Array:
    """For each row one key for each band: rows that share one are compared.

    Args:
        of: Shingles, as `shingles` gives them.
        ends: Likewise. Rows that have none share all keys.
    """
    import numpy as np

    least: Array = np.full((BANDS * ROWS, len(ends)), np.iinfo(np.uint64).max, np.uint64)
    starts = np.concatenate((np.zeros(1, np.uint64), ends[:-1])).astype(np.int64)
    some = np.flatnonzero(ends.astype(np.int64) > starts)
    if len(some):
        wide = _mixed(of.astype(np.uint64) + np.uint64(1))
        for number, (factor, term) in enumerate(zip(*_permutations(), strict=True)):
            least[number, some] = np.minimum.reduceat(wide * factor + term, starts[some])
    keys: Array = np.zeros((BANDS, len(ends)), np.uint64)
    for column in (least >> np.uint64(32)).reshape(BANDS, ROWS, -1).transpose(1, 0, 2):
        keys = _mixed(keys * _GOLDEN + column)
    return keys.T


def similarity(one: Array, other: Array) -> float:
    """Jaccard: shared shingles by all of both; of two that have none 0."""
    import numpy as np

    shared = len(np.intersect1d(one, other, assume_unique=True))
    every = len(one) + len(other) - shared
    return shared / every if every else 0.0


def _unique(said: Array, sizes: Array, owners: Array) -> Array:
    """The shingles of texts as 64-bit numbers, sorted: the row's number above 32 bits of hash.

    Args:
        said: The hashed words of all texts.
        sizes: How many each text has, at least one.
        owners: The row of each text.
    """
    import numpy as np

    starts = np.cumsum(sizes) - sizes
    counts = np.maximum(sizes - SHINGLE + 1, 1)  # of each text
    places = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    lengths: Array = np.repeat(np.minimum(sizes, SHINGLE), counts)
    padded = np.concatenate((said, np.zeros(SHINGLE, np.uint64)))
    joined: Array = np.zeros(len(places), np.uint64)
    for step in range(SHINGLE):
        longer = _mixed(joined * _GOLDEN + padded[places + step])
        joined = np.where(lengths > step, longer, joined)
    rows = np.repeat(owners, counts).astype(np.uint64) << np.uint64(32)
    return np.unique(rows | (joined >> np.uint64(32)))


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
