"""Which network ports a record tells of: interfaces as `ip` shows them, and RDMA ports (InfiniBand, RoCE)."""

import json
import re

from .answer_reading import UnreadableError, said
from .ask import Ask, Record
from .facts import Interface, RdmaPort

_RDMA = "/sys/class/infiniband/*/ports/*"
NETWORK_ASKS = (
    Ask("network", ("ip", "-j", "address"), ("/sys/class/net/*/speed",)),
    Ask("network.rdma", paths=(f"{_RDMA}/link_layer", f"{_RDMA}/state", f"{_RDMA}/rate"), max_bytes=64),
)


def read_interfaces(record: Record) -> tuple[Interface, ...]:
    """The network interfaces, in `ip`'s order.

    Raises:
        UnreadableError: `ip` did not answer.
    """
    answer = record.answer("network")
    found = []
    for link in json.loads(said(answer)):
        if not link:  # `ip -j` prints empty maps for what it filtered out
            continue
        name = str(link["ifname"])
        speed = answer.files.get(f"/sys/class/net/{name}/speed", "").strip()
        addresses = tuple(
            f"{address['local']}/{address['prefixlen']}"
            for address in link.get("addr_info", ())
            if address.get("scope") != "link" and "local" in address
        )
        mac, state = link.get("address"), link.get("operstate")
        found.append(
            Interface(
                name=name,
                mac=str(mac) if mac else None,
                addresses=addresses,
                speed=int(speed) if speed.isascii() and speed.isdigit() and len(speed) < 10 else None,  # noqa: PLR2004
                state=str(state).lower() if state else None,
            )
        )
    return tuple(found)


def read_rdma_ports(record: Record) -> tuple[RdmaPort, ...]:
    """The RDMA ports by device and number; empty where the kernel knows none.

    Raises:
        UnreadableError: They were not asked, or a port does not say what it is.
    """
    answer = record.answer("network.rdma")
    if not answer.files:
        if answer.missing and set(answer.missing.values()) <= {"nothing matches"}:
            return ()
        raise UnreadableError(next(iter(answer.missing.values()), "RDMA ports were not asked"))
    ports: dict[tuple[str, int], dict[str, str]] = {}
    for path, content in answer.files.items():
        device, _, number, attribute = path.split("/")[-4:]
        ports.setdefault((device, int(number)), {})[attribute] = content.strip()
    found = []
    for (device, port), said_of in sorted(ports.items()):
        layer = said_of.get("link_layer", "").lower()
        if layer not in {"infiniband", "ethernet"}:
            raise UnreadableError(f"{device} port {port} does not say whether it speaks InfiniBand or Ethernet")
        rate = re.match(r"(\d+(?:\.\d+)?) Gb/sec", said_of.get("rate", ""))
        found.append(
            RdmaPort(
                device=device,
                port=port,
                kind="infiniband" if layer == "infiniband" else "roce",
                state=said_of["state"].partition(":")[2].strip().lower() or None if "state" in said_of else None,
                speed_gbit=float(rate[1]) if rate else None,
            )
        )
    return tuple(found)
