"""How large a packet may be (MTU): all interfaces of one network must agree, on a node and between nodes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_interface

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l1_cluster.expectation import VIRTUAL_CARDS

from .check import Check, Limits, Sighting, Subject, Threshold
from .ethernet_reading import MTU_ASK, read_mtus

Network = IPv4Network | IPv6Network
_POINT_TO_POINT = 2
"""Addresses of a network that two nodes have for themselves, or one alone: there is nobody to differ from."""


def networks_of(subject: Subject) -> dict[Network, dict[str, int]]:
    """The packet size of each interface, by network.

    Raises:
        UnreadableError: Addresses or sizes cannot be read.
    """
    sizes = subject.read(read_mtus)
    networks: dict[Network, dict[str, int]] = {}
    for interface in subject.fact("interfaces"):
        if interface.name.startswith(VIRTUAL_CARDS) or interface.name not in sizes:
            continue
        for address in interface.addresses:
            try:
                network = ip_interface(address).network
            except ValueError as error:
                raise UnreadableError(f"{interface.name} has the address `{address[:60]}`") from error
            if network.num_addresses > _POINT_TO_POINT:
                networks.setdefault(network, {})[interface.name] = sizes[interface.name]
    return networks


def _compare(subjects: Sequence[Subject], limits: Limits) -> Iterator[tuple[str, Sighting]]:
    read: dict[str, dict[Network, dict[str, int]]] = {}
    for subject in subjects:
        name = subject.node.name
        try:
            read[name] = networks_of(subject)
        except UnreadableError as error:
            yield name, Sighting("unknown", str(error))
    usual = _usual(read.values(), limits)  # type: ignore[arg-type]
    for name, networks in read.items():
        for network, sizes in networks.items():
            if len(set(sizes.values())) > 1:
                told = ", ".join(f"{interface} {size}" for interface, size in sorted(sizes.items()))
                yield name, Sighting("warn", f"its interfaces differ in packet size: {told}", str(network), dict(sizes))
                continue
            if network not in usual:
                continue
            most, count, of = usual[network]
            for interface, size in sizes.items():
                if size != most:
                    said = f"packets of {size} bytes in {network}, {most} on {count} of {of} nodes"
                    evidence = {"network": str(network), "mtu": size, "usual": most}
                    yield name, Sighting("warn", said, interface, evidence)


def _usual(read: "Sequence[dict[Network, dict[str, int]]]", limits: Limits) -> dict[Network, tuple[int, int, int]]:
    """By network the size that most nodes have, on how many, and of how many; only where those are many enough."""
    votes: dict[Network, Counter[int]] = {}
    for networks in read:
        for network, sizes in networks.items():
            votes.setdefault(network, Counter()).update(set(sizes.values()))
    usual = {}
    for network, counted in votes.items():
        (size, count), total = counted.most_common(1)[0], counted.total()
        if count >= limits["nodes"] and 2 * count > total:
            usual[network] = (size, count, total)
    return usual


def _applies(subject: Subject) -> bool:
    interfaces = subject.fact("interfaces")
    return any(one.addresses for one in interfaces if not one.name.startswith(VIRTUAL_CARDS))


CHECKS = (
    Check(
        id="eth.mtu",
        title="interfaces of one network take packets of one size",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when a node's interfaces in one network differ in MTU, or its interface differs from most nodes'"
        " in that network.",
        remedy="Set the size that the others have: `ip link set INTERFACE mtu BYTES`, and in the network's"
        " configuration, so that it is still so after a reboot.",
        source="aiops' own: larger packets than a peer takes are lost without a word, while small ones pass",
        asks=(MTU_ASK,),
        compare=_compare,
        applies=_applies,
        thresholds=(Threshold("nodes", 3, "nodes", "aiops' own: so many must agree to be the usual", least=2),),
        tags=("network",),
    ),
)
