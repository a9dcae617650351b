"""Traits: what nodes of one group have in common as long as none of them has drifted."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Trait:
    """One property of a node, or a set of things that it has.

    Attributes:
        name: In the words of the screen: `kernel`, `sudoers`.
        items: Value by item. A plain property has one item without a name; of a set (`whole`) the items are what is
            in it, and the value may be empty.
        alike: Only nodes with the same are compared: a BIOS of another machine is no older one.
        whole: Whether a missing item is a difference; otherwise it only means that there is nothing to compare.
        unknown: Why it could not be read; it has no items then.
    """

    name: str
    items: Mapping[str, str] = field(default_factory=dict)
    alike: str = ""
    whole: bool = False
    unknown: str | None = None


def plain(name: str, value: str, alike: str = "") -> Trait:
    """A property with one value."""
    return Trait(name, {"": value}, alike)
