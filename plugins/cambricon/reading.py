"""What `cnmon` is asked, and the pure parser of its answers.

The document names devices best, the long text knows what the tool thinks of them, and power stands in the table.
None of them is the same in all versions: what one lacks, another fills in.
"""

import re
from typing import Any

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, DeviceHealth, Pcie
from aiops.layers.l0_nodes.answer_document import at, document, leaf
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.device_log import Log, logs
from aiops.layers.l0_nodes.telling import Telling, reading, short_lines, told
from aiops.layers.l0_nodes.vendor import Reading

from .table import parse_table

DOCUMENT = "cnmon_info.json"

ASKS = (
    # The document is written to a file in the working folder, whatever it is called on the command line.
    Ask("cambricon.json", ("cnmon", "info", "-j"), timeout=10.0, max_bytes=1_048_576, scratch=True),
    Ask("cambricon.info", ("cnmon", "info"), timeout=10.0, max_bytes=1_048_576),
    Ask("cambricon.table", ("cnmon",), timeout=10.0),
)

_CARD = re.compile(r"Card\s*:?\s*([0-9]{1,4})")
_NO_VALUE = re.compile(r"[ \t]*:[ \t]*$", re.MULTILINE)
_BAD = re.compile(r"\b(?:bad|error|fault|in problem|problem)\b")


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    answer = record.answer("cambricon.json")
    # Without the file there is nothing to parse: what it says on the screen is then the reason.
    text = answer.files.get(DOCUMENT, answer.stdout)
    return reading(
        {
            "query": told(answer, "cnmon", _parse_document, text),
            "details": told(record.answer("cambricon.info"), "cnmon", _parse_info),
            "table": told(record.answer("cambricon.table"), "cnmon", parse_table),
        }
    )


def _parse_document(text: str, telling: Telling) -> None:
    cards = at(document(text), "CnmonInfo")
    if not isinstance(cards, list):
        raise UnreadableError(f"{DOCUMENT} holds no list `CnmonInfo`")
    for position, card in enumerate(cards):
        index = cell.whole(leaf(at(card, "CardNum")))
        if index is None:
            telling.unknown[f"card {position}"] = f"it has no number in {DOCUMENT}"
            continue

        def take(parse: Any, *path: str, card: Any = card, index: int = index) -> Any:
            return telling.take(f"{index}.{'.'.join(path)}", parse, leaf(at(card, *path)))

        telling.devices.append(
            Accelerator(
                vendor="cambricon",
                index=index,
                uuid=take(cell.text, "UUID"),
                bus=_bus([leaf(at(card, "PCI", key)) for key in ("DomainID", "Bus", "Device", "Function")]),
                model=take(cell.text, "ProductName"),
                memory_total_mib=take(cell.mebibytes, "PhysicalMemUsage", "Total"),
                memory_used_mib=take(cell.mebibytes, "PhysicalMemUsage", "Used"),
                utilization=take(cell.percent, "Utilization", "MLUAverage"),
                temperature_c=take(cell.celsius, "Temperature", "Chip"),
                pcie=Pcie(
                    generation=take(cell.generation, "PCI", "CurrentSpeed"),
                    width=take(cell.lanes, "PCI", "CurrentWidth"),
                    max_generation=take(cell.generation, "PCI", "MaxSpeed"),
                    max_width=take(cell.lanes, "PCI", "MaxWidth"),
                ),
            )
        )


def _parse_info(text: str, telling: Telling) -> None:
    _, cards = logs(_NO_VALUE.sub("", short_lines(text)), _CARD)
    if not any("MLU" in card.value("Product Name") for card in cards):
        raise UnreadableError("`cnmon info` names no MLU")
    for card in cards:
        if card.head is not None:
            telling.devices.append(_of_info(int(card.head[0]), card, telling))


def _of_info(index: int, card: Log, telling: Telling) -> Accelerator:
    def take(parse: Any, *path: str) -> Any:
        return telling.take(f"{index}.{'.'.join(path)}", parse, card.value(*path))

    health, codes = _health(index, card, telling)
    return Accelerator(
        vendor="cambricon",
        index=index,
        uuid=take(cell.text, "UUID"),
        serial=take(cell.text, "SN"),
        bus=_bus([card.value("PCI", key) for key in ("Domain ID", "Bus num", "Device", "Function")]),
        model=take(cell.text, "Product Name"),
        driver=take(cell.text, "Driver"),
        firmware=take(cell.text, "Firmware"),
        memory_total_mib=take(cell.mebibytes, "Physical Memory Usage", "Total"),
        memory_used_mib=take(cell.mebibytes, "Physical Memory Usage", "Used"),
        utilization=take(cell.percent, "Utilization", "MLU Average"),
        temperature_c=take(cell.celsius, "Temperature", "Chip"),
        temperature_memory_c=take(cell.celsius, "Temperature", "Memory"),
        power_w=take(cell.watts, "Power", "Usage"),
        power_cap_w=take(cell.watts, "Power", "Cap"),
        pcie=Pcie(
            generation=take(cell.generation, "PCI", "Current Speed"),
            width=take(cell.lanes, "PCI", "Current Width"),
            max_generation=take(cell.generation, "PCI", "Max Speed"),
            max_width=take(cell.lanes, "PCI", "Max Width"),
        ),
        processes=take(cell.whole, "Processes", "Process"),
        health=health,
        health_codes=codes,
    )


def _health(index: int, card: Log, telling: Telling) -> tuple[DeviceHealth | None, tuple[str, ...]]:
    """What the tool thinks of the device and of its driver, which may be starting or being reset."""
    device, driver = (cell.text(card.value("Health State", key)) for key in ("Device", "Driver"))
    bad = tuple(
        f"{key} {word}" for key, word in (("Device", device), ("Driver", driver)) if word and _BAD.search(word.lower())
    )
    if bad:
        return "critical", bad
    if device is None:
        return None, ()
    if device.lower() != "good":
        telling.unknown[f"{index}.Health State"] = f"it says `{device[:60]}`"
        return None, ()
    if driver is not None and driver.lower() not in {"running", "unknown"}:
        return "warning", (f"Driver {driver}",)
    return "ok", ()


def _bus(parts: list[str]) -> str | None:
    domain, bus, device, function = (part.lower().removeprefix("0x") for part in parts)
    return cell.bus(f"{domain:0>4}:{bus:0>2}:{device:0>2}.{function}") if function else None
