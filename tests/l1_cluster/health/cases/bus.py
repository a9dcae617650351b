"""The PCI bus."""

from tests.l1_cluster.health.case import Case, gone, read, said

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.bus import BRIDGES, BUS_ASK, DOMAINS, LINKS
from aiops.layers.l1_cluster.health.expected import Expected

_FOLDER = "/sys/bus/pci/devices"
_GPUS = tuple(f"0000:{0x18 + number:02x}:00.0" for number in range(8))
_NIC, _DISK, _FUNCTION = "0000:9c:00.0", "0000:e1:00.0", "0000:9c:01.0"
_CLASSES = {**dict.fromkeys(_GPUS, "0x030200"), _NIC: "0x020700", _DISK: "0x010802", _FUNCTION: "0x020700"}


def links(**lanes: tuple[str, str, str | None]) -> Answer:
    """Lanes in use, of the device, and of the port above it, by address with `_` in it; others are whole."""
    whole: tuple[str, str, str | None] = ("16", "16", "16")
    found = {**dict.fromkeys(_GPUS, whole), _NIC: whole, _DISK: ("4", "4", "4")}
    found[_FUNCTION] = ("0", "0", None)  # a virtual one has no link of its own
    found |= {address.replace("_", ":", 2).replace("_", "."): three for address, three in lanes.items()}
    files = {}
    for address, (now, own, port) in found.items():
        files[f"{_FOLDER}/{address}/current_link_width"] = f"{now}\n"
        files[f"{_FOLDER}/{address}/max_link_width"] = f"{own}\n"
        if port is not None:
            files[f"{_FOLDER}/{address}/../max_link_width"] = f"{port}\n"
    return read(LINKS, files)


def bridges(control: str = "SrcValid- TransBlk- ReqRedir- CmpltRedir-") -> Answer:
    """A root port and a port of a switch above the first accelerator, and one above none; all are set alike."""
    text = "\n\n".join(
        f"{address} PCI bridge: Broadcom / LSI PEX890xx PCIe Gen 5 Switch (rev b0) (prog-if 00 [Normal decode])\n"
        "\tControl: I/O- Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr+ Stepping- SERR+ FastB2B- DisINTx+\n"
        f"\tBus: primary=15, secondary={first}, subordinate={last}, sec-latency=0\n"
        f"\tCapabilities: [68] Express (v2) {port}, MSI 00\n"
        "\t\tDevCap:\tMaxPayload 512 bytes, PhantFunc 0\n"
        "\tCapabilities: [148 v1] Access Control Services\n"
        "\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl+ DirectTrans+\n"
        f"\t\tACSCtl:\t{control} UpstreamFwd- EgressCtrl- DirectTrans-"
        for address, first, last, port in (
            ("0000:15:01.0", "16", "1c", "Root Port (Slot-)"),
            ("0000:16:02.0", "18", "18", "Downstream Port (Slot+)"),
            ("0000:16:03.0", "40", "40", "Downstream Port (Slot+)"),
        )
    )
    return said(BRIDGES, text + "\n")


def translations(kind: str | None = "identity") -> Answer:
    """How addresses are translated; None where there is nothing that could."""
    pattern = f"{_FOLDER}/*.0/iommu_group/type"
    if kind is None:
        return read(DOMAINS, {}, **{pattern: "nothing matches"})
    return read(DOMAINS, {f"{_FOLDER}/{address}/iommu_group/type": f"{kind}\n" for address in _GPUS})


HEALTHY = {
    BUS_ASK.name: read(
        BUS_ASK.name,
        {f"{_FOLDER}/{address}/class": f"{kind}\n" for address, kind in _CLASSES.items()}
        | {f"{_FOLDER}/{address}/vendor": "0x10de\n" for address in _GPUS},
    ),
    LINKS: links(),
    BRIDGES: bridges(),
    DOMAINS: translations(),
}


CASES = (
    Case(
        "an accelerator with half its lanes",
        "pcie.link",
        "critical",
        "reboot",
        about="0000:1a:00.0",
        words="the nvidia accelerator has x8, x16 is possible",
        answers={LINKS: links(**{"0000_1a_00_0": ("8", "16", "16")})},
    ),
    Case(
        "a network adapter with half its lanes",
        "pcie.link",
        "warn",
        "reboot",
        about=_NIC,
        words="the InfiniBand adapter has x8, x16 is possible",
        answers={LINKS: links(**{"0000_9c_00_0": ("8", "16", None)})},
    ),
    Case(
        "a disk with fewer lanes than are expected",
        "pcie.link",
        "warn",
        "reboot",
        about=_DISK,
        words="x4, x8 is possible",
        expected=Expected({f"pcie.{_DISK}.width": 8}),
    ),
    Case(
        "an accelerator that does not answer on the bus",
        "pcie.link",
        "unknown",
        "none",
        about="0000:1a:00.0",
        answers={LINKS: links(**{"0000_1a_00_0": ("63", "63", "16")})},
    ),
    Case(
        "lanes that are no number",
        "pcie.link",
        "unknown",
        "none",
        answers={LINKS: links(**{"0000_1a_00_0": ("x16", "16", "16")})},
    ),
    Case(
        "a switch that sends neighbours to the processor",
        "pcie.acs",
        "warn",
        "none",
        words="on 1 switch ports above accelerators, such as 0000:16:02.0",
        answers={BRIDGES: bridges("SrcValid+ TransBlk- ReqRedir+ CmpltRedir+")},
    ),
    Case("no lspci", "pcie.acs", "unknown", "none", answers={BRIDGES: gone(BRIDGES, "lspci")}),
    Case(
        "lspci of a user",
        "pcie.acs",
        "unknown",
        "none",
        answers={BRIDGES: said(BRIDGES, "0000:00:01.0 PCI bridge: Intel\n\tCapabilities: <access denied>\n")},
    ),
    Case(
        "addresses are translated",
        "pcie.iommu",
        "warn",
        "none",
        words="of 8 of 8 accelerators are translated (DMA-FQ), wanted identity",
        answers={DOMAINS: translations("DMA-FQ")},
    ),
)
