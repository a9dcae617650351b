"""News: what is told after a look that nobody watches, each thing once: what has come since, and what is over. Pure.

Over is what has ended, and nothing else: not what is no longer seen for a moment, nor what was not looked for this
time, nor what could not be read.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from .episode import Episode
from .finding import Finding
from .hold_reason import POLICY
from .node_state import IN_SERVICE, UNDERWAY, StateChange
from .notice import Change, Turn


@dataclass(frozen=True, slots=True)
class News:
    """What there is to tell.

    Attributes:
        came: What was not told before.
        over: What was told, and has ended.
        known: What goes on and is told with this, by the key under which it is known again.
    """

    came: tuple[Change, ...] = ()
    over: tuple[Change, ...] = ()
    known: Mapping[str, Change] = field(default_factory=dict)


def ongoing(findings: Iterable[Finding], waiting: Mapping[str, str]) -> dict[str, Change]:
    """What goes on now, by a key; values that move from look to look are not in the key.

    Args:
        findings: Of a look; of those that count it is told.
        waiting: Why something is not done, by a key that stays the same while that lasts.
    """
    found = {
        _key(one): Change("came", one.words, one.node, one.check, one.about or None, one.verdict, one.action, one.owner)
        for one in findings
        if one.counts
    }
    return {**found, **{key: Change("came", message) for key, message in waiting.items()}}


def unended(episodes: Iterable[Episode]) -> frozenset[str]:
    """The keys of episodes that go on, whether or not this look has seen them."""
    return frozenset(_key(one) for one in episodes)


def news(told: Mapping[str, Change], now: Mapping[str, Change], going_on: Collection[str] = ()) -> News:
    """What there is to tell.

    Args:
        told: What was told, by its key.
        now: What is to be known now, by its key.
        going_on: Keys of what has not ended, though it may not be in `now`.
    """
    unread = {(one.node, one.check, one.about) for one in now.values() if one.verdict == "unknown"}

    def lasts(key: str, change: Change) -> bool:
        of_all, of_this = (change.node, change.check, None), (change.node, change.check, change.about)
        hidden = change.verdict not in {None, "unknown"} and not unread.isdisjoint({of_all, of_this})
        return key in going_on or hidden

    kept = {key: change for key, change in told.items() if key not in now and lasts(key, change)}
    return News(
        tuple(change for key, change in now.items() if key not in told),
        tuple(replace(one, turn="over") for key, one in told.items() if key not in now and key not in kept),
        {**now, **kept},
    )


def deeds(changes: Iterable[StateChange]) -> tuple[Change, ...]:
    """What the policy has done, of changes of state."""
    return tuple(
        Change(turn, one.cause, one.node, one.finding or None, run=one.run or None)
        for one in changes
        if one.actor == POLICY and (turn := _turn(one)) is not None
    )


def _turn(change: StateChange) -> Turn | None:
    """What is told of a change of state; None: it is only a step on the way."""
    if change.after == "rma":
        return "retired"
    if change.before in UNDERWAY:
        if change.after in IN_SERVICE:
            return "repaired"
        return "not_repaired" if change.after == "drained" else None
    if change.after == "draining":
        return "drained"
    return "resumed" if change.after in IN_SERVICE else None


def _key(one: Finding | Episode) -> str:
    return f"{one.node} {one.check} {one.about} {one.verdict}"
