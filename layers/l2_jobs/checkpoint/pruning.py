"""Which checkpoints may go. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from aiops.layers.core.errors import InputError

from .checkpoint import Checkpoint, age_key

LEAST = 2
"""Good ones that always stay: while one is read or the next is written, another is whole."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """What pruning would do, the newest first.

    Attributes:
        kept: Good ones that stay.
        removed: Good ones that go.
        left: Those that are not for us to judge: not good, or without a step that tells how old they are.
    """

    kept: tuple[Checkpoint, ...]
    removed: tuple[Checkpoint, ...]
    left: tuple[Checkpoint, ...]


def pruning(checkpoints: Iterable[Checkpoint], keep: int = LEAST) -> Pruning:
    """Keep the newest `keep` good ones of each format.

    Args:
        checkpoints: All of one folder, as they were judged.
        keep: At least `LEAST`.

    Raises:
        InputError: Fewer were to be kept.
    """
    if keep < LEAST:
        raise InputError(
            f"at least {LEAST} good checkpoints are kept, not {keep}",
            code="checkpoint.keep",
            hints=[f"`--keep {LEAST}`, or delete one by hand"],
        )
    kept: list[Checkpoint] = []
    removed: list[Checkpoint] = []
    left: list[Checkpoint] = []
    counts: dict[str, int] = {}
    for one in sorted(checkpoints, key=age_key, reverse=True):
        if not one.proved or one.step is None:
            left.append(one)
            continue
        counts[one.format] = counts.get(one.format, 0) + 1
        (kept if counts[one.format] <= keep else removed).append(one)
    return Pruning(tuple(kept), tuple(removed), tuple(left))
