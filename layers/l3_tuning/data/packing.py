"""Packing: rows that share a sample. None is split, none is lost. Pure.

Best-fit decreasing: the longest first, each into the sample with the least room that still takes it. This is what Ding
et al. 2024 (arXiv:2404.10830) pack with, there after documents were cut to the length; here what is longer has been
dealt with before.
"""

from collections import deque
from collections.abc import Iterable, Sequence

WINDOW_ROWS = 1 << 18
WINDOW_TOKENS = 1 << 26
"""Rows are packed within windows of so many, or of so many tokens, whichever is reached first: 256 MiB of tokens."""


def packed(lengths: Sequence[int], length: int) -> list[list[int]]:
    """Samples of at most `length` tokens, as numbers of rows; in a sample and between samples in the order of the rows.

    Args:
        lengths: Tokens of each row.
        length: Of a sample, at most.

    Raises:
        ValueError: A row is longer than a sample may be, or holds nothing.
    """
    if lengths and not 0 < min(lengths) <= max(lengths) <= length:
        raise ValueError(f"rows of {min(lengths)} to {max(lengths)} tokens do not fit samples of {length}")
    samples: list[list[int]] = []
    rooms = 0  # bit r is set where a sample has room for r more, so that the least room that suffices is one shift away
    by_room: dict[int, deque[int]] = {}
    for row in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        size = lengths[row]
        enough = rooms >> size
        if enough:
            room = size + (enough & -enough).bit_length() - 1
            sample = by_room[room].popleft()
            if not by_room[room]:
                rooms ^= 1 << room
            samples[sample].append(row)
        else:
            room, sample = length, len(samples)
            samples.append([row])
        left = room - size
        if left:
            by_room.setdefault(left, deque()).append(sample)
            rooms |= 1 << left
    for rows in samples:
        rows.sort()
    return sorted(samples)


def windows(sizes: Iterable[tuple[int, int]], rows: int = WINDOW_ROWS, tokens: int = WINDOW_TOKENS) -> list[int]:
    """How many consecutive chunks each window has.

    Args:
        sizes: Rows and tokens of each chunk.
        rows: Of a window, at most, unless one chunk alone has more.
        tokens: Likewise.
    """
    counts: list[int] = []
    row_sum = token_sum = 0
    for chunk_rows, chunk_tokens in sizes:
        if counts and row_sum + chunk_rows <= rows and token_sum + chunk_tokens <= tokens:
            counts[-1] += 1
        else:
            counts.append(1)
            row_sum = token_sum = 0
        row_sum += chunk_rows
        token_sum += chunk_tokens
    return counts
