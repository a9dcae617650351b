"""Ethernet ports: whether they are up, and how fast; likewise bonds of them. What a port should be: see `links`."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from aiops.layers.l1_cluster.expectation import VIRTUAL_CARDS

from .check import Check, Limits, Sighting, Subject
from .ethernet_reading import BONDS_ASK, CARDS_ASK, Card, read_bonds, read_cards
from .growth import UPTIME_ASK
from .infiniband import is_bare
from .links import Link, down, learned, remembered, slow, wanted

KINDS = frozenset({"ethernet"})
_DOWN = ("down", "lowerlayerdown", "notpresent", "dormant")


def has_cards(subject: Subject) -> bool:
    """Whether there are Ethernet ports, or some are expected.

    Raises:
        UnreadableError: The node does not say.
    """
    if not is_bare(subject):
        return False
    expect = subject.variables.aiops_expect
    return bool(subject.read(read_cards)) or (expect is not None and any(one.kind in KINDS for one in expect.nics))


def links_of(subject: Subject) -> list[Link]:
    """The interfaces as links; of those that are no ports of a card only what `ip` says, and nothing is remembered.

    Raises:
        UnreadableError: The ports cannot be read.
    """
    links = {card.name: _link(card) for card in subject.read(read_cards)}
    for one in subject.facts.interfaces or ():
        if one.name not in links and not one.name.startswith(VIRTUAL_CARDS):
            gbit = None if one.speed is None else one.speed / 1000
            state = one.state or "unknown"
            links[one.name] = Link(one.name, one.name, one.name, "ethernet", state not in _DOWN, gbit, state)
    return list(links.values())


def _link(card: Card) -> Link:
    gbit = None if card.mbit is None else card.mbit / 1000
    state = card.state or "unknown"
    up = state not in _DOWN  # some drivers do not say
    return Link(card.name, card.name, card.name, "ethernet", up, gbit, state, f"eth.{card.name}.best_mbit")


def down_cards(subject: Subject) -> Iterator[Sighting]:
    """The Ethernet ports that should be up and are not.

    Raises:
        UnreadableError: The node does not say which it has, or when it booted.
    """
    expect = subject.variables.aiops_expect
    if expect is not None and any(one.kind in KINDS for one in expect.nics):
        subject.fact("interfaces")
    # what an adapter of RDMA was like before is remembered of its port, `ib.port_state`
    verbs = {card.name for card in subject.read(read_cards) if card.rdma is not None}
    links = [replace(one, memory=None) if one.name in verbs else one for one in links_of(subject)]
    return down(subject, links, KINDS)


def _linked(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for card in subject.read(read_cards):
        if card.state is None:
            yield Sighting("unknown", "it does not say whether it is up", card.name)
    yield from down_cards(subject)


def _remembered(subject: Subject) -> Mapping[str, int]:
    return remembered(subject, links_of(subject))


def _speeds(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    links = links_of(subject)
    told = set()
    for link, want in slow(subject, links, KINDS):
        told.add(link.about)
        said = f"{link.gbit:g} Gbit/s, {want.gbit:g} expected ({want.why})"
        yield Sighting("warn", said, link.about, {"gbit": link.gbit, "expected_gbit": want.gbit})
    chips = {card.name: card.chip for card in subject.read(read_cards)}
    for bond in subject.read(read_bonds):
        slaves = [link for link in links if link.name in bond.slaves and link.up and link.gbit and link.name in chips]
        for link in slaves:
            faster = max((o.gbit or 0 for o in slaves if chips[o.name] == chips[link.name]), default=0)
            if (link.gbit or 0) < faster and link.about not in told and learned(subject, link) is None:
                said = f"{link.gbit:g} Gbit/s, {faster:g} by another port of its card in {bond.name}"
                yield Sighting("warn", said, link.about, {"gbit": link.gbit, "expected_gbit": faster})


def _bonds(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    links = {link.name: link for link in links_of(subject)}
    for bond in subject.read(read_bonds):
        used = {name: state for name, state in bond.slaves.items() if not _is_unused(subject, links.get(name))}
        idle = {name: state for name, state in used.items() if state not in {"up", "unknown"}}
        if not idle:
            continue
        evidence = {"bond": bond.name, "mode": bond.mode, "slaves": dict(bond.slaves)}
        if len(idle) < len(used):
            for name, state in idle.items():
                yield Sighting("warn", f"is {state} in {bond.name}, which has {len(used)} ports", name, evidence)
        elif any(_was_up(subject, links.get(name)) for name in idle):
            yield Sighting("critical", f"none of its {len(used)} ports is up", bond.name, evidence)


def _is_unused(subject: Subject, link: Link | None) -> bool:
    return link is not None and learned(subject, link) == 0


def _was_up(subject: Subject, link: Link | None) -> bool:
    return link is not None and wanted(subject, link) is not None


def _has_bonds(subject: Subject) -> bool:
    return is_bare(subject) and any(bond.slaves for bond in subject.read(read_bonds))


CHECKS = (
    Check(
        id="eth.link",
        title="links of Ethernet ports are up where they should be",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a port is down that is expected by what was learned or by the inventory; warn when it was"
        " up since this boot.",
        remedy="Look at both ends: `ip -brief link`, `ethtool INTERFACE`; then reseat or replace the cable. A port that"
        " is to be down is one of which `eth.INTERFACE.mbit` 0 is expected.",
        source="gpud and NVSentinel alarm on ports that go down; what is expected is aiops' own",
        asks=(CARDS_ASK, UPTIME_ASK),
        judge=_linked,
        applies=has_cards,
        tags=("link", "network"),
        sightings=2,
        grace=True,
        counters=_remembered,
    ),
    Check(
        id="eth.speed",
        title="links of Ethernet ports run at full speed",
        severity="warn",
        action="service",
        owner="node",
        judges="Warn when a port is slower than learned, than the inventory says, than it was since this boot, or than"
        " another port of its card in the same bond.",
        remedy="Look what both ends offer: `ethtool INTERFACE`; reseat or replace the cable, or set the switch's port."
        " If it is slower on purpose, that is what is to be expected of `eth.INTERFACE.mbit`.",
        source="Meta's gcm compares each link with its manifest; what is expected is aiops' own",
        asks=(CARDS_ASK, BONDS_ASK, UPTIME_ASK),
        judge=_speeds,
        applies=has_cards,
        tags=("link", "network"),
        sightings=2,
        grace=True,
        counters=_remembered,
    ),
    Check(
        id="eth.bond",
        title="all ports of a bond are up",
        severity="critical",
        action="service",
        owner="node",
        judges="Warn when a port of a bond is down while another is up; critical when none is up and one is expected to"
        " be. A port that is learned to be unused does not count.",
        remedy="Look which port it is and at its cable: `cat /proc/net/bonding/BOND`, `ethtool INTERFACE`.",
        source="aiops' own: a bond works on, slower and without a second way, and nobody sees it",
        asks=(BONDS_ASK, CARDS_ASK, UPTIME_ASK),
        judge=_bonds,
        applies=_has_bonds,
        tags=("link", "network"),
        sightings=2,
        grace=True,
    ),
)
