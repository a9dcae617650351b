"""Nodes beside their equals, for checks: those that stand in exactly the same groups, by the rule of `majority`.

Fewer than three nodes have no majority, and where none is nobody is judged: nodes that differ in halves are no fault of
one of them. A node whose own answer cannot be read is unknown where the others could be compared.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l1_cluster.majority import Odd, compare
from aiops.layers.l1_cluster.trait import Trait
from aiops.layers.l1_cluster.trait_reading import traits_of

from .check import FleetJudge, Limits, Sighting, Subject
from .verdict import Action

LEAST = 3
"""So many nodes at least are compared."""

RULE = "what more than half of the nodes in the same groups have, the rule of `aiops cluster drift`"

_UNTOLD = "not told"

Read = Callable[[Subject], tuple[Trait, ...]]
"""The traits that are compared; empty where the node has none of them. It may raise `UnreadableError`."""


def check_says(_odd: Odd) -> Action | None:
    """What is to be done about one item that differs: what the check says."""
    return None


def among_equals(read: Read, action_of: Callable[[Odd], Action | None] = check_says) -> FleetJudge:
    """A judge of nodes that have another value than most.

    Args:
        read: What is compared.
        action_of: What is to be done about one item; None: what the check says.
    """

    def judge(subjects: Sequence[Subject], _limits: Limits) -> Iterator[tuple[str, Sighting]]:
        traits = {one.node.name: {trait.name: trait for trait in _read(read, one)} for one in subjects}
        groups = {one.node.name: one.node.groups for one in subjects}
        found = compare(traits, groups)
        for one in found.deviations:
            for odd in one.odds if one.decided else ():
                message = f"{odd.found}, most like it have {odd.expected}"
                evidence = {"found": odd.found, "expected": odd.expected, "compared": len(one.peers)}
                yield one.node, Sighting("warn", message, odd.item, evidence, action=action_of(odd))
        readable = [groups[node] for node, own in traits.items() if any(one.unknown is None for one in own.values())]
        for unread in found.unread:
            if readable.count(groups[unread.node]) >= LEAST - 1:  # with this one there would have been enough
                yield unread.node, Sighting("unknown", unread.reason)

    return judge


def _read(read: Read, subject: Subject) -> tuple[Trait, ...]:
    try:
        return read(subject)
    except UnreadableError as error:
        return (Trait("", unknown=str(error)),)


def trait(name: str) -> Read:
    """The trait called `name`, as `aiops cluster drift` reads it."""

    def read(subject: Subject) -> tuple[Trait, ...]:
        found = traits_of(subject.record, subject.facts).get(name)
        return () if found is None else (told(found),)

    return read


def told(one: Trait) -> Trait:
    """Without items of which a part was not told: that is no other version."""
    return replace(one, items={item: value for item, value in one.items.items() if _UNTOLD not in value})


def make_of(subject: Subject) -> str:
    """Maker and product of the machine: only those of one make are to have the same hardware.

    Raises:
        UnreadableError: It cannot be told.
    """
    machine = traits_of(subject.record, subject.facts)["machine"]
    if machine.unknown is not None:
        raise UnreadableError(machine.unknown)
    return machine.items[""]
