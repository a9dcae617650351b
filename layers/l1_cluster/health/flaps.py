"""Links that the kernel's log says went down: they tell of what was before anything was remembered."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .check import Check, Limits, Sighting, Subject, Threshold
from .ethernet import has_cards
from .ethernet_reading import CARDS_ASK, read_cards, read_verbs
from .growth import FLAPS_WITHIN, SETTLING
from .infiniband import has_ports, is_bare
from .kernel_log import KERNEL_ASKS, read_kernel_log
from .rdma_reading import PORTS_ASK, read_ports

_DOWN = r"(?:NIC )?[Ll]ink(?: is)? (?:down|Down|DOWN)\.?"
_LINE = re.compile(
    rf"(?P<driver>\S+) (?P<pci>[0-9a-f]{{4,6}}:[0-9a-f]{{2}}:[0-9a-f]{{2}}\.[0-7]) (?P<name>[^\s:]+):"
    rf" (?:Port: (?P<port>\d{{1,4}}) |.*\b)?{_DOWN}"
)
"""`mlx5_core 0000:53:00.0 ens1np0: Link down`, `ice 0000:31:00.0 eth0: NIC Link is Down`, and of the adapter itself
`mlx5_core 0000:53:00.0 mlx5_3: Port: 1 Link DOWN`."""

_OLDER = re.compile(rf"(?:mlx4_en|e1000e|igb|ixgbe): (?P<name>[^\s:]+):? {_DOWN}")


@dataclass(frozen=True, slots=True)
class Flaps:
    """How often the log tells that a link went down.

    Attributes:
        about: `mlx5_0/1` of InfiniBand, else the interface.
        rdma: Whether RDMA goes through it.
    """

    about: str
    fabric: Literal["InfiniBand", "Ethernet"]
    rdma: bool
    downs: int


def flaps(subject: Subject) -> Iterator[Flaps]:
    """The links that went down lately, and how often; not in the first minutes after the boot.

    One event is told by several drivers: what tells most of it counts.

    Raises:
        UnreadableError: The log or the ports cannot be read.
    """
    verbs = subject.read(read_verbs)
    kinds = {port.device: port.kind for port in subject.read(read_ports)}
    interfaces = {card.pci: card.name for card in subject.read(read_cards)}
    told: dict[str, Counter[str]] = {}
    fabrics: dict[str, bool] = {}
    rdma: set[str] = set()
    for line in subject.read(read_kernel_log):
        early = line.seconds <= SETTLING.total_seconds()
        found = None if early or line.ago > FLAPS_WITHIN.total_seconds() else _read(line.text)
        if found is None:
            continue
        pci, name, port = found
        device = verbs.get(pci, name if name in kinds else "")
        if kinds.get(device) == "infiniband":
            about = f"{device}/{port or 1}"
        else:
            about = interfaces.get(pci, name) if name == device else name
        told.setdefault(about, Counter())[name] += 1
        fabrics[about] = kinds.get(device) == "infiniband"
        if device:
            rdma.add(about)
    for about, counts in sorted(told.items()):
        yield Flaps(about, "InfiniBand" if fabrics[about] else "Ethernet", about in rdma, max(counts.values()))


def _read(text: str) -> tuple[str, str, str] | None:
    """Address on the bus, name and port of what went down."""
    found = _LINE.fullmatch(text)
    if found is not None:
        return found["pci"], found["name"], found["port"] or ""
    found = _OLDER.fullmatch(text)
    return None if found is None else ("", found["name"], "")


def _flaps(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for one in flaps(subject):
        if one.downs >= limits["downs"]:
            said = f"its link went down {one.downs} times within 3 h by the kernel's log, limit {limits['downs']:g}"
            severity: Literal["warn", "critical"] = "critical" if one.rdma else "warn"
            yield Sighting(severity, said, one.about, {"downs": one.downs})


def _applies(subject: Subject) -> bool:
    return is_bare(subject) and (has_ports(subject) or has_cards(subject))


CHECKS = (
    Check(
        id="net.link_flaps",
        title="the kernel's log tells of no link that goes up and down",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when the log tells 3 times within 3 hours that a link of an RDMA adapter went down, warn for"
        " another Ethernet port; the first 15 minutes after a boot do not count.",
        remedy="Look at the lines with `dmesg -T`, and at the link with `mlxlink -d DEVICE -c` or `ethtool INTERFACE`;"
        " then reseat or replace cable, transceiver or card.",
        source="gpud: 3 downs are flapping; the window is that of Azure's healthagent",
        asks=(*KERNEL_ASKS, CARDS_ASK, PORTS_ASK),
        judge=_flaps,
        applies=_applies,
        thresholds=(Threshold("downs", 3, "within 3 h", "gpud", least=1),),
        tags=("link", "network", "kernel"),
    ),
)
