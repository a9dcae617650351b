"""What `mx-smi` is asked, and the pure parser of its answers.

Each `--show-...` is a section of one long text. What older versions do not know is asked apart: one unknown switch
fails a whole call. Memory is in KB there and in MiB in the table.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, DeviceHealth, Ecc, Pcie
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.device_log import Log, logs
from aiops.layers.l0_nodes.telling import Telling, reading, short_lines, told
from aiops.layers.l0_nodes.vendor import Reading

from .table import parse_table

T = TypeVar("T")

TOOL = "mx-smi"
STATE = ("--show-usage", "--show-temperature", "--show-board-power", "--show-memory", "--count-ecc")
DETAILS = ("--show-version", "--show-sn", "--show-pcie", "--show-ecc-state", "--show-clk-tr")
ASKS = (
    Ask("metax.list", (TOOL, "-L"), timeout=10.0),
    Ask("metax.state", (TOOL, *STATE), timeout=10.0),
    Ask("metax.details", (TOOL, *DETAILS), timeout=10.0),
    Ask("metax.table", (TOOL,), timeout=10.0),
)

_HEAD = re.compile(r"GPU#([0-9]{1,4})\s+(\S.*?)\s+([0-9A-Fa-f]{4,8}:\S+)(?:\s.*)?")
_LISTED = re.compile(
    r"GPU#([0-9]{1,4})\s+(\S.*?)\s+([0-9A-Fa-f]{4,8}:\S+)\s+(Available|Not Available)\s*(?:\((?:UUID:\s*)?([^)]*)\))?.*"
)
_TITLE = "MetaX System Management Interface"
_UNSEEN = "Sysfs File Unaccessible"
"""The reason of a device that a container was not given; a device that is broken may have it, too."""


def read(record: Record) -> Reading:
    """The devices that a record tells of. Never raises: what cannot be read is in `unknown`, with its reason."""
    return reading(
        {
            "list": told(record.answer("metax.list"), TOOL, _parse_list),
            "query": told(record.answer("metax.state"), TOOL, _parse_sections),
            "details": told(record.answer("metax.details"), TOOL, _parse_sections),
            "table": told(record.answer("metax.table"), TOOL, parse_table),
        },
        needed=("query",),
    )


def _parse_list(text: str, telling: Telling) -> None:
    for line in short_lines(text).splitlines():
        words = line.strip()
        row = _LISTED.fullmatch(words)
        if row is None:
            if words.startswith("GPU#"):
                telling.unreadable(f"list {words.split()[0]}", line)
            elif words.startswith("SGPU#") and telling.devices:
                telling.devices[-1] = replace(telling.devices[-1], partitioned=True)
            continue
        index, there = int(row[1]), row[4] == "Available"
        health: DeviceHealth | None = "ok" if there else "critical"
        reason = (row[5] or "").strip()
        if not there and _UNSEEN in reason:
            health = None
            telling.unknown[f"{index}.health"] = f"mx-smi cannot see it: {reason}"
        telling.devices.append(
            Accelerator(
                vendor="metax",
                index=index,
                uuid=cell.text(reason) if there else None,
                bus=telling.take(f"{index}.bus", cell.bus, row[3]),
                model=cell.text(row[2]),
                health=health,
                health_codes=(f"Not Available: {reason}",) if health == "critical" else (),
            )
        )
    if not telling.devices and not telling.unknown:
        raise UnreadableError("its list names no device of MetaX")


def _parse_sections(text: str, telling: Telling) -> None:
    if _TITLE not in text:
        raise UnreadableError("this is not the log of MetaX' tool")
    _, devices = logs(short_lines(text), _HEAD)
    if not devices:
        raise UnreadableError(f"its log names no device: {_remark(text)}")
    telling.devices += [_Sections(log, telling).accelerator() for log in devices]
    if "End of Log" not in text:
        telling.unknown["log"] = "it ends in the middle"


def _remark(text: str) -> str:
    """The first line that is no part of the frame: what the tool complains of."""
    frame = (_TITLE, "mx-smi  version", "Timestamp", "Attached GPUs", "End of Log")
    lines = [line.strip() for line in text.splitlines() if not any(word in line for word in frame)]
    return next(filter(None, lines), "it is empty")[:200]


@dataclass(frozen=True, slots=True)
class _Sections:
    """What one call says of one device."""

    log: Log
    telling: Telling

    def _take(self, parse: Callable[[str], T | None], key: str, section: str) -> T | None:
        """The first value whose key begins so, in a section (where there is one) that has these words in its title."""
        for path, value in self.log.entries:
            title = path[-2].lower() if len(path) > 1 else section
            complaint = path[-1].startswith("GPU#")  # `GPU#0 show-pcie-slot Sysfs error: ...` between sections
            if all(word in title for word in section.split()) and path[-1].lower().startswith(key) and not complaint:
                return self.telling.take(f"{(self.log.head or ('',))[0]}.{section} {key}", parse, value)
        return None

    def accelerator(self) -> Accelerator:
        """The device, as far as this call tells of it."""
        index, model, bus = self.log.head or ("0", "", "")
        take, errors = self._take, "ecc errors"
        return Accelerator(
            vendor="metax",
            index=int(index),
            serial=take(cell.text, "board", "serial number") or take(cell.text, "chip", "serial number"),
            bus=self.telling.take(f"{index}.bus", cell.bus, bus),
            model=cell.text(model),
            driver=take(cell.text, "kmd", "version"),
            firmware=take(cell.text, "bios", "version"),
            memory_total_mib=take(cell.mebibytes, "vis_vram total", "memory"),
            memory_used_mib=take(cell.mebibytes, "vis_vram used", "memory"),
            utilization=take(cell.percent, "gpu", "utilization"),
            temperature_hotspot_c=take(cell.celsius, "hotspot", "chip temperature"),
            power_w=take(cell.watts, "total", "board power"),
            power_cap_w=take(cell.watts, "limit", "board power"),
            pcie=Pcie(
                generation=take(cell.generation, "current speed", "pcie"),
                width=take(cell.lanes, "current width", "pcie"),
                max_generation=take(cell.generation, "max speed", "pcie"),
                max_width=take(cell.lanes, "max width", "pcie"),
            ),
            ecc=Ecc(
                enabled=take(_switch, "state", "ecc state"),
                # They start at zero with every boot; that SRAM or DRAM is not told is not 0 of them.
                corrected_volatile=_sum(take(cell.whole, f"{kind} correctable", errors) for kind in ("sram", "dram")),
                uncorrected_volatile=_whole_sum(
                    take(cell.whole, f"{kind} uncorrectable", errors) for kind in ("sram", "dram")
                ),
                retired=take(cell.whole, "double bit", "retired pages"),
            ),
            throttle_reasons=self._throttle_reasons(),
        )

    def _throttle_reasons(self) -> tuple[str, ...] | None:
        told = [
            (path[-1].lower().replace(" ", "_"), cell.flag(value))
            for path, value in self.log.entries
            if len(path) > 1 and "throttle reason" in path[-2].lower()
        ]
        return tuple(name for name, active in told if active) if told else None


def _whole_sum(counts: Iterable[int | None]) -> int | None:
    """Their sum where all are told: what a part that is not told would say is in no sum."""
    told = list(counts)
    known = [count for count in told if count is not None]
    return sum(known) if known and len(known) == len(told) else None


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _switch(value: str) -> bool | None:
    return {"enable": True, "disable": False}.get(value.lower(), cell.flag(value))
