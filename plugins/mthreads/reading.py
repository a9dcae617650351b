"""What `mthreads-gmi` is asked, and the pure parser of its answers.

The document tells all but how many processes there are; the table, which has no power, stands in for it.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.answer_document import document, leaf
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.telling import Telling, reading, told
from aiops.layers.l0_nodes.vendor import Reading

from .table import parse_table
from .values import credible, ecc_enabled, partitioned

T = TypeVar("T")

TOOL = "mthreads-gmi"
ASKS = (
    Ask("mthreads.json", (TOOL, "-q", "-j"), timeout=10.0, max_bytes=1_048_576),
    Ask("mthreads.table", (TOOL,), timeout=10.0),
)

_SIGNS = re.compile(r"[^a-z0-9]")
_VENDOR_ID = "0x1ed5"


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    return reading(
        {
            "query": told(record.answer("mthreads.json"), TOOL, _parse_document),
            "table": told(record.answer("mthreads.table"), TOOL, parse_table),
        }
    )


def _parse_document(text: str, telling: Telling) -> None:
    tree = document(text)
    gpus = _at(tree, "GPU") or _at(tree, "gpus")
    if not isinstance(gpus, list) or not any(_is_ours(gpu) for gpu in gpus):
        raise UnreadableError("its document names no device of Moore Threads")
    driver = cell.text(leaf(_at(tree, "Driver Version")))
    for position, gpu in enumerate(gpus):
        if isinstance(gpu, dict):
            telling.devices.append(_of_document(position, gpu, driver, telling))
        else:
            telling.unknown[f"GPU {position}"] = "it is no object"


def _of_document(position: int, gpu: Any, driver: str | None, telling: Telling) -> Accelerator:
    index = cell.whole(leaf(_at(gpu, "Index")))
    if index is None:
        index = position

    def take(parse: Callable[[str], T | None], *path: str) -> T | None:
        return telling.take(f"{index}.{'.'.join(path).strip()}", parse, leaf(_at(gpu, *path)))

    # The key of the bus id has had its section's name in front of it.
    bus = take(cell.bus, "PCI", "Bus ID") or take(cell.bus, "PCI", "PCI/Bus ID")
    total, used = take(cell.mebibytes, "FB Memory Usage", "Total"), take(cell.mebibytes, "FB Memory Usage", "Used")
    retired = [take(cell.whole, "Retired Pages", f"{kind} Bit ECC") for kind in ("Single", "Double")]
    link = ("PCI", "GPU Link Info")
    return Accelerator(
        vendor="mthreads",
        index=index,
        uuid=take(cell.text, "GPU UUID"),
        serial=take(cell.text, "Serial Number"),
        bus=bus,
        model=take(cell.text, "Product Name"),
        driver=driver,
        firmware=take(cell.text, "MTBios Version"),
        memory_total_mib=total,
        memory_used_mib=credible(f"{index}.memory", used, total, telling),
        utilization=take(cell.percent, "Utilization", "Gpu"),
        temperature_c=take(cell.celsius, "Temperature", "GPU Current Temp"),
        power_w=take(cell.watts, "Power Readings", "Power Draw"),
        power_cap_w=take(cell.watts, "Power Readings", "Current Power Limit") or None,  # 0 W: there is none
        pcie=Pcie(
            generation=take(cell.whole, *link, "PCIe Generation", "Current"),
            width=take(cell.whole, *link, "Link Width", "Current"),
            max_generation=take(cell.whole, *link, "PCIe Generation", "Max"),
            max_width=take(cell.whole, *link, "Link Width", "Max"),
        ),
        ecc=Ecc(
            enabled=ecc_enabled(leaf(_at(gpu, "Ecc Mode", "Current"))),
            # Each page that is retired for a double-bit error had one; there is no other count of them.
            uncorrected_aggregate=retired[1],
            retired=None if retired[0] is None or retired[1] is None else retired[0] + retired[1],
            retire_pending=take(cell.flag, "Retired Pages", "Pending Page Blacklist"),
        ),
        partitioned=partitioned(leaf(_at(gpu, "DeviceType"))),
    )


def _is_ours(gpu: Any) -> bool:
    maker = leaf(_at(gpu, "PCI", "Vendor ID")).lower()
    return maker == _VENDOR_ID or (not maker and leaf(_at(gpu, "Product Name")).upper().startswith("MTT"))


def _at(tree: Any, *path: str) -> Any:
    """What stands at a path of keys, whose blanks, signs and capitals differ by version (`Power Draw `)."""
    for key in path:
        if not isinstance(tree, dict):
            return None
        wanted = _SIGNS.sub("", key.lower())
        tree = next((value for name, value in tree.items() if _SIGNS.sub("", name.lower()) == wanted), None)
    return tree
