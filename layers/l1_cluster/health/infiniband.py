"""Ports of InfiniBand and RoCE adapters: whether they are up, and how fast.

What a port should be is known from `links`. Beside that, nodes with the same adapters are compared: a port that is up,
or faster, on nearly all of them should be so on each.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from aiops.layers.l0_nodes.answer_reading import UnreadableError

from .check import Check, Limits, Sighting, Subject, Threshold
from .growth import UPTIME_ASK, best, is_settled
from .links import Link, down, learned, remembered, slow
from .rdma_reading import PORTS_ASK, Port, read_ports

KINDS = frozenset({"infiniband", "roce"})
_COUNT = "rdma.ports"

Shared = Callable[[Link], str | None]
"""How many of the nodes with the same adapters have a port better, where those are nearly all: `7 of 7 nodes alike`."""


def is_bare(subject: Subject) -> bool:
    """Whether the node's hardware is its own; a container sees its host's."""
    return subject.facts.container is not True


def has_ports(subject: Subject) -> bool:
    """Whether there are ports, or some are expected.

    Raises:
        UnreadableError: The node does not say.
    """
    if not is_bare(subject):
        return False
    expect = subject.variables.aiops_expect
    return bool(subject.read(read_ports)) or (expect is not None and any(one.kind in KINDS for one in expect.nics))


def links_of(subject: Subject, kinds: Collection[str] = ("infiniband", "roce", "other")) -> list[Link]:
    """The ports as links; those whose state is unknown are left out.

    Raises:
        UnreadableError: The ports cannot be read.
    """
    return [_link(port) for port in subject.read(read_ports) if port.state is not None and port.kind in kinds]


def countable(subject: Subject, kinds: Collection[str]) -> Collection[str]:
    """Of which of `kinds` it is known how many ports are active: of none where the state of one is unknown.

    Raises:
        UnreadableError: The ports cannot be read.
    """
    return kinds if all(port.state is not None for port in subject.read(read_ports)) else ()


def _link(port: Port) -> Link:
    state = f"{port.state} ({port.physical})" if port.physical else str(port.state)
    memory = f"rdma.{port.guid}/{port.number}.best_mbit" if port.guid is not None else None
    return Link(port.about, port.name, port.device, port.kind, port.active, port.gbit, state, memory, this_boot=False)


def _remembered(subject: Subject) -> Mapping[str, int]:
    speeds = dict(remembered(subject, links_of(subject)))
    if is_settled(subject):
        speeds[_COUNT] = max(best(subject, _COUNT, this_boot=True) or 0, _count(subject))
    return speeds


def _count(subject: Subject) -> int:
    """Ports of real adapters; those of software come and go as somebody likes."""
    return sum(1 for port in subject.read(read_ports) if port.hardware)


def _states(subjects: Sequence[Subject], limits: Limits) -> Iterator[tuple[str, Sighting]]:
    managed = any(link.up for one in subjects for link in links_of(one, ("infiniband",)))
    for subject, shared in _with_alike(subjects, limits):
        yield from ((subject.node.name, one) for one in _state(subject, shared, managed=managed))
        try:
            yield from ((subject.node.name, one) for one in _gone(subject))
        except UnreadableError as error:
            yield subject.node.name, Sighting("unknown", str(error))


def _state(subject: Subject, shared: Shared, *, managed: bool) -> Iterator[Sighting]:
    ports = {port.about: port for port in subject.read(read_ports)}
    yield from (Sighting("unknown", port.why, port.about) for port in ports.values() if port.state is None)
    seen = {one.about: one for one in down(subject, links_of(subject), countable(subject, KINDS))}
    for link in links_of(subject):
        if link.up or learned(subject, link) == 0:
            continue
        sighting, peers = seen.get(link.about), shared(link)
        if sighting is None and peers is not None:
            sighting = Sighting("warn", f"is {link.state}, and up on {peers}", link.about, {"state": link.state})
        port = ports[link.about]
        if port.kind == "infiniband" and port.physical == "LinkUp" and port.state in {"init", "armed"}:
            sighting = _waiting(link, sighting, managed=managed)
        if sighting is not None:
            seen[link.about] = sighting
    yield from seen.values()


def _waiting(link: Link, sighting: Sighting | None, *, managed: bool) -> Sighting:
    """A port that has a link, and that no subnet manager has configured: the fabric's, where none has any other."""
    said = f"is {link.state}: no subnet manager has configured it"
    told = Sighting("warn" if sighting is None else sighting.severity, said, link.about, {"state": link.state})
    return replace(told, action="reset_device") if managed else replace(told, action="none", owner="fabric")


def _gone(subject: Subject) -> Iterator[Sighting]:
    count, earlier = _count(subject), best(subject, _COUNT, this_boot=True) or 0
    if count < earlier:
        said = f"{count} ports of RDMA adapters, {earlier} since it has booted"
        yield Sighting("critical", said, "RDMA ports", {"ports": count, "earlier": earlier}, action="reboot")


def _with_alike(subjects: Sequence[Subject], limits: Limits) -> Iterator[tuple[Subject, Shared]]:
    """Each node, with how those compare that have the same adapters."""
    layouts = {one.node.name: tuple((port.about, port.kind) for port in one.read(read_ports)) for one in subjects}
    sizes = Counter(layouts.values())
    ranks: dict[tuple[object, str], Counter[float]] = {}
    for subject in subjects:
        for link in links_of(subject):
            ranks.setdefault((layouts[subject.node.name], link.about), Counter())[_rank(link)] += 1
    for subject in subjects:
        layout = layouts[subject.node.name]

        def shared(link: Link, layout: object = layout, others: int = sizes[layout] - 1) -> str | None:
            better = sum(count for rank, count in ranks[layout, link.about].items() if rank > _rank(link))
            enough = better >= limits["peers"] and better * 100 >= limits["share"] * others
            return f"{better} of {others} nodes alike" if enough else None

        yield subject, shared


def _rank(link: Link) -> float:
    return (link.gbit or 0.0) if link.up else -1.0


def _rates(subjects: Sequence[Subject], limits: Limits) -> Iterator[tuple[str, Sighting]]:
    for subject, shared in _with_alike(subjects, limits):
        yield from ((subject.node.name, one) for one in _rate(subject, shared))


def _rate(subject: Subject, shared: Shared) -> Iterator[Sighting]:
    # how fast a RoCE port once was is judged by its interface, `eth.speed`
    links = [replace(one, memory=None) if one.kind == "roce" else one for one in links_of(subject)]
    wanted = {link.about: want for link, want in slow(subject, links, KINDS)}
    ports = {port.about: port for port in subject.read(read_ports)}
    for link in links:
        lanes = ports[link.about].lanes
        if not link.up or learned(subject, link) == 0:
            continue
        if link.gbit is None:
            yield Sighting("unknown", "it does not say how fast it is", link.about)
            continue
        said = f"{link.gbit:g} Gbit/s" + (
            "" if lanes is None else " by one lane" if lanes == 1 else f" by {lanes} lanes"
        )
        evidence = {"gbit": link.gbit, "lanes": lanes}
        want = wanted.get(link.about)
        if want is not None:
            evidence["expected_gbit"] = want.gbit
            said += f", {want.gbit:g} expected ({want.why})"
            yield Sighting("critical" if want.stated else "warn", said, link.about, evidence)
        elif link.kind == "infiniband" and learned(subject, link) is None:
            peers = shared(link)
            if peers is not None:
                yield Sighting("warn", f"{said}, more on {peers}", link.about, evidence)
            elif lanes == 1:
                yield Sighting("warn", said, link.about, evidence)


_PEERS = (
    Threshold("peers", 3, "nodes", "aiops' own: two may differ by chance", least=1),
    Threshold(
        "share", 75, "% of them", "aiops' own: a port that many leave empty is empty on purpose", least=1, most=100
    ),
)

CHECKS = (
    Check(
        id="ib.port_state",
        title="ports of InfiniBand and RoCE adapters that should be up are",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a port is not active that was so before, or is expected by what was learned or by the"
        " inventory; warn when it is active on three quarters of the nodes with the same adapters. A port without a"
        " cable that was never active is none of these.",
        remedy="Look at both ends: `ibstat`, `rdma link`; then reseat or replace cable and transceiver. A port that is"
        " to be empty is one of which `ib.DEVICE.gbit` 0 is expected.",
        source="Azure's healthagent alarms on any port that is not active; what is expected is aiops' own",
        asks=(PORTS_ASK, UPTIME_ASK),
        compare=_states,
        applies=has_ports,
        thresholds=_PEERS,
        tags=("link", "rdma"),
        sightings=2,
        grace=True,
        counters=_remembered,
    ),
    Check(
        id="ib.rate",
        title="ports of InfiniBand and RoCE adapters run at full speed",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a port is slower than learned or than the inventory says; warn when it is slower than it"
        " was before or than on three quarters of the nodes with the same adapters, or has lost all lanes but one.",
        remedy="Reseat the cable and look at the errors of the link: `mlxlink -d DEVICE -c`. If the switch is slower"
        " on purpose, that is what is to be expected of `ib.DEVICE.gbit`.",
        source="Azure's node health checks compare with a fixed rate; what is expected is aiops' own",
        asks=(PORTS_ASK,),
        compare=_rates,
        applies=has_ports,
        thresholds=_PEERS,
        tags=("link", "rdma"),
        sightings=2,
        grace=True,
    ),
)
