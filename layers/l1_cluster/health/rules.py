"""How a site wants its checks judged: which are left out, which only watched, and its own thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiops.layers.l0_nodes.node import Node

from .check import Check, Limits


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one site.

    Attributes:
        off: Ids of checks that are not made.
        observe: Ids of checks whose findings are shown and count for nothing.
        thresholds: Own thresholds by check and name, for all nodes.
        groups: Likewise by group of the inventory; a later group of a node counts more than an earlier one.
    """

    off: frozenset[str] = frozenset()
    observe: frozenset[str] = frozenset()
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)

    def limits(self, check: Check, node: Node | None) -> Limits:
        """The thresholds of `check` on `node`; those of all nodes where it is None."""
        own = dict(self.thresholds.get(check.id, {}))
        for group in self.groups:  # in the order of the file
            if node is not None and group in node.groups:
                own |= self.groups[group].get(check.id, {})
        return check.limits(own)
