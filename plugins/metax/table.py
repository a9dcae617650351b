"""The table of a bare `mx-smi`, which has had three sets of columns: two lines per device between rules.

2.1 and 2.2.4 begin with the device, 2.2.8 adds modes to that, and since 2.2.9 the board comes first, with power below
it and the temperature in the next column. So each value is known by how it looks, not by where it stands.
"""

import re
from collections import Counter
from dataclasses import replace

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.telling import Telling, short_lines

_HEAD = re.compile(r"\|\s*MX-SMI\s+\S+\s+Kernel Mode Driver Version:\s*(\S+)\s*\|")
_FIRMWARE = re.compile(r"MACA Version:\s*\S+\s+BIOS Version:\s*(\S+)")
_BOARD_FIRST = re.compile(r"\|\s*Board\s+Name\s*\|")
_BUS = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
_MODE = re.compile(r"\s+(On|Off)$")
_NUMBERED = re.compile(r"([0-9]{1,4})(?:\s+(\S.*))?")
_LOAD = re.compile(r"(\S+%|N/?A)(?:\s+(\S+))?")
_HEAT = re.compile(r"(?:^|\s)(-?[0-9]+)\s*C(?:\s|$)")
_POWER = re.compile(r"([0-9.]+)\s*W\s*/\s*(?:([0-9.]+)\s*W|N/?A)")
_MEMORY = re.compile(r"([0-9]+)\s*/\s*([0-9]+)\s*MiB")
_PROCESS = re.compile(r"\|\s*([0-9]{1,4})\s+[0-9]+\s+\S.*\|")
_CELLS = 3


def parse_table(text: str, telling: Telling) -> None:
    """Add the devices of the table.

    Raises:
        UnreadableError: It is not the table of MetaX' tool: another maker's tool has the same name.
    """
    text = short_lines(text)
    head = _HEAD.search(text)
    firmware = _FIRMWARE.search(text)
    if head is None or firmware is None:
        raise UnreadableError("its table has no head of MetaX' tool")
    board_first = _BOARD_FIRST.search(text) is not None
    above, rule, below = text[firmware.end() :].partition("| Process:")
    first: list[str] = []
    for line in above.splitlines():
        words = line.strip()
        if words.startswith(("| Sliced", "| sGPU")):
            break  # parts of devices
        if not words.startswith("|"):
            first = _unpaired(first, telling)
            continue
        cells = [one.strip() for one in words.strip("|").split("|")]
        if first:
            telling.devices.append(_device(first, cells, board_first, telling))
            first = []
        elif len(cells) >= _CELLS and any(_BUS.search(one) for one in cells):
            first = cells
        elif cells[0][:1].isdigit():
            telling.unreadable(f"row {len(telling.devices)}", line)
    _unpaired(first, telling)
    telling.devices[:] = [
        replace(one, driver=cell.text(head[1]), firmware=cell.text(firmware[1])) for one in telling.devices
    ]
    if rule:
        running = Counter(int(row[1]) for line in below.splitlines() if (row := _PROCESS.fullmatch(line.strip())))
        if running or "no process found" in below:
            telling.devices[:] = [replace(one, processes=running[one.index or 0]) for one in telling.devices]


def _unpaired(first: list[str], telling: Telling) -> list[str]:
    if first:
        telling.unreadable(f"row {len(telling.devices)}", " | ".join(first))
    return []


def _device(first: list[str], second: list[str], board_first: bool, telling: Telling) -> Accelerator:
    place = first[1] if board_first else first[0]
    numbered, named = (_NUMBERED.fullmatch(_MODE.sub("", one)) for one in (place, first[0]))
    persistence = _MODE.search(place)
    load = _LOAD.fullmatch(first[-1])
    power, memory = _POWER.search(" ".join(second)), _MEMORY.search(" ".join(second))
    heat = next(filter(None, (_HEAT.search(one) for one in second)), None)
    index = int(numbered[1]) if numbered else len(telling.devices)
    for what, found in (("index", numbered), ("temperature", heat), ("memory", memory)):
        if found is None and second[0] != "N/A":
            telling.unknown[f"{index}.{what}"] = f"this line does not tell it: {' | '.join(second)[:80]}"
    mode = (load[2] or "").lower() if load else ""
    state = second[-1].lower() if len(second) == len(first) else ""  # version 2.1 has none
    if state not in {"", "available"}:  # the list tells why; without a reason it is not known what it means
        telling.unknown[f"{index}.state"] = f"it says `{second[-1][:60]}`"
    return Accelerator(
        vendor="metax",
        index=index,
        bus=next((cell.bus(one) for one in first if cell.bus(one)), None),
        model=cell.text(named[2] or "") if named else None,
        memory_total_mib=int(memory[2]) if memory else None,
        memory_used_mib=int(memory[1]) if memory else None,
        utilization=cell.percent(load[1]) if load else None,
        temperature_c=cell.celsius(heat[1]) if heat else None,
        power_w=cell.watts(power[1]) if power else None,
        power_cap_w=cell.watts(power[2] or "") if power else None,
        persistence=cell.flag(persistence[1]) if persistence else None,
        partitioned={"enabled": True, "disabled": False, "native": False}.get(mode),
        health="ok" if state == "available" else None,
    )
