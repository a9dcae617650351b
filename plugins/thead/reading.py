"""What `ppu-smi` is asked, and the pure parser of its answers (experimental).

The csv query names only fields that the manual shows in use. `-q` tells the rest, by keys; the table stands in for
both. Traps: the minor number of a device is not its index, both chips of a card have one serial number, and a link
that is `<inactive>` leads nowhere, which is no fault.
"""

import re
from dataclasses import replace

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Links, Pcie
from aiops.layers.l0_nodes.accelerator_union import united
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.device_log import Log, logs
from aiops.layers.l0_nodes.device_table import rows
from aiops.layers.l0_nodes.trouble import trouble
from aiops.layers.l0_nodes.vendor import Reading

FIELDS = ("index", "name", "serial", "uuid", "pci.bus_id", "driver_version", "memory.total", "memory.used")

ASKS = (
    Ask("thead.query", ("ppu-smi", f"--query-ppu={','.join(FIELDS)}", "--format=csv,noheader,nounits"), timeout=10.0),
    Ask("thead.log", ("ppu-smi", "-q"), timeout=10.0),
    Ask("thead.table", ("ppu-smi",), timeout=10.0),
    Ask("thead.links", ("ppu-smi", "icn", "-s"), timeout=10.0),
)

_HEAD = re.compile(r"PPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])")
_DRIVER = re.compile(r"PPU-SMI .{0,60}Driver Version: *([0-9A-Za-z._-]{1,40})")
_LINKED = re.compile(r"PPU [0-9]{1,6}: .{0,80}\(UUID: ([0-9A-Za-z-]{1,80})\)")
_LINK = re.compile(r"Link [0-9]{1,4}: (<inactive>|[0-9.]{1,10} GB/s)")
_NO_RECOVERY = frozenset({"no", "ok", "normal", "no action", "not required", "not needed"})
_RESETS = ("PPU Reset Correctable", "OS Reboot Correctable", "Cold Reboot Correctable")


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    unknown: dict[str, str] = {}
    queried = _queried(record.answer("thead.query"), unknown)
    logged = _logged(record.answer("thead.log"), unknown)
    tabled = _tabled(record.answer("thead.table"), unknown)
    if logged:
        unknown.pop("query", None)
        unknown.pop("table", None)
    elif queried:
        unknown.pop("table", None)
    elif tabled:
        unknown.pop("query", None)
    devices = united(queried, logged, tabled)
    if devices:
        devices = _linked(devices, record.answer("thead.links").stdout)
    elif not unknown:
        unknown["query"] = "ppu-smi named no device"
    return Reading(devices, unknown)


def _trouble(answer: Answer) -> str | None:
    if answer.truncated:
        return "ppu-smi's answer was cut at its size limit"
    return trouble(answer, "ppu-smi")


def _queried(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = _trouble(answer)
    found = []
    for line in answer.stdout.splitlines():
        row = [word.strip() for word in line.split(",")]
        values = dict(zip(FIELDS, row, strict=False))
        index = cell.whole(row[0])
        if len(row) != len(FIELDS) or index is None or cell.bus(values["pci.bus_id"]) is None:
            if line.strip():
                problem = problem or f"ppu-smi said: {line.strip()[:200]}"
            continue
        found.append(
            Accelerator(
                vendor="thead",
                index=index,
                uuid=cell.text(values["uuid"]),
                serial=cell.text(values["serial"]),
                bus=cell.bus(values["pci.bus_id"]),
                model=cell.text(values["name"]),
                driver=cell.text(values["driver_version"]),
                memory_used_mib=cell.mebibytes(values["memory.used"]),
                memory_total_mib=cell.mebibytes(values["memory.total"]),
            )
        )
    if problem is not None or not found:
        unknown["query"] = problem or "ppu-smi's query names no device"
    return found


def _logged(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = _trouble(answer)
    before, found = logs(answer.stdout, _HEAD)
    driver = cell.text(before.value("Driver Version"))
    devices = []
    for position, log in enumerate(found):
        if log.entries:
            devices.append(_of_log(log, position, driver))
        else:
            problem = problem or "ppu-smi -q says nothing of a device"
    if problem is not None or not devices:
        said = next((line.strip()[:200] for line in answer.stdout.splitlines() if line.strip()), "nothing")
        unknown["log"] = problem or f"ppu-smi -q named no device; it said: {said}"
    return devices


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
        utilization=cell.number(log.value("Utilization", "Ppu")),
        temperature_c=cell.number(log.value("Temperature", "PPU Current Temp")),
        temperature_memory_c=cell.number(log.value("Temperature", "Memory Current Temp")),
        power_w=cell.number(log.value("Power Readings", "Power Draw")),
        power_cap_w=cell.number(power),
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
        throttle_reasons=_reasons(log),
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


def _reasons(log: Log) -> tuple[str, ...] | None:
    found = [(path[-1], cell.flag(value)) for path, value in log.below("Clocks Throttle Reasons")]
    known = [(name, active) for name, active in found if active is not None]
    return tuple("_".join(name.lower().split()) for name, active in known if active) if known else None


def _tabled(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = _trouble(answer)
    driver = _DRIVER.search(answer.stdout)
    read, unread = rows(answer.stdout) if driver else ([], [])
    if unread:
        problem = problem or f"ppu-smi's table is not understood: {unread[0][:120]}"
    if problem is not None or not read:
        unknown["table"] = problem or "ppu-smi's table names no device"
    return [
        Accelerator(
            vendor="thead",
            index=row.index,
            bus=row.bus,
            model=row.name,
            driver=driver[1] if driver else None,
            memory_used_mib=row.memory_used_mib,
            memory_total_mib=row.memory_total_mib,
            utilization=row.utilization,
            temperature_c=row.temperature_c,
            power_w=row.power_w,
            power_cap_w=row.power_cap_w,
            ecc=Ecc(uncorrected_volatile=row.ecc),
            partitioned=cell.flag(row.last[-1]) if row.last else None,
        )
        for row in read
    ]


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
