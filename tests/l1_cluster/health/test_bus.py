"""The PCI bus: what the cases do not show."""

from dataclasses import replace

from tests.l1_cluster.health.case import healthy_answers, read
from tests.l1_cluster.health.cases.bus import bridges, links, translations
from tests.l1_cluster.health.host import judged, told

from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health import bus


def test_a_link_is_as_wide_as_the_narrower_of_its_ends() -> None:
    assert told({bus.LINKS: links(**{"0000_9c_00_0": ("8", "16", "8")})}) == []
    assert told({bus.LINKS: links(**{"0000_9c_00_0": ("8", "16", "255")})}) == [("pcie.link", "warn", "0000:9c:00.0")]
    assert told({bus.LINKS: links(**{"0000_9c_00_0": ("8", "255", "0")})}) == []
    assert told({bus.LINKS: links(**{"0000_9c_00_0": ("8", "8", None)})}) == []


def test_a_link_that_cannot_be_read_is_unknown() -> None:
    whole = links()
    path = "/sys/bus/pci/devices/0000:1a:00.0/current_link_width"
    files = {one: text for one, text in whole.files.items() if one != path}
    found = judged({bus.LINKS: read(bus.LINKS, files, **{path: "Input/output error"})}).findings
    assert [(one.check, one.verdict, one.about) for one in found] == [("pcie.link", "unknown", "0000:1a:00.0")]
    assert found[0].message == "the nvidia accelerator does not answer on the bus: Input/output error"
    assert told({bus.LINKS: read(bus.LINKS, files)}) == []  # a device of the old kind has no such link


def test_devices_of_other_kinds_are_not_judged() -> None:
    classes = healthy_answers()[bus.BUS_ASK.name]
    other = {
        f"/sys/bus/pci/devices/0000:05:00.0/{name}": text for name, text in (("class", "0x060400"), ("vendor", "0x1"))
    }
    narrow = {bus.BUS_ASK.name: read(classes.name, {**classes.files, **other})}
    assert told({**narrow, bus.LINKS: links(**{"0000_05_00_0": ("1", "16", "16")})}) == []


def test_the_whole_bus_that_cannot_be_read_is_unknown() -> None:
    reasons = {"bus_accelerators": "Permission denied"}
    found = told({}, lambda facts: replace(facts, bus_accelerators=None, unknown=reasons))
    assert {one[:2] for one in found} == {("pcie.link", "unknown"), ("pcie.acs", "unknown"), ("pcie.iommu", "unknown")}


def test_detours_matter_where_there_is_somebody_to_talk_to() -> None:
    redirecting = {bus.BRIDGES: bridges("SrcValid+ TransBlk- ReqRedir+ CmpltRedir+")}
    assert told(redirecting) == [("pcie.acs", "warn", "")]
    assert told({bus.BRIDGES: bridges("SrcValid+ TransBlk- ReqRedir- CmpltRedir-")}) == []

    def alone(facts: Facts) -> Facts:
        kinds = facts.bus_accelerators or ()
        return replace(facts, rdma_ports=(), bus_accelerators=(replace(kinds[0], count=1, buses=kinds[0].buses[:1]),))

    assert told(redirecting, alone) == []
    assert told(redirecting, lambda facts: replace(alone(facts), rdma_ports=facts.rdma_ports)) == [
        ("pcie.acs", "warn", "")
    ]
    assert told(redirecting, lambda facts: replace(facts, bus_accelerators=())) == []


def test_addresses_are_translated_by_design_elsewhere_than_on_x86() -> None:
    translated = {bus.DOMAINS: translations("DMA")}
    assert told(translated) == [("pcie.iommu", "warn", "")]
    assert told(translated, lambda facts: replace(facts, architecture="aarch64")) == []
    assert told({bus.DOMAINS: translations(None)}) == []
