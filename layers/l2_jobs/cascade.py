"""Cascade: many nodes that fall silent at once are a switch, a power line or the head's own network. Pure.

Then nothing is restarted and nothing is drained for silence alone. A job whose nodes that are heard tell that it has
failed is dealt with as ever.
"""

from collections.abc import Mapping
from math import ceil

from .hearing import Hearing

TOGETHER = 10.0
"""Seconds between two silences that count as one event: a channel that breaks is noticed within a few."""

PART = 0.1
"""Of the nodes that are followed."""

MANY = 10
"""So many at once are one cause in any cluster: a rack, a switch."""


def limit(followed: int) -> int:
    """From how many nodes on silence is a cascade, of so many followed: a tenth, from 2 to 10.

    On small clusters two nodes are one: there the head cannot tell a switch from two accidents. The research that this
    follows stops automatic drains at 2 nodes within 10 minutes or a fifth of all.
    """
    return min(MANY, max(2, ceil(PART * followed)))


def cascades(nodes: Mapping[str, Hearing]) -> frozenset[str]:
    """The nodes that fell silent together with so many others that none of them is taken for lost."""
    silences = sorted((one.silent, name) for name, one in nodes.items() if one.silent is not None)
    least = limit(len(nodes))
    found: set[str] = set()
    run: list[str] = []
    last: float | None = None
    for at, name in silences:
        if last is not None and at - last > TOGETHER:
            run = []
        run.append(name)
        last = at
        if len(run) >= least:
            found.update(run)
    return frozenset(found)
