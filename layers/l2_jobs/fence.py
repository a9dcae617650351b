"""Fence: what of an attempt may still run, and when at the latest it no longer does. Pure.

A rank group is over when it has said so, when its node has booted since, or when its node is proved to be off. One
whose node is silent is over once its lease must have ended, counted from the last word that it can have heard:

- the head's: beats stop with `Silent`; those of an earlier controller stopped before this one began;
- a peer's: one that has ended was heard until then at the latest; one that still runs is heard on and on;
- two or more that are all silent may hear each other, so each goes on for `lease.PEERS_ONLY` without the head.

A group without peers has no lease: only a word of it, a boot, or proof that its node is off ends it.

Such a proof holds for the attempt once it was made, however old it grows: what has lost its power does not run on when
that comes back. Only a node that is heard again without having booted, or that a peer hears, was never off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import lease
from .attempt import Attempt
from .node import Place
from .track import Group, Track
from .watch import Watch

STARTING = 10.0
"""Seconds that an agent goes on which hears nothing: what it was asked to start, it has started by then."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What is known of the rank groups of an attempt.

    Attributes:
        over: Nodes on which it is told or proved that nothing of it runs, and since when.
        dead: Those of them that were not told but proved: the node has booted or is off, with the proof.
        running: Nodes that answer, or were never asked, and on which something may run.
        silent: Nodes that do not answer, and on which something may run.
        until: When the leases of `silent` have ended at the latest; None where no time ends them (as things are).
        off: Nodes that are proved off, or were while this attempt was there, and since when.
    """

    over: Mapping[str, float]
    dead: Mapping[str, str]
    running: tuple[str, ...]
    silent: tuple[str, ...]
    until: float | None
    off: Mapping[str, float] = field(default_factory=dict)

    def closed(self, now: float) -> bool:
        """Whether nothing of the attempt can write any more."""
        return not self.running and (not self.silent or (self.until is not None and now >= self.until))


def fence(
    attempt: Attempt, watch: Watch, places: Mapping[str, Place], began: float, proved: Mapping[str, float] | None = None
) -> Fence:
    """What of `attempt` may still run.

    Args:
        attempt: The attempt.
        watch: What was told.
        places: The nodes.
        began: When this controller began.
        proved: `Fence.off` of this attempt, as it was.
    """
    track = watch.track(attempt.key)
    over: dict[str, float] = {}
    dead: dict[str, str] = {}
    running: list[str] = []
    silent: list[str] = []
    off: dict[str, float] = {}
    for node in attempt.allocation.nodes:
        group, hearing = track.group(node), watch.node(node)
        told, since = _told(group), _off(node, places, proved or {})
        if since is not None and not _lives(attempt, track, watch, node):
            off[node] = since
        if told is not None:
            over[node] = told
        elif node in off:
            over[node], dead[node] = off[node], "its BMC has said twice that it is without power"
        elif booted(track, watch, node):
            over[node], dead[node] = hearing.since or hearing.heard or began, "it has booted since"
        elif hearing.silent is None:
            running.append(node)
        else:
            silent.append(node)
    ended_by_time = bool(silent) and not running and len(over) + len(silent) > 1
    until = _until(track, watch, over, silent, began) if ended_by_time else None
    return Fence(over, dead, tuple(running), tuple(silent), until, off)


def booted(track: Track, watch: Watch, node: str) -> bool:
    """Whether a node has booted since the attempt's rank group ran there."""
    before, now = track.group(node).boot_id, watch.node(node).boot_id
    return bool(before and now and before != now)


def _off(node: str, places: Mapping[str, Place], proved: Mapping[str, float]) -> float | None:
    place = places.get(node)
    return proved.get(node, place.off if place is not None else None)


def _lives(attempt: Attempt, track: Track, watch: Watch, node: str) -> bool:
    """Whether a node has gone on: it answers and has not booted, or a peer hears it."""
    heard = watch.node(node).up and not booted(track, watch, node)
    return heard or _heard_by_peer(attempt, track, watch, node)


def _heard_by_peer(attempt: Attempt, track: Track, watch: Watch, node: str) -> bool:
    """Whether a peer that is heard hears a node: it has power then, whichever BMC was asked."""
    for peer in attempt.allocation.nodes:
        group = track.group(peer)
        speaks = group.started is not None and not group.over and watch.node(peer).up
        if peer != node and speaks and node not in group.misses:
            return True
    return False


def _told(group: Group) -> float | None:
    if group.ended is not None:
        return group.ended.at
    return group.refused.at if group.refused is not None else None


def _until(track: Track, watch: Watch, over: Mapping[str, float], silent: list[str], began: float) -> float:
    word = max(max(watch.node(node).silent or began, began) for node in silent)
    if len(silent) > 1:
        word += lease.PEERS_ONLY
    word = max(word, *over.values()) if over else word
    if any(track.group(node).started is None for node in silent):
        word += STARTING
    return word + lease.EXPIRED
