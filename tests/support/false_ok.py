"""What is a false ok: when a spoilt answer is read as if all were well."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from tests.support.garbling import Garbled
from tests.support.vendor_records import AT

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.fact_reading import facts_of
from aiops.layers.l0_nodes.vendor import Reading, Vendor


def on_bus(vendor: Vendor, devices: Sequence[Accelerator]) -> Answer:
    """The bus with these devices on it; one that does not tell its place gets one of its own."""
    kind = getattr(vendor, "pci_classes", ("0x120000",))[0].ljust(8, "0")
    files: dict[str, str] = {}
    for number, device in enumerate(devices):
        folder = f"/sys/bus/pci/devices/{device.bus or f'0000:f{number:x}:00.0'}"
        files |= {f"{folder}/vendor": f"0x{vendor.pci_vendor_ids[0]}\n", f"{folder}/class": f"{kind}\n"}
    return Answer("bus", files=files)


def read(vendor: Vendor, answers: Mapping[str, Answer], bus: Answer) -> Reading:
    """What a node tells of its devices: what the vendor reads, beside what is on the bus."""
    facts = facts_of(Record("n1", AT, {**answers, "bus": bus}), (vendor,))
    about = {name: why for name, why in (facts.unknown or {}).items() if name.startswith("accelerators")}
    for why in about.values():
        if "its parser failed" in why:
            raise GarbledError(why)
    return Reading(facts.accelerators or (), about)


class GarbledError(Exception):
    """A reader has raised."""


def false_oks(vendor: Vendor, right: Reading, spoilt: Garbled) -> Iterator[str]:
    """What is wrong with the reading of a spoilt record; nothing when it tells no more than it may.

    - Devices are gone, and nothing is unknown: not by the tool's output, nor beside the bus.
    - A device that was not well is told to be well, in the very value that told it, and nothing is unknown; only where
      no value was changed on its line: a changed digit no reader can see.
    - A value is not one that a device can have.

    Raises:
        GarbledError: The reader has raised.
    """
    reading = read(vendor, spoilt.answers, on_bus(vendor, right.accelerators))
    unknown = reading.unknown or {}
    if not all(unknown.values()):
        yield "a reason is empty"
    if len(reading.accelerators) < len(right.accelerators) and not unknown:
        yield f"{len(reading.accelerators)} of {len(right.accelerators)} devices, and nothing unknown"
    if spoilt.structural and not unknown:
        yield from _healed(right.accelerators, reading.accelerators)
    for device in reading.accelerators:
        yield from _impossible(device)


def _healed(right: Sequence[Accelerator], told: Sequence[Accelerator]) -> Iterator[str]:
    for before in right:
        place = _place(before)
        now = [_trouble(one) for one in told if _place(one) == place]
        for name, value in _trouble(before).items():
            values = [one[name] for one in now if one[name] is not None]
            if value and values and not any(values):
                yield f"{place}: {name} was {value!r} and is {values[0]!r}, and nothing unknown"


def _place(device: Accelerator) -> object:
    return device.bus or device.index


def _trouble(device: Accelerator) -> dict[str, object]:
    """What tells that a device is not well; None: it was not told."""
    counts = {
        field.name: getattr(device.ecc, field.name)
        for field in fields(device.ecc)
        if field.name.startswith(("uncorrected", "remap_", "remapped_unc", "retire"))
    }
    return {**counts, "health": None if device.health is None else device.health != "ok"}


def _impossible(device: Accelerator) -> Iterator[str]:
    for name, least, most in (
        ("temperature_c", -60, 200),
        ("temperature_memory_c", -60, 200),
        ("temperature_hotspot_c", -60, 200),
        ("power_w", 0, 10_000),
        ("utilization", 0, 100),
        ("memory_used_mib", 0, 1 << 40),
        ("memory_total_mib", 0, 1 << 40),
        ("index", 0, 1 << 16),
    ):
        value = getattr(device, name)
        if value is not None and not least <= value <= most:
            yield f"{name} is {value}"
