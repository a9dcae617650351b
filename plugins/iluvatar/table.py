"""The table of a bare `ixsmi`: two lines per device between rules, the same columns in CoreX 3 and 4."""

import re

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.telling import Telling, short_lines

from .values import checked

_HEAD = re.compile(r"\|\s*IX-ML:\s*\S+\s+Driver Version:\s*(\S+)")
_FIRST = re.compile(r"([0-9]{1,4})\s+(\S.*)")
_HEAT = re.compile(r"(\S+)\s+(\S+)\s+(\S+)\s+(N/A|[^/\s]+)\s*/\s*(\S+)")
_MEMORY = re.compile(r"(N/A|[^/\s]+)\s*/\s*(\S+)")
_CELLS = 3


def parse_table(text: str, telling: Telling) -> None:
    """Add the devices of the table.

    Raises:
        UnreadableError: It is not the table of Iluvatar's tool.
    """
    text = short_lines(text)
    head = _HEAD.search(text)
    if head is None:
        raise UnreadableError("its table has no head")
    driver = cell.text(head[1])
    first: list[str] = []
    above, _, _ = text[head.end() :].partition("| Processes:")
    for line in above.splitlines():
        words = line.strip()
        cells = [one.strip() for one in words.strip("|").split("|")]
        if first:
            telling.devices.append(_device(first, cells, driver, telling))
            first = []
        elif len(cells) == _CELLS and _FIRST.fullmatch(cells[0]):
            first = cells
        elif cells[0][:1].isdigit():
            telling.unreadable(f"row {len(telling.devices)}", line)
    if first:
        telling.devices.append(_device(first, [], driver, telling))


def _device(first: list[str], second: list[str], driver: str | None, telling: Telling) -> Accelerator:
    index, _, name = first[0].partition(" ")
    whole = len(second) == _CELLS
    heat = _HEAT.fullmatch(second[0]) if whole else None
    memory = _MEMORY.fullmatch(second[1]) if whole else None
    if heat is None or memory is None:
        telling.unreadable(f"{index}.row", " | ".join(second))
    load = second[2].split() if whole else []
    return checked(
        Accelerator(
            vendor="iluvatar",
            index=int(index),
            bus=telling.take(f"{index}.bus", cell.bus, first[1]),
            model=cell.text(name),
            driver=driver,
            memory_total_mib=telling.take(f"{index}.memory", cell.mebibytes, memory[2]) if memory else None,
            memory_used_mib=telling.take(f"{index}.memory", cell.mebibytes, memory[1]) if memory else None,
            utilization=telling.take(f"{index}.utilization", cell.percent, load[0]) if load else None,
            temperature_c=telling.take(f"{index}.temperature", cell.celsius, heat[2]) if heat else None,
            # An unread sensor is told as 65535 W, with which the cap's unit falls off the end of the column.
            power_w=telling.take(f"{index}.power", cell.watts, heat[4]) if heat else None,
            power_cap_w=telling.take(f"{index}.power cap", cell.watts, heat[5]) if heat else None,
        ),
        telling,
    )
