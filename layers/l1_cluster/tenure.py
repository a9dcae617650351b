"""One time of holding the cluster lock, and when it was last known to be ours."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self

from aiops.layers.core.clock import Clock

from .keeper import Holder


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment by both clocks: the monotonic one stands still while a machine sleeps, the wall clock can be set."""

    monotonic: float
    wall: datetime

    @classmethod
    def now(cls, clock: Clock) -> Self:
        """This moment."""
        return cls(clock.monotonic(), clock.now())

    def age(self, clock: Clock) -> float:
        """Seconds since then, by the clock that says more."""
        return max(clock.monotonic() - self.monotonic, (clock.now() - self.wall).total_seconds())


@dataclass(frozen=True, slots=True)
class Tenure:
    """One time of holding the lock, as the keeper granted it.

    Attributes:
        token: 128 bits in hex that prove it to the keeper.
        asked: When it was asked for, by our clocks: it cannot have gone stale before `STALE_SECONDS` after that.
        previous: Whom it was taken over from, or None.
        reason: Why that was allowed: its process is `dead`, or it was not renewed (`stale`).
        clean: Whether all before it gave the lock back themselves; else one of them may still be at work somewhere.
        renamed: What the cluster was called until now; None when it is called the same.
    """

    token: str = field(repr=False)
    epoch: int
    asked: Instant
    previous: Holder | None = None
    reason: Literal["dead", "stale"] | None = None
    clean: bool = True
    renamed: str | None = None
