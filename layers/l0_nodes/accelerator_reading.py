"""Which accelerators a record tells of: those on the bus, and what the vendors' tools say of them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from .accelerator import Accelerator
from .answer_reading import UnreadableError
from .ask import Record
from .facts import BusAccelerators
from .vendor import Reading, Vendor

_ACCELERATOR_CLASSES = ("0x0300", "0x0302", "0x0380", "0x0b40", "0x1200")  # VGA, 3D, display, co-processor, accelerator
_SWITCH_CLASS = "0x0680"  # a bridge of its own kind


@dataclass(frozen=True, slots=True)
class _Slot:
    """What stands at one address of the bus: its maker and device as four hex digits, its class as in sysfs."""

    maker: str
    device: str
    kind: str

    def is_screen(self, vendor: Vendor) -> bool:
        """Whether it is a thing of this vendor's that drives a screen and computes nothing."""
        return self.maker in vendor.pci_vendor_ids and self.device in getattr(vendor, "pci_screens", ())


def _bus(record: Record) -> dict[str, _Slot]:
    """What stands on the bus, by address; empty where there is no such bus."""
    files = record.answer("bus").files
    missing = record.answer("bus").missing
    if not files:
        if set(missing.values()) <= {"nothing matches"} and missing:
            return {}
        raise UnreadableError(next(iter(missing.values()), "the bus was not asked"))
    found = {}
    for path, content in files.items():
        folder, _, name = path.rpartition("/")
        if name == "vendor":
            found[folder.rpartition("/")[2]] = _Slot(
                _digits(content), _digits(files.get(f"{folder}/device", "")), files.get(f"{folder}/class", "").strip()
            )
    return found


def read_accelerators(
    record: Record, vendors: tuple[Vendor, ...], *, simulated: bool, unknown: dict[str, str]
) -> dict[str, Any]:
    """`bus_accelerators`, `accelerators` and `driver_mismatch`, each as far as it is known."""
    values: dict[str, Any] = {}
    on_bus: dict[str, BusAccelerators] | None = None
    bus: dict[str, _Slot] = {}
    try:
        bus = _bus(record)
        on_bus = {}
        for vendor in vendors:
            classes: tuple[str, ...] = getattr(vendor, "pci_classes", _ACCELERATOR_CLASSES)
            buses = tuple(
                sorted(
                    address
                    for address, slot in bus.items()
                    if slot.maker in vendor.pci_vendor_ids
                    and slot.kind.lower().startswith(classes)
                    and not slot.is_screen(vendor)
                )
            )
            if buses:
                switches = sum(
                    slot.maker in vendor.pci_vendor_ids and slot.kind.lower().startswith(_SWITCH_CLASS)
                    for slot in bus.values()
                )
                on_bus[vendor.name] = BusAccelerators(vendor.name, len(buses), buses, switches)
        values["bus_accelerators"] = tuple(on_bus.values())
    except UnreadableError as error:
        unknown["bus_accelerators"] = str(error)
    found = []
    for vendor in vendors:
        try:
            reading = vendor.read(record)
        except Exception as error:  # noqa: BLE001 - a stranger's parser must not cost the other facts
            reading = Reading(unknown={"parser": f"{vendor.name}: its parser failed: {error!r}"})
        reading = _without_screens(reading, {address for address, slot in bus.items() if slot.is_screen(vendor)})
        if reading.mismatch is not None:
            values["driver_mismatch"] = reading.mismatch
        found += [_labelled(one, simulated=simulated) for one in reading.accelerators]
        expected = on_bus.get(vendor.name) if on_bus is not None else None
        if reading.accelerators or expected is not None or on_bus is None:
            _explain(vendor.name, reading, expected, unknown)
    if found or "accelerators" not in unknown:
        values["accelerators"] = tuple(found)
    return values


def _digits(content: str) -> str:
    return content.strip().lower().removeprefix("0x")


def _without_screens(reading: Reading, screens: Collection[str]) -> Reading:
    """What a tool tells, without what it shows of things that compute nothing."""
    kept = tuple(one for one in reading.accelerators if one.bus not in screens)
    return replace(reading, accelerators=kept) if len(kept) < len(reading.accelerators) else reading


def _explain(vendor: str, reading: Reading, expected: BusAccelerators | None, unknown: dict[str, str]) -> None:
    """Say what of a vendor's devices is not known."""
    reasons = dict(reading.unknown or {})
    count = len(reading.accelerators)
    if not count:
        unknown["accelerators"] = next(iter(reasons.values()), f"{vendor}: its tool shows no device")
    elif expected is not None and _places(expected.buses) != _places(one.bus for one in reading.accelerators):
        unknown["accelerators"] = f"{vendor}: {expected.count} on the bus, but its tool shows {count}"
    for subject, reason in reasons.items():
        unknown[f"accelerators.{vendor}.{subject}"] = reason


def _places(buses: Iterable[str | None]) -> int:
    """How many places on the bus these are: two chips of one card may share one, as parts of a divided device do."""
    addresses = list(buses)
    known = {address.rpartition(".")[0] for address in addresses if address is not None}
    return len(known) if None not in addresses else len(addresses)


def _labelled(accelerator: Accelerator, *, simulated: bool) -> Accelerator:
    return replace(accelerator, simulated=True) if simulated else accelerator
