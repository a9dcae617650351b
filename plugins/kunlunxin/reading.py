"""What Kunlunxin's `xpu-smi` is asked, and the pure parser of its answers.

`-m` is one line of positions per device, for machines; `-q` tells more, by keys; the table stands in for both. The
minor number of a device is not its index. `-m` writes the firmware's version in another way, so it is taken from `-q`
alone: nodes that were read differently must not look different.
"""

import re
import shlex

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.accelerator_union import united
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.device_log import Log, logs
from aiops.layers.l0_nodes.device_table import rows
from aiops.layers.l0_nodes.trouble import trouble
from aiops.layers.l0_nodes.vendor import Reading

ASKS = (
    Ask("kunlunxin.machine", ("xpu-smi", "-m"), timeout=10.0),
    Ask("kunlunxin.query", ("xpu-smi", "-q"), timeout=10.0),
    Ask("kunlunxin.table", ("xpu-smi",), timeout=10.0),
)

VENDOR_IDS = ("1d22", "2057")
_BUS, _INDEX, _SERIAL, _HEAT, _POWER, _USED, _TOTAL, _LOAD, _MODEL = 0, 1, 3, 4, 8, 17, 18, 19, 21
_LEAST = 22
_HEAD = re.compile(r"XPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])")
_DRIVER = re.compile(r"XPU-SMI .{0,40}Driver Version: *([0-9A-Za-z._-]{1,40}) .{0,40}XPU-RT Version")
_LOG = "XPUSMI LOG"


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    if _elsewhere(record):
        return Reading(unknown={"tool": "no Kunlunxin device is on the bus: an `xpu-smi` there is another maker's"})
    unknown: dict[str, str] = {}
    listed = _listed(record.answer("kunlunxin.machine"), unknown)
    queried = _queried(record.answer("kunlunxin.query"), unknown)
    tabled = _tabled(record.answer("kunlunxin.table"), unknown)
    if queried:
        unknown.pop("machine", None)
        unknown.pop("table", None)
    elif listed:
        unknown.pop("table", None)
    devices = united(listed, queried, tabled)
    if not devices and not unknown:
        unknown["query"] = "xpu-smi named no device"
    return Reading(devices, unknown)


def _elsewhere(record: Record) -> bool:
    """Whether the bus was read and has no device of this maker, so that the tool of this name is another's."""
    makers = {
        content.strip().lower().removeprefix("0x")
        for path, content in record.answer("bus").files.items()
        if path.endswith("/vendor")
    }
    return bool(makers) and not makers & set(VENDOR_IDS)


def _trouble(answer: Answer) -> str | None:
    if answer.truncated:
        return "xpu-smi's answer was cut at its size limit"
    return trouble(answer, "xpu-smi")


def _listed(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    """The devices of `-m`; a line that is not in its form is another tool's, or cut."""
    problem = _trouble(answer)
    found = []
    for line in answer.stdout.splitlines():
        try:
            words = shlex.split(line)
        except ValueError:
            words = [line]
        bus = cell.bus(words[_BUS]) if words else None
        if len(words) < _LEAST or bus is None or cell.whole(words[_INDEX]) is None:
            if line.strip():
                problem = problem or f"xpu-smi -m said: {line.strip()[:200]}"
            continue
        found.append(
            Accelerator(
                vendor="kunlunxin",
                index=cell.whole(words[_INDEX]),
                serial=cell.text(words[_SERIAL]),
                bus=bus,
                model=cell.text(words[_MODEL]),
                memory_used_mib=cell.mebibytes(words[_USED]),
                memory_total_mib=cell.mebibytes(words[_TOTAL]),
                utilization=cell.number(words[_LOAD]),
                temperature_c=cell.number(words[_HEAT]),
                power_w=cell.number(words[_POWER]),
            )
        )
    if problem is not None or not found:
        unknown["machine"] = problem or "xpu-smi -m names no device"
    return found


def _queried(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = _trouble(answer)
    before, found = logs(answer.stdout, _HEAD) if _LOG in answer.stdout else (Log(), [])
    driver = cell.text(before.value("Driver Version"))
    devices = []
    for position, log in enumerate(found):
        maker = log.value("PCI", "Device Id").lower()[-4:]
        if maker not in {*VENDOR_IDS, ""}:
            problem = problem or f"xpu-smi -q tells of a device of another maker, {maker}"
        elif not log.entries:
            problem = problem or "xpu-smi -q says nothing of a device"
        else:
            devices.append(_of_log(log, position, driver))
    if problem is not None or not devices:
        said = next((line.strip()[:200] for line in answer.stdout.splitlines() if line.strip()), "nothing")
        unknown["query"] = problem or f"xpu-smi -q named no device; it said: {said}"
    return devices


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
        utilization=cell.number(log.value("Utilization", "Xpu")),
        temperature_c=cell.number(log.value("Temperature", "XPU Current Temp")),
        power_w=cell.number(log.value("Power Readings", "Power Draw")),
        power_cap_w=cell.number(log.value("Power Readings", "Enforced Power Limit")),
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


def _tabled(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = _trouble(answer)
    driver = _DRIVER.search(answer.stdout)
    read, unread = rows(answer.stdout) if driver else ([], [])
    if unread:
        problem = problem or f"xpu-smi's table is not understood: {unread[0][:120]}"
    if problem is not None or not read:
        unknown["table"] = problem or "xpu-smi's table names no device"
    return [
        Accelerator(
            vendor="kunlunxin",
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


def _errors(log: Log, span: str, kind: str) -> int | None:
    """The sum of a span's counters (`DRAM Uncorrectable` and its sisters); None where one of them is not told."""
    counts = [cell.whole(value) for path, value in log.below("ECC Errors", span) if path[-1].endswith(kind)]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _processes(log: Log) -> int | None:
    if log.value("Processes") == "None":
        return 0
    return sum(path[-1] == "Process ID" for path, _ in log.below("Processes")) or None
