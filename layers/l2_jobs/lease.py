"""Lease: how long what runs on a node goes on when it hears nobody, and when the head may count on its end.

A rank group that hears neither the head nor any peer freezes its processes after `FREEZE`, and kills them after `KILL`.
One that hears a peer runs on for `PEERS_ONLY`. A group without peers runs on as long as its node does: only a node that
is known to be off, or a word of its launcher, ends it for the head.
"""

BEAT = 0.5
"""Seconds between two beats, of the head and of peers."""

MISSED = 2.5
"""A peer that was not heard for so long is told to the head."""

FREEZE = 4.0
KILL = 5.5
"""Seconds without a word, from the last one heard."""

PEERS_ONLY = 1800.0
"""Seconds that a gang goes on without the head."""

MARGIN = 1.0
"""Between two clocks' seconds, and for what a busy node needs to end what it has killed."""

EXPIRED = KILL + MARGIN
"""So long after the last word that a group can have heard, nothing of it runs."""
