"""The table of a bare `cnmon`: two lines per device between rules, in the columns of versions 4 and 5."""

import re
from dataclasses import replace

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.telling import Telling, short_lines

_HEAD = re.compile(r"\|\s*CNMON\s+v\S+.*")
_DRIVER = re.compile(r"Driver\s+(v\S+)")
_FIRST = re.compile(r"([0-9]{1,4})\s+(\S+)\s+(\S.*?)\s+(\S+)")
_SECOND = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s*W?\s*/\s*(\S+)(?:\s*W)?")
_MEMORY = re.compile(r"(N/A|[^/]*)/\s*(N/A|[^/]*)")
_LOAD = re.compile(r"(\S+)\s+(\S.*)")
_TITLES = ("Card", "Fan", "CNMON")
_CELLS = 3


def parse_table(text: str, telling: Telling) -> None:
    """Add the devices of the table.

    Raises:
        UnreadableError: It is not the table of Cambricon's tool.
    """
    text = short_lines(text)
    head = _HEAD.search(text)
    if head is None:
        raise UnreadableError("its table has no head")
    version = _DRIVER.search(head[0])  # version 4 has it in each row
    driver = version[1] if version else None
    first: list[str] = []
    for line in text[head.start() :].splitlines():
        words = line.strip()
        if words.startswith("|") and "Processes" in words:
            break
        if not words.startswith("|") or words.startswith("|=") or not words.strip("|- +"):
            continue
        cells = [one.strip() for one in words.strip("|").split("|")]
        if cells[0].startswith(_TITLES):
            continue
        if first:
            _add(first, cells, driver, telling)
            first = []
        elif len(cells) == _CELLS and _FIRST.fullmatch(cells[0]):
            first = cells
        else:
            telling.unreadable(f"row {len(telling.devices)}", line)
    if first:
        _add(first, [], driver, telling)
    if not text.rstrip().endswith(("+", "|")):
        telling.unknown["table"] = "it ends in the middle"


def _add(first: list[str], second: list[str], driver: str | None, telling: Telling) -> None:
    row = _FIRST.fullmatch(first[0])
    if row is None:  # was matched before
        return
    index = int(row[1])
    values = _SECOND.fullmatch(second[0]) if len(second) == _CELLS else None
    if values is None:
        telling.unreadable(f"{index}.row", " | ".join(second))
    known = [device.index for device in telling.devices]
    if index in known and row[2].isdigit():
        # A card whose virtual functions are in use has a row for each: they are parts of it.
        place = known.index(index)
        telling.devices[place] = replace(telling.devices[place], partitioned=True)
        return
    named = _LOAD.fullmatch(first[2])
    started = _LOAD.fullmatch(first[1])  # version 4: whether it has started, and the driver
    memory = _MEMORY.fullmatch(second[1]) if values else None
    telling.devices.append(
        Accelerator(
            vendor="cambricon",
            index=index,
            bus=None if started else telling.take(f"{index}.bus", cell.bus, first[1]),
            model=telling.take(f"{index}.name", cell.text, row[3]),
            driver=cell.text(driver or "") or (cell.text(started[2]) if started else None),
            firmware=cell.text(row[4]),
            memory_total_mib=telling.take(f"{index}.memory", cell.mebibytes, memory[2] if memory else ""),
            memory_used_mib=telling.take(f"{index}.memory", cell.mebibytes, memory[1] if memory else ""),
            utilization=telling.take(f"{index}.utilization", cell.percent, named[1] if named else ""),
            temperature_c=telling.take(f"{index}.temperature", cell.celsius, values[2] if values else ""),
            power_w=telling.take(f"{index}.power", cell.watts, values[3] if values else ""),
            power_cap_w=telling.take(f"{index}.power", cell.watts, values[4] if values else ""),
            # A number stands there only while the memory corrects itself. What it counts is not told: corrected
            # errors, which are nothing to worry about, may be among them, so it is not taken for uncorrected ones.
            ecc=Ecc(enabled=True if named and cell.whole(named[2]) is not None else None),
        )
    )
