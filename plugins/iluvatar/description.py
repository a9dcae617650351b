"""The devices in `ixsmi -q -x`."""

from collections.abc import Callable
from typing import TypeVar
from xml.etree import ElementTree as ET

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.telling import Telling

from .values import checked

T = TypeVar("T")

_ROOT = "ixsmi_log"


def parse_description(text: str, telling: Telling) -> None:
    """Add the devices of the XML.

    Raises:
        UnreadableError: It is not the XML of Iluvatar's tool, or not whole.
    """
    start = text.find("<?xml")
    if start < 0:
        raise UnreadableError(f"it said: {text.strip().splitlines()[0][:200]}")
    if "<!ENTITY" in text:  # the tool declares none; one could be made to swell without end
        raise UnreadableError("its XML declares entities, which it never does")
    try:
        log = ET.fromstring(text[start:])  # noqa: S314 - entities are refused above
    except (ET.ParseError, ValueError) as error:
        raise UnreadableError(f"its XML is not whole: {error}") from error
    if log.tag != _ROOT:
        raise UnreadableError(f"its XML is a `{log.tag[:40]}`, not a `{_ROOT}`")
    driver = cell.text(log.findtext("driver_version", ""))
    for position, gpu in enumerate(log.findall("gpu")):
        telling.devices.append(checked(_of_xml(position, gpu, driver, telling), telling))


def _of_xml(position: int, gpu: ET.Element, driver: str | None, telling: Telling) -> Accelerator:
    def take(parse: Callable[[str], T | None], *paths: str) -> T | None:
        """The value at the first of several paths that is there."""
        for path in paths:
            value = gpu.findtext(path)
            if value is not None:
                return telling.take(f"{position}.{path}", parse, value)
        return None

    link, width = "pci/pci_gpu_link_info/pcie_gen", "pci/pci_gpu_link_info/link_widths"
    running = gpu.find("processes")
    return Accelerator(
        vendor="iluvatar",
        index=position,
        uuid=take(cell.text, "uuid"),
        serial=take(cell.text, "serial"),
        bus=cell.bus(gpu.get("id", "")) or take(cell.bus, "pci/pci_bus_id"),
        model=take(cell.text, "product_name"),
        driver=driver,
        firmware=take(cell.text, "vbios_version"),
        memory_total_mib=take(cell.mebibytes, "memory_usage/total", "fb_memory_usage/total"),
        memory_used_mib=take(cell.mebibytes, "memory_usage/used", "fb_memory_usage/used"),
        utilization=take(cell.percent, "utilization/gpu_util"),
        temperature_c=take(cell.celsius, "temperature/gpu_temp"),
        temperature_memory_c=take(cell.celsius, "temperature/memory_temp"),
        power_w=take(cell.watts, "power_readings/gpu_power_draw", "power_readings/power_draw"),
        power_cap_w=take(cell.watts, "power_readings/current_gpu_power_limit", "power_readings/power_limit"),
        pcie=Pcie(
            generation=take(cell.whole, f"{link}/current_link_gen"),
            width=take(cell.whole, f"{width}/current_link_width"),
            max_generation=take(cell.whole, f"{link}/max_link_gen"),
            max_width=take(cell.whole, f"{width}/max_link_width"),
        ),
        ecc=Ecc(
            enabled=take(cell.flag, "ecc_mode/current_ecc"),
            corrected_volatile=take(cell.whole, "ecc_errors/single_bit"),
            uncorrected_volatile=take(cell.whole, "ecc_errors/double_bit"),
        ),
        processes=len(running.findall("process_info")) if running is not None else None,
    )
