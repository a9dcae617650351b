"""The PCI bus: links that run with fewer lanes than they have, and detours between an accelerator and its neighbours.

A link is as wide as the narrower of its two ends lets it be. Its speed is not judged: idle devices lower it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, said
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.fact_reading import FACT_ASKS

from .check import Check, Limits, Sighting, Subject
from .small_files import small_files

LINKS, BRIDGES, DOMAINS = "health.bus.links", "health.bus.bridges", "health.bus.domains"
_DEVICES = "/sys/bus/pci/devices"
_WIDTHS = f"{_DEVICES}/*.0/current_link_width"
_TRANSLATIONS = f"{_DEVICES}/*.0/iommu_group/type"
BUS_ASK = next(ask for ask in FACT_ASKS if ask.name == "bus")
LINKS_ASK = Ask(  # one function speaks for all of its device; what is above a device is the port it is plugged into
    LINKS, paths=(_WIDTHS, f"{_DEVICES}/*.0/max_link_width", f"{_DEVICES}/*.0/../max_link_width"), max_bytes=32
)
BRIDGES_ASK = Ask(BRIDGES, ("lspci", "-D", "-vv", "-d", "::0604"), timeout=10.0, max_bytes=2_097_152)
DOMAINS_ASK = Ask(DOMAINS, paths=(_TRANSLATIONS,), max_bytes=64)

_TYPES = frozenset({"identity", "DMA", "DMA-FQ", "unmanaged", "blocked", "unknown"})
_GONE = 63  # all bits set: nothing answers any more
_KINDS = {"0x010802": "NVMe", "0x020000": "network adapter", "0x020700": "InfiniBand adapter"}
_BRIDGE = re.compile(r"([0-9a-f]{4,8}):[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] ")
_BUSES = re.compile(r"\s+Bus: primary=[0-9a-f]{2}, secondary=([0-9a-f]{2}), subordinate=([0-9a-f]{2})\b")
_CONTROL = re.compile(r"\s+ACSCtl:.* (ReqRedir\+|CmpltRedir\+)")
_SWITCH_PORT = re.compile(r"\s+Capabilities: \[[0-9a-f]+\] Express \(v\d+\) Downstream Port")


@dataclass(frozen=True, slots=True)
class Link:
    """Lanes of a device's link to the port above it.

    Attributes:
        lanes: In use; 0 where the device has no link of its own.
        possible: What both ends can do; None where neither says.
    """

    lanes: int
    possible: int | None


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge, and the buses behind it.

    Attributes:
        switch_port: Whether it leads from a switch down to a device.
        redirects: Whether it sends what neighbours say to each other up to the processor.
    """

    address: str
    domain: int
    buses: range
    switch_port: bool
    redirects: bool


def read_links(record: Record) -> Mapping[str, Link]:
    """The link of every device, by address; empty where there is no PCI Express.

    Raises:
        UnreadableError: The bus does not say.
    """
    files = small_files(record.answer(LINKS))
    links = {}
    for path, content in files.items():
        folder, _, name = path.rpartition("/")
        if name == "current_link_width":
            ends = (_lanes(files.get(f"{folder}/{end}max_link_width", "0")) for end in ("", "../"))
            links[folder.rpartition("/")[2]] = Link(_number(content), min((one for one in ends if one), default=None))
    return links


def _lanes(text: str) -> int:
    """The lanes that an end has; 0 where it does not say, which some do with all bits set."""
    lanes = _number(text)
    return lanes if lanes < _GONE else 0


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text.strip()):
        raise UnreadableError(f"a link has `{text.strip()[:80]}` lanes")
    return int(text)


def read_bridges(record: Record) -> tuple[Bridge, ...]:
    """The bridges.

    Raises:
        UnreadableError: There are none, or what they do is not shown to us.
    """
    text = said(record.answer(BRIDGES))
    if "<access denied>" in text:
        raise UnreadableError("lspci may not see what bridges do")
    bridges = []
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        head, buses = _BRIDGE.match(part), _BUSES.search(part)
        if head is None:
            raise UnreadableError(f"lspci says `{part.strip()[:80]}`")
        if buses is not None:
            bridges.append(
                Bridge(
                    head[0].strip(),
                    int(head[1], 16),
                    range(int(buses[1], 16), int(buses[2], 16) + 1),
                    _SWITCH_PORT.search(part) is not None,
                    _CONTROL.search(part) is not None,
                )
            )
    if not bridges:
        raise UnreadableError("lspci shows no bridge")
    return tuple(bridges)


def read_translations(record: Record) -> Mapping[str, str]:
    """How the addresses that a device uses are translated, by its own address; empty where nothing does.

    Raises:
        UnreadableError: It cannot be read.
    """
    files = small_files(record.answer(DOMAINS), every=True)
    for path, content in files.items():
        if content.strip() not in _TYPES:
            raise UnreadableError(f"{path} is `{content.strip()[:80]}`")
    return {path.split("/")[5]: content.strip() for path, content in files.items()}


def _is_metal(subject: Subject) -> bool:
    """What a virtual machine sees of the bus is made up for it."""
    return bool(subject.fact("virtualization") == "none")


def _has_peers(subject: Subject) -> bool:
    """Whether there is an accelerator, and something that it could talk to over the bus."""
    if not _is_metal(subject):
        return False
    accelerators = _accelerators(subject)
    return len(accelerators) + len(subject.facts.rdma_ports or ()) > 1 and bool(accelerators)


def _accelerators(subject: Subject) -> dict[str, str]:
    """The vendors by address."""
    return {bus: kind.vendor for kind in subject.fact("bus_accelerators") for bus in kind.buses}


def _judged(subject: Subject) -> Iterator[tuple[str, str, bool]]:
    """Address, what it is, and whether it is an accelerator, of every device whose link is judged."""
    accelerators = _accelerators(subject)
    for path, content in subject.record.answer(BUS_ASK.name).files.items():
        address, _, name = path.removeprefix(f"{_DEVICES}/").partition("/")
        if name == "class" and address not in accelerators and content.strip() in _KINDS:
            yield address, _KINDS[content.strip()], False
    for address, vendor in accelerators.items():
        yield address, f"{vendor} accelerator", True


def _link(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    links = subject.read(read_links)
    unread = subject.record.answer(LINKS).missing
    for address, kind, accelerator in sorted(_judged(subject)):
        link = links.get(address)
        reason = unread.get(f"{_DEVICES}/{address}/current_link_width")
        if reason or (link is not None and link.lanes == _GONE):
            yield Sighting(
                "unknown", f"the {kind} does not answer on the bus" + (f": {reason}" if reason else ""), address
            )
            continue
        if link is None or not link.lanes:
            continue
        expected = subject.expected.number(f"pcie.{address}.width") or link.possible
        if expected is not None and link.lanes < expected:
            yield Sighting(
                "critical" if accelerator else "warn",
                f"the {kind} has x{link.lanes}, x{expected:g} is possible",
                address,
                {"lanes": link.lanes, "possible": expected},
            )


def _acs(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    accelerators = [(int(one.split(":")[0], 16), int(one.split(":")[1], 16)) for one in _accelerators(subject)]
    found = [
        one.address
        for one in subject.read(read_bridges)
        if one.switch_port
        and one.redirects
        and any(domain == one.domain and number in one.buses for domain, number in accelerators)
    ]
    if found:
        yield Sighting(
            "warn",
            f"access control sends the traffic between neighbours to the processor on {len(found)} switch ports above"
            f" accelerators, such as {', '.join(found[:4])}",
            evidence={"bridges": found},
        )


def _iommu(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    if subject.fact("architecture") != "x86_64":  # elsewhere devices and processors share their translation by design
        return
    types = subject.read(read_translations)
    accelerators = _accelerators(subject)
    translated = {one: types[one] for one in accelerators if types.get(one, "").startswith("DMA")}
    if translated:
        yield Sighting(
            "warn",
            f"the addresses of {len(translated)} of {len(accelerators)} accelerators are translated"
            f" ({', '.join(sorted(set(translated.values())))}), wanted identity",
            evidence={"translated": translated},
        )


CHECKS = (
    Check(
        id="pcie.link",
        title="links on the bus have all their lanes",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when an accelerator's link has fewer lanes than both of its ends can do, warn at that of a"
        " network adapter or an NVMe disk.",
        remedy="See both ends: `lspci -s ADDRESS -vv | grep -e LnkCap -e LnkSta`. A reboot trains the link anew;"
        " when that is no help, reseat card, riser, cable. If the slot is wired so: `aiops health learn`.",
        source="PCI Express capabilities in sysfs; DeepOps has NHC look at the accelerators' likewise",
        asks=(LINKS_ASK, BUS_ASK),
        judge=_link,
        applies=_is_metal,
        tags=("hardware",),
        sightings=2,
    ),
    Check(
        id="pcie.acs",
        title="accelerators reach their neighbours directly",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when access control on a switch port above an accelerator sends peers' requests to the processor.",
        remedy="Turn ACS off in the firmware's setup, or at boot: `setpci -s BRIDGE ECAP_ACS+6.w=0`. Where virtual"
        " machines share this node's devices it has to stay on: leave this check out there.",
        source="NCCL's guide to GPU Direct on bare metal; gpud has the same check",
        asks=(BRIDGES_ASK,),
        judge=_acs,
        applies=_has_peers,
        tags=("performance",),
        level="deep",
    ),
    Check(
        id="pcie.iommu",
        title="accelerators use memory at its own addresses",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when the IOMMU of an x86-64 machine translates the addresses that an accelerator uses.",
        remedy="Boot with `iommu=pt`, or turn the IOMMU off in the firmware's setup, where nothing needs it.",
        source="NVIDIA's guide to GPUDirect RDMA and AMD's guide to its accelerators ask for a pass-through IOMMU",
        asks=(DOMAINS_ASK,),
        judge=_iommu,
        applies=_has_peers,
        tags=("performance",),
        level="deep",
    ),
)
