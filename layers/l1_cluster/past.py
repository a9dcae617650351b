"""Who held a cluster's lock before, as its keeper remembers: what others did from their own machines shows here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aiops.layers.core.clock import rfc3339

from .owner import Owner

End = Literal["released", "by_hand", "stale", "dead"]


@dataclass(frozen=True, slots=True)
class Past:
    """One time of holding the lock, by the keeper's clock.

    Attributes:
        epoch: Its number.
        purpose: What for: a command; empty where it was not said.
        renewed: The last sign of life.
        ended: When it was over for the keeper; None while it lasts.
        how: `released` by itself, taken away `by_hand`, or taken over because it was `stale` or its process `dead`.
        by: Who took it away or over.
    """

    owner: Owner
    epoch: int
    purpose: str
    since: datetime
    renewed: datetime
    ended: datetime | None = None
    how: End | None = None
    by: Owner | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Past":
        """The tenure that `remote.lock` tells: an entry of its history, or its holder."""
        by = entry.get("by")
        ended = entry.get("ended")
        return cls(
            Owner(**entry["owner"]),
            int(entry["epoch"]),
            entry.get("purpose", ""),
            datetime.fromtimestamp(entry["acquired"], UTC),
            datetime.fromtimestamp(entry["renewed"], UTC),
            None if ended is None else datetime.fromtimestamp(ended, UTC),
            entry.get("how"),
            Owner(**by) if by else None,
        )

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            **asdict(self.owner),
            "epoch": self.epoch,
            "purpose": self.purpose,
            "since": rfc3339(self.since),
            "renewed": rfc3339(self.renewed),
            "ended": rfc3339(self.ended) if self.ended else None,
            "how": self.how,
            "by": asdict(self.by) if self.by else None,
        }
