"""The ports of adapters that speak RDMA (InfiniBand, RoCE and others), with their counters, from /sys."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiops.layers.l0_nodes.ask import Answer, Ask, Record

from .sysfs import counter, exists, failure, found

PORTS, COUNTERS = "health.rdma.ports", "health.rdma.counters"
_ROOT = "/sys/class/infiniband"
_CLASS = f"{_ROOT}/*"
PORTS_ASK = Ask(
    PORTS,
    paths=(
        f"{_CLASS}/ports/*/link_layer",
        f"{_CLASS}/ports/*/state",
        f"{_CLASS}/ports/*/phys_state",
        f"{_CLASS}/ports/*/rate",
        f"{_CLASS}/ports/*/counters/link_downed",
        f"{_CLASS}/node_guid",
        f"{_CLASS}/device/vendor",
        f"{_CLASS}/device/physfn/vendor",
    ),
    max_bytes=64,
)

FULL: Mapping[str, int | None] = {
    "symbol_error": None,
    "link_error_recovery": 255,
    "link_downed": 255,
    "port_rcv_errors": None,
    "port_xmit_discards": None,
    "excessive_buffer_overrun_errors": 15,
    "local_ack_timeout_err": None,
    "rnr_nak_retry_err": None,
    "roce_slow_restart": None,
    "out_of_sequence": None,
}
"""The counters that are read, and where those end that have fewer than 16 bits."""

_HARDWARE = ("local_ack_timeout_err", "rnr_nak_retry_err", "roce_slow_restart", "out_of_sequence")
COUNTERS_ASK = Ask(
    COUNTERS,
    paths=tuple(
        f"{_CLASS}/ports/*/{'hw_counters' if name in _HARDWARE else 'counters'}/{name}"
        for name in FULL
        if name != "link_downed"
    ),
    max_bytes=32,
)

Kind = Literal["infiniband", "roce", "other"]
_KINDS: Mapping[str, Kind] = {"infiniband": "infiniband", "ethernet": "roce", "unknown": "other"}
_STATES = frozenset({"nop", "down", "init", "armed", "active", "active_defer"})
_RATE = re.compile(r"(\d{1,5}(?:\.\d)?) Gb/sec(?: \((\d{1,2})X)?")
_GUID = re.compile(r"[0-9a-f]{4}(?::[0-9a-f]{4}){3}")
_NO_GUID = "0000:0000:0000:0000"
_PLACE = re.compile(rf"{_ROOT}/([^/*]+)/ports/([0-9]{{1,4}})/(?:[^/*]+/)?([^/*]+)")


@dataclass(frozen=True, slots=True)
class Port:
    """A port of an adapter; those of virtual functions, which are some guest's, are left out.

    Attributes:
        state: The logical one in the kernel's words, lower case: `active`, `init`, ...; None where it is unknown.
        physical: The physical one in the kernel's words: `LinkUp`, `Polling`, ...; None where it is unknown.
        gbit: Gbit/s, `lanes` likewise; None where the port does not say.
        guid: The adapter's own name, which stays with it in another slot; None where it has none.
        hardware: Whether there is a device on a bus behind it; it is software otherwise.
        why: Why its state is unknown.
    """

    device: str
    number: int
    kind: Kind
    state: str | None = None
    physical: str | None = None
    gbit: float | None = None
    lanes: int | None = None
    guid: str | None = None
    hardware: bool = True
    why: str = ""

    @property
    def about(self) -> str:
        """`mlx5_0/1`."""
        return f"{self.device}/{self.number}"

    @property
    def name(self) -> str:
        """As traits call it: `mlx5_0`, and `mlx5_0/2` for another port than the first."""
        return self.device if self.number == 1 else self.about

    @property
    def active(self) -> bool:
        """Whether traffic can pass."""
        return self.state in {"active", "active_defer"}


@dataclass(frozen=True, slots=True)
class PortCounters:
    """The counters of one port.

    Attributes:
        values: By name, those that it has and that tell something.
        unread: Reason by name, for those that could not be read.
    """

    values: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


def read_ports(record: Record) -> tuple[Port, ...]:
    """The ports by device and number; empty where the kernel knows none.

    Raises:
        UnreadableError: They were not asked, or not all could be read.
    """
    answer = record.answer(PORTS)
    files = found(answer)
    seen = {(place[1], int(place[2])) for path in (*files, *answer.missing) if (place := _PLACE.fullmatch(path))}
    guests = {device for device, _ in seen if exists(answer, f"{_ROOT}/{device}/device/physfn/vendor")}
    return tuple(_port(answer, device, number) for device, number in sorted(seen) if device not in guests)


def read_adapters(record: Record) -> frozenset[str]:
    """The names of all adapters, those of virtual functions too.

    Raises:
        UnreadableError: They were not asked, or not all could be read.
    """
    answer = record.answer(PORTS)
    return frozenset(place[1] for path in (*found(answer), *answer.missing) if (place := _PLACE.fullmatch(path)))


def _port(answer: Answer, device: str, number: int) -> Port:
    def said(name: str) -> str:
        return answer.files.get(f"{port}/{name}", "").strip()

    port = f"{_ROOT}/{device}/ports/{number}"
    state, layer = said("state").partition(":")[2].strip().lower(), said("link_layer").lower()
    unread = next((f"{port}/{name}" for name in ("state", "link_layer") if f"{port}/{name}" in answer.missing), "")
    told = f"its state is `{said('state')[:40]}`, its link layer `{said('link_layer')[:40]}`"
    rate = _RATE.match(said("rate"))
    guid = answer.files.get(f"{_ROOT}/{device}/node_guid", "").strip().lower()
    return Port(
        device=device,
        number=number,
        kind=_KINDS.get(layer, "other"),
        state=state if state in _STATES and layer in _KINDS else None,
        physical=said("phys_state").partition(":")[2].strip() or None,
        gbit=float(rate[1]) if rate else None,
        lanes=int(rate[2]) if rate and rate[2] else None,
        guid=guid if _GUID.fullmatch(guid) and guid != _NO_GUID else None,
        hardware=exists(answer, f"{_ROOT}/{device}/device/vendor"),
        why=answer.missing.get(unread, told),
    )


def read_downs(record: Record) -> Mapping[str, PortCounters]:
    """`link_downed` by port (`mlx5_0/1`), which is asked for with the ports.

    Raises:
        UnreadableError: They were not asked, or not all could be read.
    """
    return _counters(record.answer(PORTS))


def read_counters(record: Record) -> Mapping[str, PortCounters]:
    """The other counters by port.

    Raises:
        UnreadableError: They were not asked, or not all could be read.
    """
    return _counters(record.answer(COUNTERS))


def _counters(answer: Answer) -> Mapping[str, PortCounters]:
    values: dict[str, dict[str, int]] = {}
    unread: dict[str, dict[str, str]] = {}
    for path in (*found(answer), *answer.missing):
        place = _PLACE.fullmatch(path)
        if place is None or place[3] not in FULL:
            continue
        about, name = f"{place[1]}/{int(place[2])}", place[3]
        value, reason = counter(answer.files.get(path, ""), FULL[name]), failure(answer, path)
        if value is not None:
            values.setdefault(about, {})[name] = value
        elif reason is not None:
            unread.setdefault(about, {})[name] = reason
    return {about: PortCounters(values.get(about, {}), unread.get(about, {})) for about in {*values, *unread}}
