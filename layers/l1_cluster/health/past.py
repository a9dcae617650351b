"""What is remembered of a node's counters, so that a judge can tell how much one has grown in a while. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self


@dataclass(frozen=True, slots=True)
class Sample:
    """A counter's value at one moment.

    Attributes:
        boot_id: Of which boot of the node: most counters begin anew with it.
    """

    at: datetime
    value: int
    boot_id: str | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """How much a counter has grown.

    Attributes:
        seconds: Over how long that was measured; less than was asked for where less is remembered.
    """

    amount: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of a node's counters.

    Attributes:
        samples: By name, oldest first; values that stay the same stand once, at their first.
        looked: When the node was last looked at; None where that is not known. What has grown since has come at any
            time since.
    """

    samples: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    looked: datetime | None = None

    def last(self, name: str) -> tuple[int, str | None] | None:
        """The newest value of a counter and its boot; None where nothing is remembered of it."""
        samples = self.samples.get(name, ())
        return (samples[-1].value, samples[-1].boot_id) if samples else None

    def since(self, at: datetime) -> Self:
        """The same, with growth counted from `at` on: what came before it is over, since the node was repaired then.

        Whether the repair has booted the node is of no matter: a counter that is as it was has not grown.
        """
        samples = {}
        for name, several in self.samples.items():
            before = [one for one in several if one.at <= at]
            base = [replace(before[-1], at=at, boot_id=None)] if before else []
            samples[name] = (*base, *(one for one in several if one.at > at))
        return replace(self, samples=samples)

    def lasting(self, name: str) -> Self:
        """The same, for a counter that its device keeps for life: a boot does not begin it anew."""
        kept = tuple(replace(one, boot_id=None) for one in self.samples.get(name, ()))
        return replace(self, samples={**self.samples, name: kept})

    def growth(self, name: str, now: Sample, window: timedelta) -> Growth | None:
        """How much the counter has grown within `window` before `now`; None where that is not known.

        It is not where nothing is remembered of it, or where nobody has looked within the window.

        A counter that is smaller than before has begun anew, and so has one of another boot: then all that it shows
        has come since.

        Args:
            name: The counter's.
            now: Its value in this examination.
            window: How far to look back.
        """
        earlier = [one for one in self.samples.get(name, ()) if one.at < now.at]
        if not earlier:
            return None
        since = now.at - window
        if self.looked is not None and self.looked < since:
            return None
        older = [one for one in earlier if one.at <= since]
        first = older[-1] if older else earlier[0]
        amount, last = 0, first
        for one in [*(one for one in earlier if one.at > first.at), now]:
            anew = one.value < last.value or (one.boot_id is not None and last.boot_id not in (None, one.boot_id))
            amount += one.value if anew else one.value - last.value
            last = one
        return Growth(amount, (now.at - max(first.at, since)).total_seconds())
