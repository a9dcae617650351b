"""Power: what the BMC of a node has said while the head does not hear the node, and when that proves it off. Pure.

A wrong `off` would have two attempts write at once. So it counts only where it was asked for after the head had lost
the node, was told twice, `APART` from each other, and is told again within `FRESH`; a word of the node, or `on`, ends
it. And a BMC that says `off` of a node which goes on answering is another's, by a wrong address: it is not believed,
nor is one that never said `on` of its node while that was heard.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l0_nodes.power import PowerState

from .hearing import Hearing
from .watch import Watch

APART = 2.0
"""Seconds from the answer of the first `off` to the question of the second: a BMC that is just switching says both."""

FRESH = 30.0
"""Seconds for which an answer is believed; what it has proved of an attempt by then holds (`fence.py`)."""

AGAIN = 10.0
"""Seconds from one question to the next, of one node."""

AGAIN_LATER = 60.0
"""The same, once the node was silent for `LATER`: what is cut off for days need not be asked all the time."""

LATER = 600.0

CHECK_AGAIN = 60.0
"""Seconds from one question about a node that is heard to the next, until its BMC says `on`."""


@dataclass(frozen=True, slots=True)
class PowerTold:
    """One answer of a BMC.

    Attributes:
        asked: When it was asked, by the steady clock: what it says was true at that time or later.
        at: When it had answered.
        words: What it said, or why it is unknown.
    """

    node: str
    asked: float
    at: float
    state: PowerState
    words: str


@dataclass(frozen=True, slots=True)
class Power:
    """What is known of the power of one node.

    Attributes:
        asked: When a question was last written down.
        asking: Whether it is still open.
        told: The newest answer.
        offs: The first and the newest `off` in a row of one silence, none too old when the next was asked for.
        odd: The newest `off` that was told of a node which was heard; None once `on` is told.
        seen: Whether it has said `on` of the node while that was heard, and not `off` since.
        boot: Which boot of the node that was.
    """

    asked: float
    asking: bool = True
    told: PowerTold | None = None
    offs: tuple[PowerTold, ...] = ()
    odd: PowerTold | None = None
    boot: str = ""
    seen: bool = False

    def after(self, told: PowerTold, hearing: Hearing) -> "Power":
        """What is known after an answer; one that is older than what is known changes nothing."""
        if self.told is not None and told.asked <= self.told.asked:
            return self
        offs = self.offs
        if told.state == "on":
            return replace(self, told=told, offs=(), odd=None, seen=self.seen or _while_heard(told, hearing))
        if told.state == "off" and hearing.up:
            return replace(self, told=told, offs=(), odd=told, boot=hearing.boot_id, seen=False)
        if told.state == "off":
            goes_on = bool(offs) and told.asked - offs[-1].asked <= FRESH and _within(offs[0], hearing)
            offs = (offs[0], told) if goes_on else (told,)
        return replace(self, told=told, offs=offs)

    def due(self, hearing: Hearing, now: float) -> bool:
        """Whether a silent node's BMC is to be asked again."""
        long = hearing.silent is not None and now - hearing.silent >= LATER
        return not self.asking and now - self.asked >= (AGAIN_LATER if long else AGAIN)

    def unchecked(self, now: float) -> bool:
        """Whether the BMC of a node that is heard is to be asked again: it was not yet seen to be the node's."""
        return not self.seen and not self.asking and now - self.asked >= CHECK_AGAIN

    def wrong(self, hearing: Hearing) -> bool:
        """Whether it has said `off` of a node that was heard afterwards, and has not booted since."""
        if self.odd is None or hearing.heard is None:
            return False
        return hearing.heard > self.odd.at and hearing.boot_id == self.boot

    def off(self, hearing: Hearing, now: float) -> float | None:
        """Since when the node is proved to be without power, if the BMC is its own; None where it is not."""
        if not self.offs or not _within(self.offs[0], hearing) or self.wrong(hearing):
            return None
        first, last = self.offs[0], self.offs[-1]
        proved = last.asked - first.at >= APART and now - last.asked <= FRESH
        return first.at if proved else None


def _within(told: PowerTold, hearing: Hearing) -> bool:
    """Whether it was asked for since the head does not hear the node: what was true before proves nothing."""
    return hearing.silent is not None and told.asked >= hearing.silent


def _while_heard(told: PowerTold, hearing: Hearing) -> bool:
    return hearing.heard is not None and (hearing.silent is None or told.at < hearing.silent)


def after(known: Mapping[str, Power], told: Iterable[PowerTold], watch: Watch) -> Mapping[str, Power]:
    """What is known of all nodes after answers."""
    found = dict(known)
    for one in told:
        before = found.get(one.node, Power(one.asked, asking=False))
        found[one.node] = before.after(one, watch.node(one.node))
    return found


def begun(known: Mapping[str, Power], node: str, now: float) -> Mapping[str, Power]:
    """What is known once a question is written down."""
    before = known.get(node)
    return {**known, node: Power(now) if before is None else replace(before, asked=now, asking=True)}


def ended(known: Mapping[str, Power], nodes: Iterable[str]) -> Mapping[str, Power]:
    """What is known once questions are no longer open, answered or not."""
    return {**known, **{node: replace(known[node], asking=False) for node in nodes if node in known}}


def unproved(known: Mapping[str, Power], watch: Watch) -> tuple[str, ...]:
    """The nodes whose BMCs proved nothing when they were asked last, with why, in lines for the operator."""
    why: dict[str, list[str]] = {}
    for node, power in sorted(known.items()):
        if power.wrong(watch.node(node)):
            why.setdefault("the BMC says off of a node that answers, and is not believed", []).append(node)
        elif power.told is not None and power.told.state == "unknown":
            why.setdefault(power.told.words, []).append(node)
    return tuple(f"{fold(nodes)}: {words}" for words, nodes in why.items())
