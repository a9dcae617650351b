"""Allocation: which devices of which nodes an attempt has, each whole or a share of its memory."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """What an attempt has of one node.

    Attributes:
        devices: Their indices; empty for a job without accelerators.
        share: Of the one device, 0 < share <= 1.
    """

    node: str
    devices: tuple[int, ...] = ()
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Allocation:
    """All of an attempt; the order is that of its node ranks."""

    slots: tuple[Slot, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of its nodes, by node rank."""
        return tuple(slot.node for slot in self.slots)
