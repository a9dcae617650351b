"""Ethernet ports of cards on the PCI bus, bonds of them, and how large a packet each interface takes.

Bridges, tunnels and whatever else is made of software are no hardware that could break, and neither is the port of a
management controller, which comes by USB: only what hangs on the PCI bus is read as a port.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask, Record

from .sysfs import counter, exists, failure, found

CARDS, MTU, BONDS = "health.ethernet.cards", "health.ethernet.mtu", "health.ethernet.bonds"
ERRORS = ("rx_errors", "tx_errors", "rx_crc_errors")
_ROOT = "/sys/bus/pci/devices"
_NET = f"{_ROOT}/*/net/*"
_ATTRIBUTES = ("type", "operstate", "speed", "carrier_changes", "phys_port_name", "phy80211/index")
CARDS_ASK = Ask(
    CARDS,
    paths=(
        *(f"{_NET}/{name}" for name in _ATTRIBUTES),
        *(f"{_NET}/statistics/{name}" for name in ERRORS),
        f"{_ROOT}/*/physfn/vendor",
        f"{_ROOT}/*/infiniband/*/node_guid",
    ),
    max_bytes=64,
)
MTU_ASK = Ask(MTU, paths=("/sys/class/net/*/mtu",), max_bytes=32)
BONDS_ASK = Ask(BONDS, paths=("/proc/net/bonding/*",), max_bytes=65_536)

_PLACE = re.compile(rf"{_ROOT}/([^/*]+)/net/([^/*]+)/([^*]+)")
_VERBS = re.compile(rf"{_ROOT}/([^/*]+)/infiniband/([^/*]+)/node_guid")
_INTERFACE = re.compile(r"/sys/class/net/([^/*]+)/mtu")
_ETHERNET = "1"
_REPRESENTOR = re.compile(r"(?:c\d+)?pf\d+(?:vf|sf)\d+.*")
_STATES = frozenset({"up", "down", "unknown", "dormant", "testing", "lowerlayerdown", "notpresent"})
_SLAVE_STATES = frozenset({"up", "down", "going down", "going back", "unknown"})
_NO_SPEED = 65_535  # what old drivers say for -1


@dataclass(frozen=True, slots=True)
class Card:
    """A port of an Ethernet card; those of virtual functions and of switches inside cards are left out.

    Attributes:
        pci: The address of its function on the bus.
        state: In the kernel's words: `up`, `down`, ...; None where it does not say.
        mbit: Mbit/s; None where it does not say, which is so while there is no link.
        changes: How often its link went up or down since the driver was loaded; None where it does not say.
        errors: Packets by the name of the counter.
        unread: Reason by the name of a counter, for those that could not be read.
        rdma: The device that speaks RDMA through it, or None.
    """

    name: str
    pci: str
    state: str | None = None
    mbit: int | None = None
    changes: int | None = None
    errors: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    rdma: str | None = None

    @property
    def chip(self) -> str:
        """The card that it is a port of: its address without the function."""
        return self.pci.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Bond:
    """Several ports as one.

    Attributes:
        slaves: State of the link by port: `up`, `down`, `going back`, ...
    """

    name: str
    mode: str
    slaves: Mapping[str, str]


def read_cards(record: Record) -> tuple[Card, ...]:
    """The Ethernet ports, by name.

    Raises:
        UnreadableError: They were not asked, or not all could be read.
    """
    answer = record.answer(CARDS)
    files = found(answer)
    verbs = read_verbs(record)
    seen = {(place[2], place[1]) for path in files if (place := _PLACE.fullmatch(path))}
    cards = []
    for name, pci in sorted(seen):
        net = f"{_ROOT}/{pci}/net/{name}"
        said = {key: files.get(f"{net}/{key}", "").strip() for key in _ATTRIBUTES}
        foreign = exists(answer, f"{_ROOT}/{pci}/physfn/vendor") or exists(answer, f"{net}/phy80211/index")
        if said["type"] != _ETHERNET or foreign or _REPRESENTOR.fullmatch(said["phys_port_name"]):
            continue
        counters = {key: f"{net}/statistics/{key}" for key in ERRORS}
        errors = {key: counter(files.get(path, "")) for key, path in counters.items()}
        unread = {key: failure(answer, path) for key, path in counters.items()}
        cards.append(
            Card(
                name,
                pci,
                said["operstate"] if said["operstate"] in _STATES else None,
                _mbit(said["speed"]),
                counter(said["carrier_changes"]),
                {key: value for key, value in errors.items() if value is not None},
                {key: reason for key, reason in unread.items() if reason is not None},
                verbs.get(pci),
            )
        )
    return tuple(cards)


def read_verbs(record: Record) -> Mapping[str, str]:
    """The devices that speak RDMA, by address on the bus.

    Raises:
        UnreadableError: They were not asked, or not all could be read.
    """
    return {place[1]: place[2] for path in found(record.answer(CARDS)) if (place := _VERBS.fullmatch(path))}


def read_mtus(record: Record) -> Mapping[str, int]:
    """Bytes of the largest packet, by interface; those that do not say are left out.

    Raises:
        UnreadableError: They were not asked, or not all could be read.
    """
    files = found(record.answer(MTU)).items()
    sizes = {place[1]: counter(text) for path, text in files if (place := _INTERFACE.fullmatch(path))}
    return {name: size for name, size in sizes.items() if size}


def read_bonds(record: Record) -> tuple[Bond, ...]:
    """The bonds, by name; empty where there is none.

    Raises:
        UnreadableError: They were not asked, or one says nothing that can be read.
    """
    return tuple(_bond(path.rpartition("/")[2], text) for path, text in found(record.answer(BONDS)).items())


def _bond(name: str, text: str) -> Bond:
    mode, slave = "", ""
    slaves: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.strip().partition(": ")
        if key == "Bonding Mode":
            mode = value.strip()
        elif key == "Slave Interface":
            slave = value.strip()
        elif key == "MII Status" and slave and separator:
            slaves.setdefault(slave, value.strip())
    if not mode:
        raise UnreadableError(f"/proc/net/bonding/{name} does not say its mode")
    for slave, state in slaves.items():
        if state not in _SLAVE_STATES:
            raise UnreadableError(f"/proc/net/bonding/{name} says that {slave} is `{state[:40]}`")
    return Bond(name, mode, slaves)


def _mbit(text: str) -> int | None:
    value = counter(text)
    return value if value and value != _NO_SPEED else None
