"""Many hosts whose links go down together: that is the switch, and no host is to be taken out of service for it.

`fabric.links` looks at all nodes at once and says so of each node that it concerns, in the same words. What the checks
of single nodes say about the same links stays true, but it is nobody's fault there: `attribute` gives it to the fabric.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from aiops.layers.l0_nodes.answer_reading import UnreadableError

from .check import Check, Limits, Sighting, Subject, Threshold
from .ethernet import down_cards, links_of
from .ethernet_errors import carrier_changes
from .ethernet_reading import CARDS_ASK, read_cards
from .finding import Finding
from .growth import UPTIME_ASK
from .infiniband import countable, is_bare
from .infiniband import links_of as ports_of
from .link_errors import link_downs
from .links import Link, down, wanted
from .rdma_reading import PORTS_ASK
from .rules import Rules

T = TypeVar("T")

CHECK, TAG = "fabric.links", "link"
"""The check that finds the switch, and the tag of those that judge one link of one node."""

_KINDS = {"InfiniBand": "infiniband", "Ethernet": "roce"}
"""By fabric, the ports of RDMA adapters in it."""

_CHANGES_PER_DOWN = 2


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Of one node in one fabric: the links that are down now, and those that went down often enough."""

    down: frozenset[str]
    flapping: frozenset[str]


def attribute(
    findings: Iterable[Finding], judged: Mapping[str, Sequence[str]], checks: Sequence[Check], rules: Rules
) -> tuple[Finding, ...]:
    """The findings, with those of single links that a switch has caused given to the fabric, and nothing to be done.

    They are those of the links that `fabric.links` names, and those that one check has of very many nodes at once:
    that needs nothing to be remembered. Where `fabric.links` is off or only observed, all stays as it is.

    Args:
        findings: All of one examination.
        judged: By node, the checks that had something to judge there.
        checks: All that were made; those with the tag `link` say something of one link.
        rules: The site's.
    """
    findings = tuple(findings)
    switch = next((check for check in checks if check.id == CHECK), None)
    if switch is None or CHECK in rules.observe:
        return findings
    seen = [one for one in findings if one.verdict != "unknown"]
    named = {(one.node, link) for one in seen if one.check == CHECK for link in one.evidence.get("links", ())}
    limits = rules.limits(switch, None)
    single = {check.id for check in checks if TAG in check.all_tags}
    nodes = {id_: {one.node for one in seen if one.check == id_} for id_ in single}
    asked = Counter(id_ for ids in judged.values() for id_ in ids)
    shared = {id_ for id_ in single if _are_many(len(nodes[id_]), asked[id_], limits)}
    return tuple(
        replace(one, owner="fabric", action="none")
        if one.verdict != "unknown" and one.check in single and (one.check in shared or (one.node, one.about) in named)
        else one
        for one in findings
    )


def _compare(subjects: Sequence[Subject], limits: Limits) -> Iterator[tuple[str, Sighting]]:
    for fabric in _KINDS:
        troubles = {one.node.name: _trouble(one, fabric, limits["downs"]) for one in subjects if _is_in(one, fabric)}
        down_now = sum(1 for trouble in troubles.values() if trouble.down)
        flapping = sum(1 for trouble in troubles.values() if trouble.flapping)
        now, lately = (_are_many(count, len(troubles), limits) for count in (down_now, flapping))
        # where links are down on many hosts, one that flaps on a few is another story
        links = {name: one.down if now and not lately else one.down | one.flapping for name, one in troubles.items()}
        troubled = {name: sorted(own) for name, own in links.items() if own}
        if not _are_many(len(troubled), len(troubles), limits):
            continue
        what = "are down" if now else f"went down {limits['downs']:g} times or more within 3 h"
        hosts = down_now if now else len(troubled)
        said = f"links of {hosts} of {len(troubles)} hosts {what}: look at the switch, drain no host"
        for name, own in troubled.items():
            evidence = {"hosts": len(troubled), "down": down_now, "of": len(troubles), "links": own}
            yield name, Sighting("critical" if now else "warn", said, fabric, evidence)


def _are_many(count: int, of: int, limits: Limits) -> bool:
    return count >= limits["hosts"] and count * 100 >= limits["share"] * of


def _is_in(subject: Subject, fabric: str) -> bool:
    """Whether a node has a link in a fabric that is used."""
    return is_bare(subject) and bool(_readable(partial(_used, subject, fabric)))


def _used(subject: Subject, fabric: str) -> Iterator[Link]:
    cards = {card.name for card in subject.read(read_cards)} if fabric == "Ethernet" else set()
    for link in (*ports_of(subject, (_KINDS[fabric],)), *(one for one in links_of(subject) if one.name in cards)):
        if link.up or wanted(subject, link) is not None:
            yield link


def _trouble(subject: Subject, fabric: str, downs: float) -> _Trouble:
    times = _times_of_ports if fabric == "InfiniBand" else _times_of_cards
    return _Trouble(
        frozenset(_readable(partial(_down, subject, fabric))),
        frozenset(about for about, count in _readable(partial(times, subject)) if count >= downs),
    )


def _down(subject: Subject, fabric: str) -> Iterator[str]:
    kind = _KINDS[fabric]
    yield from (one.about for one in down(subject, ports_of(subject, (kind,)), countable(subject, (kind,))))
    if fabric == "Ethernet":
        yield from (one.about for one in down_cards(subject))


def _times_of_ports(subject: Subject) -> Iterator[tuple[str, float]]:
    return ((about, growth.amount) for about, growth in link_downs(subject))


def _times_of_cards(subject: Subject) -> Iterator[tuple[str, float]]:
    return ((card.name, growth.amount / _CHANGES_PER_DOWN) for card, growth in carrier_changes(subject))


def _readable(work: Callable[[], Iterable[T]]) -> list[T]:
    """What can be read; the checks of the single links tell what cannot."""
    try:
        return list(work())
    except UnreadableError:
        return []


def _applies(subject: Subject) -> bool:
    return any(_is_in(subject, fabric) for fabric in _KINDS)


CHECKS = (
    Check(
        id=CHECK,
        title="links of many hosts do not go down together",
        severity="critical",
        action="none",
        owner="fabric",
        judges="Of at least 3 hosts, and a quarter of those in the fabric: critical when links of theirs are down that"
        " should be up, warn when links of theirs went down twice or more within 3 hours. What other checks say of"
        " these links is then the fabric's, too, and drains no host.",
        remedy="Look at the switch that these hosts share, and whether a subnet manager runs: `ibswitches`, `sminfo`,"
        " and the switch's log. Drain none of them for it.",
        source="what operators of large fleets report: one host is its cable, many at once are the switch;"
        " the numbers are aiops' own",
        asks=(PORTS_ASK, CARDS_ASK, UPTIME_ASK),
        compare=_compare,
        applies=_applies,
        thresholds=(
            Threshold("hosts", 3, "hosts", "aiops' own: two may have bad cables on one day", least=2),
            Threshold("share", 25, "% of the hosts", "aiops' own: about what hangs on one switch", least=1, most=100),
            Threshold("downs", 2, "within 3 h", "aiops' own: one less than blames a single host", least=1),
        ),
        tags=("network",),
        sightings=2,
        grace=True,
    ),
)
