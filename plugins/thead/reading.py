"""What `ppu-smi` is asked, and the pure parser of its answers (experimental).

The csv query names only fields that the manual shows in use. `-q` tells the rest, by keys; the table stands in for
both. Traps: the minor number of a device is not its index, both chips of a card have one serial number, and a link
that is `<inactive>` leads nowhere, which is no fault.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Links, Pcie
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.device_log import Log, logs
from aiops.layers.l0_nodes.device_table import Row, parse_devices
from aiops.layers.l0_nodes.telling import Telling, first_line, parse_rows, reading, told
from aiops.layers.l0_nodes.vendor import Reading

TOOL = "ppu-smi"

FIELDS = ("index", "name", "serial", "uuid", "pci.bus_id", "driver_version", "memory.total", "memory.used")

ASKS = (
    Ask("thead.query", (TOOL, f"--query-ppu={','.join(FIELDS)}", "--format=csv,noheader,nounits"), timeout=10.0),
    Ask("thead.log", (TOOL, "-q"), timeout=10.0),
    Ask("thead.table", (TOOL,), timeout=10.0),
    Ask("thead.links", (TOOL, "icn", "-s"), timeout=10.0),
)

_HEAD = re.compile(r"PPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])")
_TITLE = re.compile(r"PPU-SMI .{0,60}Driver Version: *([0-9A-Za-z._-]{1,40})")
_LINKED = re.compile(r"PPU [0-9]{1,6}: .{0,80}\(UUID: ([0-9A-Za-z-]{1,80})\)")
_LINK = re.compile(r"Link [0-9]{1,4}: (<inactive>|[0-9.]{1,10} GB/s)")
_NO_RECOVERY = frozenset({"no", "ok", "normal", "no action", "not required", "not needed"})
_RESETS = ("PPU Reset Correctable", "OS Reboot Correctable", "Cold Reboot Correctable")


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    parse_query = partial(parse_rows, FIELDS, _of_query, address="pci.bus_id")
    parse_table = partial(parse_devices, "thead", _TITLE, _of_table)
    found = reading(
        {
            "query": told(record.answer("thead.query"), TOOL, parse_query),
            "log": told(record.answer("thead.log"), TOOL, _parse_log),
            "table": told(record.answer("thead.table"), TOOL, parse_table),
        },
        needed=("log",),
    )
    return replace(found, accelerators=_linked(found.accelerators, record.answer("thead.links").stdout))


def _of_query(values: Mapping[str, str], _: Telling) -> Accelerator:
    return Accelerator(
        vendor="thead",
        index=cell.whole(values["index"]),
        uuid=cell.text(values["uuid"]),
        serial=cell.text(values["serial"]),
        bus=cell.bus(values["pci.bus_id"]),
        model=cell.text(values["name"]),
        driver=cell.text(values["driver_version"]),
        memory_used_mib=cell.mebibytes(values["memory.used"]),
        memory_total_mib=cell.mebibytes(values["memory.total"]),
    )


def _parse_log(text: str, telling: Telling) -> None:
    before, found = logs(text, _HEAD)
    driver = cell.text(before.value("Driver Version"))
    for position, log in enumerate(found):
        if log.entries:
            telling.devices.append(_of_log(log, position, driver))
        else:
            telling.unknown[f"{position}.log"] = "ppu-smi -q says nothing of it"
    if not found:
        raise UnreadableError(f"-q named no device; it said: {first_line(text)}")


def _of_log(log: Log, position: int, driver: str | None) -> Accelerator:
    link = ("PCI", "PPU Link Info")
    power = log.value("Power Readings", "Enforced Power Limit") or log.value("Power Readings", "Power Limit")
    codes = tuple(code for kind in _RESETS if (code := cell.text(log.value("Xid Errors", kind))) is not None)
    recovery = cell.text(log.value("PPU Recovery Action"))
    needed = recovery is not None and recovery.lower() not in _NO_RECOVERY
    return Accelerator(
        vendor="thead",
        index=position,
        uuid=cell.text(log.value("PPU UUID")),
        serial=cell.text(log.value("Serial Number")),
        bus=cell.bus(log.value("PCI", "Bus Id")) or cell.bus((log.head or ("",))[0]),
        model=cell.text(log.value("Product Name")),
        driver=driver,
        firmware=cell.text(log.value("VBIOS Version")),
        memory_total_mib=cell.mebibytes(log.value("Memory Usage", "Total")),
        memory_used_mib=cell.mebibytes(log.value("Memory Usage", "Used")),
        utilization=cell.percent(log.value("Utilization", "Ppu")),
        temperature_c=cell.celsius(log.value("Temperature", "PPU Current Temp")),
        temperature_memory_c=cell.celsius(log.value("Temperature", "Memory Current Temp")),
        power_w=cell.watts(log.value("Power Readings", "Power Draw")),
        power_cap_w=cell.watts(power),
        pcie=Pcie(
            generation=cell.whole(log.value(*link, "PCIe Generation", "Current")),
            width=cell.whole(log.value(*link, "Link Width", "Current")),
            max_generation=cell.whole(log.value(*link, "PCIe Generation", "Max")),
            max_width=cell.whole(log.value(*link, "Link Width", "Max")),
            replays=cell.whole(log.find("PCI", "Replays Since Reset")),
        ),
        ecc=_ecc(log),
        persistence=cell.flag(log.value("Persistence Mode")),
        fabric_state=cell.text(log.value("Fabric", "State")),
        partitioned=cell.flag(log.value("MIG Mode", "Current")),
        processes=_processes(log),
        throttle_reasons=log.active("Clocks Throttle Reasons"),
        health_codes=codes,
        problems=(f"its tool asks for a recovery: {recovery}"[:100],) if needed else (),
    )


def _ecc(log: Log) -> Ecc:
    single = cell.whole(log.value("Retired Pages", "Single Bit ECC"))
    double = cell.whole(log.value("Retired Pages", "Double Bit ECC"))
    return Ecc(
        enabled=cell.flag(log.value("Ecc Mode", "Current")),
        corrected_volatile=_errors(log, "Volatile", " Correctable"),
        uncorrected_volatile=_errors(log, "Volatile", " Uncorrectable"),
        corrected_aggregate=_errors(log, "Aggregate", " Correctable"),
        uncorrected_aggregate=_errors(log, "Aggregate", " Uncorrectable"),
        remapped_correctable=cell.whole(log.value("Remapped Rows", "Correctable Error")),
        remapped_uncorrectable=cell.whole(log.value("Remapped Rows", "Uncorrectable Error")),
        remap_pending=cell.flag(log.value("Remapped Rows", "Pending")),
        remap_failed=cell.flag(log.value("Remapped Rows", "Remapping Failure Occurred")),
        retired=None if single is None or double is None else single + double,
        retire_pending=cell.flag(log.value("Retired Pages", "Pending Page Blacklist")),
    )


def _errors(log: Log, span: str, kind: str) -> int | None:
    """The sum of a span's counters (of DRAM and SRAM), as far as they are told."""
    counts = [cell.whole(value) for path, value in log.below("ECC Errors", span) if path[-1].endswith(kind)]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _processes(log: Log) -> int | None:
    if log.value("Processes") == "None":
        return 0
    return sum(path[-1] == "Process ID" for path, _ in log.below("Processes")) or None


def _of_table(row: Row, device: Accelerator) -> Accelerator:
    return replace(device, partitioned=cell.flag(row.last[-1]) if row.last else None)


def _linked(devices: tuple[Accelerator, ...], text: str) -> tuple[Accelerator, ...]:
    """The devices with how many of their links lead to another device; how many should, nobody tells."""
    active: dict[str, int] = {}
    current = ""
    for line in text.splitlines():
        head, link = _LINKED.search(line), _LINK.search(line)
        if head is not None:
            current = head[1]
            active[current] = 0
        elif link is not None and current:
            active[current] += link[1] != "<inactive>"
    return tuple(
        replace(device, links=Links(active=active[device.uuid])) if device.uuid in active else device
        for device in devices
    )
