"""Being let through by nodes that have seen a higher epoch than ours, though the lock is ours.

A head that was installed anew, or whose clock was ahead once and is right now, grants lower epochs than its nodes have
seen. While the keeper confirms that the lock is ours, nobody of this cluster can be behind the higher one any more: the
tenure is raised above it, and the nodes are asked again.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from aiops.layers.core.errors import AiopsError, ConflictError
from aiops.layers.l0_nodes.node import Node

from .floor import HIGHEST
from .gate import STALE, Gate

Done = TypeVar("Done")

_SEEN = re.compile(r"this node has seen (\d{1,20})$")


class Surpassing(Protocol):
    """The lock, held."""

    @property
    def epoch(self) -> int:
        """What every changing step carries."""
        ...

    def surpass(self, seen: int) -> None:
        """Raise the tenure's epoch above `seen`, which the keeper does only while the lock is ours."""
        ...


def admit(
    gate: Gate,
    lock: Surpassing,
    nodes: Sequence[Node],
    programs: Callable[[], Mapping[str, str]] = dict,
    *,
    before: Collection[str] = (),
) -> dict[str, AiopsError]:
    """Let our steps through on `nodes`, above what they have seen; why some do not, by node.

    Args:
        gate: How they are told.
        lock: Ours.
        nodes: The nodes.
        programs: Gives `Gate.open`'s programs for the epoch that the lock has then.
        before: Names of those that have let this tenure through already. Where one has seen a higher epoch since,
            somebody works there under another head: it is not raised above that.

    Raises:
        ConflictError: The cluster lock was lost.
        UnreachableError: It cannot be confirmed.
        FailedError: The head cannot keep it.
    """
    errors = gate.open(nodes, lock.epoch, programs())
    seen = highest_seen(error for name, error in errors.items() if name not in before)
    if seen is None:
        return errors
    lock.surpass(seen)
    return gate.open(nodes, lock.epoch, programs())


def insist(lock: Surpassing, act: Callable[[int], Done]) -> Done:
    """What one step behind a fence gives, called with our epoch; where that was too low, with one above it.

    Raises:
        AiopsError: The step's own, or the lock's as for `admit`.
    """
    try:
        return act(lock.epoch)
    except ConflictError as error:
        seen = highest_seen([error])
        if seen is None:
            raise
    lock.surpass(seen)
    return act(lock.epoch)


def highest_seen(errors: Iterable[AiopsError]) -> int | None:
    """The highest epoch that nodes say they have seen, of those that can be surpassed; None where none is. Pure."""
    said = [_SEEN.search(error.message) for error in errors if error.code == STALE]
    numbers = [number for match in said if match is not None and (number := int(match[1])) < HIGHEST]
    return max(numbers, default=None)
