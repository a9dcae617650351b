"""Duplicates: which rows are removed for having come before, and for which earlier row. Pure."""

from collections.abc import Callable, Mapping

from .minhash import THRESHOLD, Array, similarity

MOST = 64
"""Kept rows of one band's group that a row is compared with: the first ones. Boilerplate that thousands of different
rows share would otherwise make each be compared with each."""


def exact(digests: Array) -> Array:
    """For each row the first one that equals it, -1 where it is that itself.

    Args:
        digests: Two 64-bit numbers a row: its digest.
    """
    import numpy as np

    count = len(digests)
    first: Array = np.full(count, -1, np.int64)
    if not count:
        return first
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable, so that of equal rows the first comes first
    ordered = digests[order]
    opens = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(axis=1)))
    leaders = order[np.maximum.accumulate(np.where(opens, np.arange(count), 0))]
    first[order[~opens]] = leaders[~opens]
    return first


def near(groups: Mapping[int, list[int]], shingles: Callable[[int], Array]) -> dict[int, tuple[int, float]]:
    """For each row that is removed the kept one before it that it resembles, and how much.

    In the order of the rows each is compared with kept ones alone: what is removed resembles something that stays, and
    no chain of small differences removes what resembles nothing that is left.

    Args:
        groups: For each row that shares a band with another the groups that it is in.
        shingles: Of a row.
    """
    kept: dict[int, list[int]] = {}
    removed: dict[int, tuple[int, float]] = {}
    for row in sorted(groups):
        mine = shingles(row)
        if not len(mine):
            continue
        for other in sorted({one for group in groups[row] for one in kept.get(group, ())}):
            alike = similarity(mine, shingles(other))
            if alike >= THRESHOLD:
                removed[row] = (other, alike)
                break
        else:
            for group in groups[row]:
                members = kept.setdefault(group, [])
                if len(members) < MOST:
                    members.append(row)
    return removed
