"""The table of a bare `mthreads-gmi`: two or three lines per device, columns between `|`, without a frame."""

import re
from collections import Counter
from dataclasses import replace

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.telling import Telling, short_lines

from .values import credible, ecc_enabled, partitioned

_HEAD = re.compile(r"mthreads-gmi:\S+\s+Driver Version:\s*(\S+)")
_FIRST = re.compile(r"([0-9]{1,4})\s+(\S.*?)\s*\|\s*(\S+)\s*\|\s*(\S+)\s+([^\s(]+)\(([^\s)]+)\)")
_SECOND = re.compile(r"(\S.*?)\s*\|\s*([^\s(]+)\(([^\s)]+)\)\s*\|\s*(\S+)\s+(\S.*)")
_TYPE = re.compile(r"(\S+(?:\s[A-Za-z]+)?)(?:\s+P[0-9]+)?")
_PROCESS = re.compile(r"([0-9]{1,4})\s+[0-9]+\s+\S.*")


def parse_table(text: str, telling: Telling) -> None:
    """Add the devices of the table.

    Raises:
        UnreadableError: It is not the table of Moore Threads' tool.
    """
    text = short_lines(text)
    head = _HEAD.search(text)
    if head is None:
        raise UnreadableError("its table has no head")
    driver = cell.text(head[1])
    above, rule, below = text[head.end() :].partition("Processes:")
    lines = [line.strip() for line in above.splitlines() if "|" in line]
    for number, line in enumerate(lines):
        first = _FIRST.fullmatch(line)
        if first is not None:
            following = lines[number + 1 : number + 3]
            telling.devices.append(_device(first, driver, following, telling))
        elif line[:1].isdigit():
            telling.unreadable(f"row {len(telling.devices)}", line)
    if rule:
        running = Counter(int(row[1]) for line in below.splitlines() if (row := _PROCESS.fullmatch(line.strip())))
        if running or "No running process" in below:
            telling.devices[:] = [replace(one, processes=running[one.index or 0]) for one in telling.devices]


def _device(first: re.Match[str], driver: str | None, following: list[str], telling: Telling) -> Accelerator:
    index = int(first[1])
    total = telling.take(f"{index}.memory", cell.mebibytes, first[6])
    used = telling.take(f"{index}.memory", cell.mebibytes, first[5])
    device = Accelerator(
        vendor="mthreads",
        index=index,
        bus=telling.take(f"{index}.bus", cell.bus, first[3]),
        model=cell.text(first[2]),
        driver=driver,
        memory_total_mib=total,
        memory_used_mib=credible(f"{index}.memory", used, total, telling),
        utilization=telling.take(f"{index}.utilization", cell.percent, first[4]),
    )
    second = _SECOND.fullmatch(following[0]) if following else None
    if second is None:
        telling.unreadable(f"{index}.row", "".join(following[:1]))
        return device
    kind = _TYPE.match(second[1])
    # The third line, of newer versions, has two columns only.
    third = following[1] if len(following) > 1 and following[1].startswith("|") else ""
    return replace(
        device,
        temperature_c=telling.take(f"{index}.temperature", cell.celsius, second[4]),
        pcie=Pcie(
            width=telling.take(f"{index}.link", cell.whole, second[2]),
            max_width=telling.take(f"{index}.link", cell.whole, second[3]),
        ),
        ecc=Ecc(enabled=ecc_enabled(third.strip("| "))),
        partitioned=partitioned(kind[1] if kind else ""),
    )
