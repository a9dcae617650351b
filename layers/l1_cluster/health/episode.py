"""An episode: one finding, from its first to its last sighting in a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .finding import Key
from .verdict import Action, Owner, Verdict


@dataclass(frozen=True, slots=True)
class Episode:
    """One finding over time.

    Attributes:
        number: In the store; None before it is there.
        message: The last one.
        counted: Whether it has made its node's verdict at any time.
        boot_id: Of the boot in which it was first seen.
        looks: In how many examinations it was seen.
        ended: When it was found that it is over; None while it goes on.
    """

    node: str
    check: str
    about: str
    verdict: Verdict
    message: str
    started: datetime
    seen: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)
    action: Action = "none"
    owner: Owner = "node"
    counted: bool = True
    boot_id: str | None = None
    looks: int = 1
    ended: datetime | None = None
    number: int | None = None

    @property
    def key(self) -> Key:
        """By what it is known again."""
        return (self.node, self.check, self.about)

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "node": self.node,
            "check": self.check,
            "about": self.about or None,
            "verdict": self.verdict,
            "message": self.message,
            "evidence": dict(self.evidence),
            "action": self.action,
            "owner": self.owner,
            "counted": self.counted,
            "looks": self.looks,
            "started": _text(self.started),
            "seen": _text(self.seen),
            "ended": None if self.ended is None else _text(self.ended),
        }


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
