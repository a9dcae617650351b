"""Stretches: how a node was for as long as it stayed so, and how it has done over many of them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .verdict import Verdict

GAP = timedelta(minutes=30)
"""A node that was not looked at for longer was not watched in between."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """How a node was, look after look.

    Attributes:
        began: The first look.
        last: The last one so far.
    """

    node: str
    verdict: Verdict
    began: datetime
    last: datetime
    looks: int = 1
    boot_id: str | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Reliability:
    """How a node has done.

    Attributes:
        watched: Seconds for which it was looked at, the gaps between looks included while they are short.
        failures: How often it became critical.
        well: Share of the watched time in which it was not critical; None where it was not watched.
    """

    node: str
    watched: float
    failures: int
    well: float | None

    @property
    def mtbf(self) -> float | None:
        """Mean seconds between failures; None without a failure."""
        return None if not self.failures else self.watched * (self.well or 0.0) / self.failures


def reliability(stretches: Iterable[Stretch], since: datetime) -> dict[str, Reliability]:
    """How each node has done since then. Pure."""
    by_node: dict[str, list[Stretch]] = {}
    for one in stretches:
        by_node.setdefault(one.node, []).append(one)
    found = {}
    for node, own in by_node.items():
        watched = bad = 0.0
        failures = 0
        before: Stretch | None = None
        for one in own:
            begin = max(one.began, since)
            if before is not None and begin - before.last <= GAP:
                begin = max(before.last, since)  # what came in between lies between two looks
            seconds = max(0.0, (one.last - begin).total_seconds())
            watched += seconds
            if one.verdict == "critical":
                bad += seconds
                failures += before is None or before.verdict != "critical"
            before = one
        found[node] = Reliability(node, watched, failures, None if not watched else 1 - bad / watched)
    return found


def clean_looks(stretches: Iterable[Stretch]) -> dict[str, int]:
    """By node, at how many looks in a row up to the last nothing was critical and nothing unknown. Pure.

    Args:
        stretches: Oldest first.
    """
    found: dict[str, int] = {}
    for one in stretches:
        well = one.verdict in {"ok", "warn"}
        found[one.node] = found.get(one.node, 0) + one.looks if well else 0
    return found
