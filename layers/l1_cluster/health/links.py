"""What is expected of a link: that it is there, and how fast.

Known from what was learned of the group (`ib.mlx5_0.gbit`, `eth.eth0.mbit`; 0 for a port that has no cable on
purpose), from the inventory (`aiops_expect`: how many of a kind), or from what the link itself has shown before. Where
nothing is known, nothing is expected: a port without a cable alarms nobody.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from aiops.layers.l0_nodes.variables import ExpectedNics

from .check import Sighting, Subject
from .growth import best, is_settled

CALLED = {"infiniband": "InfiniBand", "roce": "RoCE", "ethernet": "Ethernet"}
_MBIT_PER_GBIT = 1000


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a node to a switch.

    Attributes:
        about: What findings call it: `mlx5_0/1`, `eth0`.
        name: What traits call it: `mlx5_0`, `eth0`.
        pattern: What patterns of the inventory are compared with.
        state: In words, for messages: `down (Polling)`.
        memory: Under which name its best speed is remembered; None: it is not.
        this_boot: Whether what was before the last boot is another link's, for names may have changed.
    """

    about: str
    name: str
    pattern: str
    kind: Literal["infiniband", "roce", "ethernet", "other"]
    up: bool
    gbit: float | None
    state: str
    memory: str | None = None
    this_boot: bool = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """Gbit/s that a link should have, and why, in words; `stated` where a person or a reviewed file says so."""

    gbit: float
    why: str
    stated: bool


def learned(subject: Subject, link: Link) -> float | None:
    """Gbit/s that are learned of a link; 0 where it is not used on purpose, None where nothing was learned."""
    fabric = subject.expected.number(f"ib.{link.name}.gbit")
    mbit = subject.expected.number(f"eth.{link.name}.mbit")
    return mbit / 1000 if fabric is None and mbit is not None else fabric


def wanted(subject: Subject, link: Link) -> Wanted | None:
    """What a link should have; None where nothing is known of it, or that it is not used.

    Raises:
        UnreadableError: The node does not say when it booted, and so not what is remembered of this boot.
    """
    gbit = learned(subject, link)
    if gbit is not None:
        return Wanted(gbit, subject.expected.source or "learned", stated=True) if gbit > 0 else None
    known = best(subject, link.memory, this_boot=link.this_boot) if link.memory is not None else None
    return Wanted(known / _MBIT_PER_GBIT, "which it had before", stated=False) if known else None


def remembered(subject: Subject, links: Sequence[Link]) -> Mapping[str, int]:
    """The best speed of each link in Mbit/s, by the name of its memory, this examination counted in.

    Raises:
        UnreadableError: The node does not say when it booted.
    """
    speeds: dict[str, int] = {}
    for link in links:
        if link.memory is not None and link.up and link.gbit and (not link.this_boot or is_settled(subject)):
            known = best(subject, link.memory, this_boot=link.this_boot) or 0
            speeds[link.memory] = max(known, round(link.gbit * _MBIT_PER_GBIT))
    return speeds


def down(subject: Subject, links: Sequence[Link], kinds: Collection[str]) -> Iterator[Sighting]:
    """The links that should be up by what is known of this node alone, and are not; each once.

    Args:
        subject: The node.
        links: Its links.
        kinds: Of which kinds what the inventory expects is judged.

    Raises:
        UnreadableError: The node does not say when it booted.
    """
    told: set[str] = set()
    for link in links:
        want = None if link.up else wanted(subject, link)
        if want is not None:
            told.add(link.about)
            sure = want.stated or link.kind != "ethernet"  # names of Ethernet ports are given anew at each boot
            said = f"is {link.state}, {want.gbit:g} Gbit/s expected ({want.why})"
            yield Sighting("critical" if sure else "warn", said, link.about, _evidence(link, want))
    for counted in _counted(subject, kinds):
        yield from _too_few(subject, counted, links, told)


def slow(subject: Subject, links: Sequence[Link], kinds: Collection[str]) -> Iterator[tuple[Link, Wanted]]:
    """The links that are up and slower than they should be by what is known of this node alone; each once.

    Raises:
        UnreadableError: The node does not say when it booted.
    """
    told: set[str] = set()
    for link in links:
        want = wanted(subject, link)
        if want is not None and link.up and link.gbit and link.gbit < want.gbit:
            told.add(link.about)
            yield link, want
    for counted in _counted(subject, kinds):
        least = counted.speed_gbit or 0
        own = [(link, link.gbit) for link in _matching(subject, counted, links) if link.up and link.gbit]
        if sum(1 for _, gbit in own if gbit >= least) >= counted.count:
            continue  # the others are spare
        for link, gbit in own:
            if gbit < least and link.about not in told and not learned(subject, link):
                told.add(link.about)
                yield link, Wanted(least, "the inventory", stated=True)


def _counted(subject: Subject, kinds: Collection[str]) -> list[ExpectedNics]:
    expect = subject.variables.aiops_expect
    return [one for one in expect.nics if one.kind in kinds] if expect is not None else []


def _matching(subject: Subject, counted: ExpectedNics, links: Sequence[Link]) -> list[Link]:
    own = (one for one in links if one.kind == counted.kind and fnmatchcase(one.pattern, counted.name))
    return [link for link in own if learned(subject, link) != 0]


def _too_few(subject: Subject, counted: ExpectedNics, links: Sequence[Link], told: set[str]) -> Iterator[Sighting]:
    """The links of a kind that are missing, by name where it is clear which they are; `told` are told already."""
    own = _matching(subject, counted, links)
    idle = [link for link in own if not link.up]
    active = len(own) - len(idle)
    missing = counted.count - active
    if missing <= sum(1 for link in idle if link.about in told):
        return
    called = f"{CALLED[counted.kind]} ports" + ("" if counted.name == "*" else f" `{counted.name}`")
    said = f"{active} active {called}, {counted.count} expected in the inventory"
    evidence = {"active": active, "expected": counted.count, "down": [link.about for link in idle]}
    if len(idle) <= missing:
        for link in idle:
            if link.about not in told:
                told.add(link.about)
                yield Sighting("critical", f"is {link.state}: {said}", link.about, evidence)
    if len(idle) != missing:
        yield Sighting("critical", said, called, evidence)


def _evidence(link: Link, want: Wanted) -> dict[str, object]:
    return {"state": link.state, "gbit": link.gbit, "expected_gbit": want.gbit, "source": want.why}
