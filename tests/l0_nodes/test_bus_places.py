"""What of a vendor's things on the bus are accelerators, and whether its tool shows as many places."""

from datetime import UTC, datetime

import pytest

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.fact_reading import facts_of
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool

FIRST, SECOND, SCREEN = "0000:3b:00.0", "0000:5e:00.0", "0000:02:00.0"


class Acme:
    """A vendor whose tool shows devices at `buses`."""

    name = "acme"
    pci_vendor_ids = ("1acd",)

    def __init__(self, *buses: str | None) -> None:
        self.buses = buses

    def asks(self) -> tuple[Ask, ...]:
        return ()

    def read(self, record: Record) -> Reading:
        return Reading(tuple(Accelerator("acme", index=index, bus=bus) for index, bus in enumerate(self.buses)))

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        return None


class Picky(Acme):
    """One that also makes screens."""

    pci_classes = ("0x1200",)


class Screened(Acme):
    """One whose screens have the class of its accelerators."""

    pci_screens = frozenset({"164e"})


def bus(**kinds: str) -> Record:
    files: dict[str, str] = {}
    for address, told in kinds.items():
        folder = f"/sys/bus/pci/devices/{address}"
        kind, _, device = told.partition(" ")
        files |= {f"{folder}/vendor": "0x1acd\n", f"{folder}/class": f"{kind}\n"}
        files |= {f"{folder}/device": f"{device}\n"} if device else {}
    return Record("n1", datetime(2026, 11, 21, tzinfo=UTC), {"bus": Answer("bus", files=files)})


TWO = {FIRST: "0x120000", SECOND: "0x120000"}


@pytest.mark.parametrize(
    ("vendor", "kinds", "complaint"),
    [
        (Acme(FIRST, SECOND), TWO, None),
        (Acme(FIRST), TWO, "2 on the bus, but its tool shows 1"),
        (Acme(FIRST, SECOND), {**TWO, SCREEN: "0x030000"}, "3 on the bus, but its tool shows 2"),
        (Picky(FIRST, SECOND), {**TWO, SCREEN: "0x030000"}, None),
        (Acme(FIRST, FIRST, SECOND), TWO, None),  # two chips of one card
        (Acme(FIRST, "0000:3b:00.1", "0000:3b:00.2", SECOND), TWO, None),  # parts of a divided device
        (Acme(None, None), TWO, None),
        (Acme(None, None, None), TWO, "2 on the bus, but its tool shows 3"),
    ],
)
def test_places(vendor: Acme, kinds: dict[str, str], complaint: str | None) -> None:
    facts = facts_of(bus(**kinds), (vendor,))
    said = facts.unknown.get("accelerators")
    assert said == (f"acme: {complaint}" if complaint else None)


@pytest.mark.parametrize(
    ("vendor", "device", "there", "shown"),
    [
        (Screened(), "0x164E", 0, ()),  # no tool, as on most hosts with such a processor
        (Screened(SCREEN), "0x164e", 0, ()),  # the tool shows it nonetheless
        (Screened(FIRST, SCREEN), "0x164e", 0, (FIRST,)),  # beside one that the bus does not show
        (Screened(SCREEN), "0x744c", 1, (SCREEN,)),
        (Acme(SCREEN), "0x164e", 1, (SCREEN,)),
    ],
)
def test_graphics_of_the_processor_are_no_accelerator(
    vendor: Acme, device: str, there: int, shown: tuple[str, ...]
) -> None:
    facts = facts_of(bus(**{SCREEN: f"0x030000 {device}"}), (vendor,))
    assert sum(one.count for one in facts.bus_accelerators or ()) == there
    assert tuple(one.bus for one in facts.accelerators or ()) == shown
    assert "accelerators" not in facts.unknown


def test_a_display_of_which_the_device_is_not_known_may_be_an_accelerator() -> None:
    facts = facts_of(bus(**{SCREEN: "0x030000"}), (Screened(),))
    assert "accelerators" in facts.unknown
