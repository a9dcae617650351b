"""Batch: sequences side by side as tensors.

Shorter ones are filled up on the right. Attention looks back only, so nothing that counts ever sees what they are
filled with, and no mask is needed for it. Rows that share a sample are told apart by their positions, which begin anew
with each: transformers makes masks of that, for all kinds of attention. Flash attention does so for one sequence only,
hence `flat` lays all of them one behind the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .samples import Array, Sequenced

IGNORED = -100
"""The label of what the loss does not count, as torch's cross entropy has it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one pass reads.

    Attributes:
        tokens: One row a sequence.
        positions: Of each token in its row of the data.
        labels: What each token is to be foretold as from those before it; `IGNORED` where it does not count.
    """

    tokens: Any
    positions: Any
    labels: Any

    @property
    def counted(self) -> int:
        """Tokens that the loss counts."""
        return int((self.labels != IGNORED).sum())


def batch_of(sequences: Sequence[Sequenced], filler: int, device: Any, *, flat: bool = False) -> Batch:
    """Sequences as one batch.

    Args:
        sequences: At least one.
        device: Where the tensors are to be.
        filler: The token that shorter ones are filled up with.
        flat: Lay them one behind the other in one row.
    """
    arrays: list[tuple[Array, ...]] = [laid(one) for one in sequences]
    if flat:
        arrays = [tuple(np.concatenate(column) for column in zip(*arrays, strict=True))]
    width = max(len(tokens) for tokens, _, _ in arrays)
    tokens = np.full((len(arrays), width), filler, np.int64)
    # What it is filled with counts on as one row more, so that a sequence without shared rows stays one of plain order.
    positions = np.zeros((len(arrays), width), np.int64)
    labels = np.full((len(arrays), width), IGNORED, np.int64)
    for number, (ids, places, wanted) in enumerate(arrays):
        size = len(ids)
        tokens[number, :size], positions[number, :size], labels[number, :size] = ids, places, wanted
        packed = bool((places[1:] == 0).any())
        positions[number, size:] = np.arange(width - size) + (0 if packed else size)
    return Batch(*(torch.from_numpy(one).to(device) for one in (tokens, positions, labels)))


def laid(one: Sequenced) -> tuple[Array, Array, Array]:
    """Tokens, positions and labels of a sequence. The first token of a row is foretold by nobody."""
    size = len(one.tokens)
    places = np.arange(size)
    first = places == 0
    if one.segments is not None:
        first = np.concatenate([[True], one.segments[1:] != one.segments[:-1]]) if size else first
        starts = np.maximum.accumulate(np.where(first, places, 0))
        places = places - starts
    return one.tokens, places, np.where(one.counted & ~first, one.tokens, IGNORED)
