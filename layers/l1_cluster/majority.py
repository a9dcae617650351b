"""Comparing the nodes of a group with each other: who differs from most of them. Pure.

A node is compared with the nodes that stand in exactly the same groups of the inventory, trait by trait and item by
item. What more than half of them have is expected of the others; so one of two nodes is never called wrong. Where
nothing has such a majority, that is told as not decided.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .trait import Trait


@dataclass(frozen=True, slots=True)
class Odd:
    """One item of a trait that differs; None where the item is missing.

    Attributes:
        expected: What most have; meaningless where nothing was decided.
    """

    item: str
    expected: str | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Deviation:
    """A trait of a node that is not as most of its group have it.

    Attributes:
        peers: The nodes it was compared with, itself among them, in their order.
        decided: Whether a majority says what is expected; otherwise the nodes differ and nobody can tell who is right.
    """

    node: str
    trait: str
    odds: tuple[Odd, ...]
    peers: tuple[str, ...]
    decided: bool = True


@dataclass(frozen=True, slots=True)
class Unread:
    """A trait of a node that could not be read."""

    node: str
    trait: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing.

    Attributes:
        alone: Nodes with nobody to be compared with.
    """

    deviations: tuple[Deviation, ...] = ()
    unread: tuple[Unread, ...] = ()
    alone: tuple[str, ...] = ()


def compare(traits: Mapping[str, Mapping[str, Trait]], groups: Mapping[str, Hashable]) -> Comparison:
    """Compare each node with those of its group.

    Args:
        traits: By node, then by name: of all nodes that answered.
        groups: By node; equal values are one group.
    """
    members: dict[Hashable, list[str]] = {}
    for node in traits:
        members.setdefault(groups[node], []).append(node)
    deviations: list[Deviation] = []
    for nodes in members.values():
        for name in dict.fromkeys(name for node in nodes for name in traits[node]):
            known: dict[str, list[str]] = {}
            for node in nodes:
                trait = traits[node].get(name)
                if trait is not None and trait.unknown is None:
                    known.setdefault(trait.alike, []).append(node)
            for alike in known.values():
                deviations.extend(_deviations(name, {node: traits[node][name] for node in alike}))
    order = {node: number for number, node in enumerate(traits)}
    return Comparison(
        tuple(sorted(deviations, key=lambda one: order[one.node])),
        tuple(
            Unread(node, trait.name, trait.unknown)
            for node, own in traits.items()
            for trait in own.values()
            if trait.unknown is not None
        ),
        tuple(node for node in traits if len(members[groups[node]]) == 1),
    )


def _deviations(name: str, traits: Mapping[str, Trait]) -> Iterator[Deviation]:
    """Who of nodes that can be compared differs in the trait `name`."""
    decided: dict[str, list[Odd]] = {}
    split: dict[str, list[Odd]] = {}
    for item in sorted({item for trait in traits.values() for item in trait.items}):
        values = {node: trait.items.get(item) for node, trait in traits.items() if trait.whole or item in trait.items}
        ranking = Counter(values.values()).most_common(1)
        (expected, count), total = ranking[0], len(values)
        if count == total:
            continue
        majority = 2 * count > total
        for node, found in values.items():
            if not majority:
                split.setdefault(node, []).append(Odd(item, None, found))
            elif found != expected:
                decided.setdefault(node, []).append(Odd(item, expected, found))
    peers: Sequence[str] = tuple(traits)
    for found_odds, sure in ((decided, True), (split, False)):
        for node, odds in found_odds.items():
            yield Deviation(node, name, tuple(odds), tuple(peers), sure)
