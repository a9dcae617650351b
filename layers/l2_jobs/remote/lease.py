"""The lease of a rank group: how long it goes on when it hears nobody. Pure, but for `now`, which is passed in.

A group that hears neither the head nor any peer is frozen after `freeze` seconds and ended after `kill`. One that hears
a peer goes on for `peers_only` seconds without the head. One that has no peers goes on as long as its node does: it is
nobody's to take over.

All is judged by the time since the last word was heard, never by how often anybody looked. So a launcher that was
itself stopped (a suspended node, a frozen host) finds its lease ended when it wakes, and must judge before it reads
what has piled up in its sockets meanwhile: words that were sent long ago renew nothing.

Standard library only, Python 3.6, imports nothing of ours.
"""

import time
from typing import Any, Dict, Iterable, List, Tuple

_CLOCK_BOOTTIME = 7  # time.CLOCK_BOOTTIME came with Python 3.7

RUN = "run"
FREEZE = "freeze"
KILL = "kill"


def clock() -> float:
    """Seconds that go on while the machine sleeps, where there is such a clock; monotonic ones elsewhere."""
    try:
        return time.clock_gettime(_CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        return time.monotonic()


class Lease(object):
    """Whom a group has heard, and what follows from it."""

    def __init__(self, times: Dict[str, float], peers: Iterable[str], now: float) -> None:
        """Begin: whoever starts a group has just been heard.

        Args:
            times: `missed`, `freeze`, `kill`, `peers_only` in seconds.
            peers: The names of the other groups' nodes.
            now: By `clock`.
        """
        self._times = times
        self._head = now
        self._peers = dict((name, now) for name in peers)
        self._silent: Any = set()

    def heard_head(self, now: float) -> None:
        """The head's beat has come."""
        self._head = max(self._head, now)

    def heard_peer(self, name: str, now: float) -> bool:
        """A peer's beat has come; whether it had been told silent."""
        if name not in self._peers:
            return False
        self._peers[name] = max(self._peers[name], now)
        if name in self._silent:
            self._silent.discard(name)
            return True
        return False

    def newly_silent(self, now: float) -> List[Tuple[str, float]]:
        """Peers that have not been heard for `missed` seconds, each once, with the seconds."""
        found = []
        for name, heard in sorted(self._peers.items()):
            if name not in self._silent and now - heard >= self._times["missed"]:
                self._silent.add(name)
                found.append((name, now - heard))
        return found

    def verdict(self, now: float) -> str:
        """RUN, FREEZE or KILL."""
        if not self._peers:
            return RUN
        alone = now - max(self._head, *self._peers.values())
        headless = now - self._head - self._times["peers_only"]
        if alone >= self._times["kill"] or headless >= self._times["kill"] - self._times["freeze"]:
            return KILL
        if alone >= self._times["freeze"] or headless >= 0:
            return FREEZE
        return RUN
