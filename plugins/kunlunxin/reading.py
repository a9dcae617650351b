"""What Kunlunxin's `xpu-smi` is asked, and the pure parser of its answers.

`-m` is one line of positions per device, for machines; `-q` tells more, by keys; the table stands in for both. The
minor number of a device is not its index. `-m` writes the firmware's version in another way, so it is taken from `-q`
alone: nodes that were read differently must not look different.
"""

import re
import shlex
from dataclasses import replace
from functools import partial

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.device_log import Log, logs
from aiops.layers.l0_nodes.device_table import Row, parse_devices
from aiops.layers.l0_nodes.telling import Telling, first_line, reading, told
from aiops.layers.l0_nodes.vendor import Reading

TOOL = "xpu-smi"

ASKS = (
    Ask("kunlunxin.machine", (TOOL, "-m"), timeout=10.0),
    Ask("kunlunxin.query", (TOOL, "-q"), timeout=10.0),
    Ask("kunlunxin.table", (TOOL,), timeout=10.0),
)

VENDOR_IDS = ("1d22", "2057")
_BUS, _INDEX, _SERIAL, _HEAT, _POWER, _USED, _TOTAL, _LOAD, _MODEL = 0, 1, 3, 4, 8, 17, 18, 19, 21
_LEAST = 22
_HEAD = re.compile(r"XPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])")
_TITLE = re.compile(r"XPU-SMI .{0,40}Driver Version: *([0-9A-Za-z._-]{1,40}) .{0,40}XPU-RT Version")
_LOG = "XPUSMI LOG"


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    if _elsewhere(record):
        return Reading(unknown={"tool": "no Kunlunxin device is on the bus: an `xpu-smi` there is another maker's"})
    parse_table = partial(parse_devices, "kunlunxin", _TITLE, _of_table)
    return reading(
        {
            "machine": told(record.answer("kunlunxin.machine"), TOOL, _parse_machine),
            "query": told(record.answer("kunlunxin.query"), TOOL, _parse_query),
            "table": told(record.answer("kunlunxin.table"), TOOL, parse_table),
        },
        needed=("query",),
    )


def _elsewhere(record: Record) -> bool:
    """Whether the bus was read and has no device of this maker, so that the tool of this name is another's."""
    makers = {
        content.strip().lower().removeprefix("0x")
        for path, content in record.answer("bus").files.items()
        if path.endswith("/vendor")
    }
    return bool(makers) and not makers & set(VENDOR_IDS)


def _parse_machine(text: str, telling: Telling) -> None:
    """The devices of `-m`; a line that is not in its form is another tool's, or cut."""
    remarks = []
    for line in filter(str.strip, text.splitlines()):
        try:
            words = shlex.split(line)
        except ValueError:
            words = []
        bus = cell.bus(words[_BUS]) if words else None
        if len(words) < _LEAST or bus is None or cell.whole(words[_INDEX]) is None:
            remarks.append(line.strip())
            continue
        telling.devices.append(
            Accelerator(
                vendor="kunlunxin",
                index=cell.whole(words[_INDEX]),
                serial=cell.text(words[_SERIAL]),
                bus=bus,
                model=cell.text(words[_MODEL]),
                memory_used_mib=cell.mebibytes(words[_USED]),
                memory_total_mib=cell.mebibytes(words[_TOTAL]),
                utilization=cell.percent(words[_LOAD]),
                temperature_c=cell.celsius(words[_HEAT]),
                power_w=cell.watts(words[_POWER]),
            )
        )
    if not telling.devices:
        raise UnreadableError(f"-m said: {remarks[0][:200]}" if remarks else "-m names no device")
    for number, line in enumerate(remarks):
        telling.unreadable(f"machine row {number}", line)


def _parse_query(text: str, telling: Telling) -> None:
    before, found = logs(text, _HEAD) if _LOG in text else (Log(), [])
    driver = cell.text(before.value("Driver Version"))
    for position, log in enumerate(found):
        maker = log.value("PCI", "Device Id").lower()[-4:]
        if maker not in {*VENDOR_IDS, ""}:
            telling.unknown[f"{position}.maker"] = f"xpu-smi -q tells of a device of another maker, {maker}"
        elif not log.entries:
            telling.unknown[f"{position}.query"] = "xpu-smi -q says nothing of it"
        else:
            telling.devices.append(_of_log(log, position, driver))
    if not found:
        raise UnreadableError(f"-q named no device; it said: {first_line(text)}")


def _of_log(log: Log, position: int, driver: str | None) -> Accelerator:
    link = ("PCI", "XPU Link Info")
    return Accelerator(
        vendor="kunlunxin",
        index=position,
        uuid=cell.text(log.value("XPU UUID")),
        serial=cell.text(log.value("Serial Number")),
        bus=cell.bus(log.value("PCI", "Bus Id")) or cell.bus((log.head or ("",))[0]),
        model=cell.text(log.value("Product Name")),
        driver=driver,
        firmware=cell.text(log.value("Firmware Version", "ALL Version")),
        memory_total_mib=cell.mebibytes(log.value("Memory Usage", "Total")),
        memory_used_mib=cell.mebibytes(log.value("Memory Usage", "Used")),
        utilization=cell.percent(log.value("Utilization", "Xpu")),
        temperature_c=cell.celsius(log.value("Temperature", "XPU Current Temp")),
        power_w=cell.watts(log.value("Power Readings", "Power Draw")),
        power_cap_w=cell.watts(log.value("Power Readings", "Enforced Power Limit")),
        pcie=Pcie(
            generation=cell.whole(log.value(*link, "PCIe Generation", "Current")),
            width=cell.whole(log.value(*link, "Link Width", "Current")),
            max_generation=cell.whole(log.value(*link, "PCIe Generation", "Max")),
            max_width=cell.whole(log.value(*link, "Link Width", "Max")),
        ),
        ecc=Ecc(
            enabled=cell.flag(log.value("Ecc Mode", "Current")),
            corrected_volatile=_errors(log, "Volatile", " Correctable"),
            uncorrected_volatile=_errors(log, "Volatile", " Uncorrectable"),
            corrected_aggregate=_errors(log, "Aggregate", " Correctable"),
            uncorrected_aggregate=_errors(log, "Aggregate", " Uncorrectable"),
        ),
        processes=_processes(log),
    )


def _of_table(row: Row, device: Accelerator) -> Accelerator:
    return replace(device, partitioned=cell.flag(row.last[-1]) if row.last else None)


def _errors(log: Log, span: str, kind: str) -> int | None:
    """The sum of a span's counters (`DRAM Uncorrectable` and its sisters); None where one of them is not told."""
    counts = [cell.whole(value) for path, value in log.below("ECC Errors", span) if path[-1].endswith(kind)]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _processes(log: Log) -> int | None:
    if log.value("Processes") == "None":
        return 0
    return sum(path[-1] == "Process ID" for path, _ in log.below("Processes")) or None
