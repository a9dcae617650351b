"""What `brsmi` is asked, and the pure parser of its answers (experimental).

The table is the only layout of which a capture is public. The csv query is composed from documented fields; it adds the
identities, which the table lacks. How `brsmi gpu query -d health` looks is not known, so it is not asked.
"""

import re

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc
from aiops.layers.l0_nodes.accelerator_union import united
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.device_table import rows
from aiops.layers.l0_nodes.trouble import trouble
from aiops.layers.l0_nodes.vendor import Reading

FIELDS = (
    "index",
    "name",
    "uuid",
    "serial",
    "pci.bus_id",
    "utilization.gpu",
    "memory.used",
    "memory.total",
    "temperature.gpu",
    "svi.mode.current",
)

ASKS = (
    Ask("biren.table", ("brsmi",), timeout=10.0),
    Ask(
        "biren.query",
        ("brsmi", "gpu", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"),
        timeout=10.0,
    ),
)

_DRIVER = re.compile(r"BR-SMI .{0,60}Driver Version: *([0-9A-Za-z._-]{1,40})")


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    unknown: dict[str, str] = {}
    tabled = _tabled(record.answer("biren.table"), unknown)
    queried = _queried(record.answer("biren.query"), unknown)
    if tabled:
        unknown.pop("query", None)  # a version that lacks one of the fields refuses all of them
    if queried:
        unknown.pop("table", None)
    devices = united(tabled, queried)
    if not devices and not unknown:
        unknown["table"] = "brsmi named no device"
    return Reading(devices, unknown)


def _trouble(answer: Answer) -> str | None:
    if answer.truncated:
        return "brsmi's answer was cut at its size limit"
    return trouble(answer, "brsmi")


def _tabled(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = _trouble(answer)
    driver = _DRIVER.search(answer.stdout)
    read, unread = rows(answer.stdout) if driver else ([], [])
    if unread:
        problem = problem or f"brsmi's table is not understood: {unread[0][:120]}"
    if problem is not None or not read:
        unknown["table"] = problem or "brsmi's table names no device"
    return [
        Accelerator(
            vendor="biren",
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
            persistence=cell.flag(row.last[0]) if row.last else None,
            partitioned=cell.flag(row.last[-1]) if row.last else None,
        )
        for row in read
    ]


def _queried(answer: Answer, unknown: dict[str, str]) -> list[Accelerator]:
    problem = _trouble(answer)
    found = []
    for line in answer.stdout.splitlines():
        row = [word.strip() for word in line.split(",")]
        values = dict(zip(FIELDS, row, strict=False))
        index = cell.whole(row[0])
        if len(row) != len(FIELDS) or index is None or cell.bus(values["pci.bus_id"]) is None:
            if line.strip():
                problem = problem or f"brsmi said: {line.strip()[:200]}"
            continue
        found.append(
            Accelerator(
                vendor="biren",
                index=index,
                uuid=cell.text(values["uuid"]),
                serial=cell.text(values["serial"]),
                bus=cell.bus(values["pci.bus_id"]),
                model=cell.text(values["name"]),
                memory_used_mib=cell.mebibytes(values["memory.used"]),
                memory_total_mib=cell.mebibytes(values["memory.total"]),
                utilization=cell.number(values["utilization.gpu"]),
                temperature_c=cell.number(values["temperature.gpu"]),
                partitioned=cell.flag(values["svi.mode.current"]),
            )
        )
    if problem is not None or not found:
        unknown["query"] = problem or "brsmi's query names no device"
    return found
