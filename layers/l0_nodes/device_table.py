"""The tables that vendors' tools print for people: two or three lines per device, cells between `|`."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import cell
from .accelerator import Accelerator, Ecc
from .answer_reading import UnreadableError
from .telling import Telling

_RULE = re.compile(r"[|+][-=+|]*[-=+|]$")
_TITLE = re.compile(r"[A-Za-z ]+:")
_POWER = re.compile(r"([0-9.]{1,12})\s*W\s*/\s*([0-9.]{1,12})\s*W")
_HEAT = re.compile(r"-?[0-9]{1,4}(?:C|°C|℃)?$")
_FIRST = re.compile(r"([0-9]{1,6})\s+(\S+(?:\s\S+)*)")
_CELLS = 3
_NO_DEVICE = "its table names no device"


@dataclass(frozen=True, slots=True)
class Row:
    """One device of a table in the layout that nvidia-smi made common.

    Attributes:
        ecc: What stands in the column for uncorrected errors; what it counts, the table's head tells.
        last: The cells of the third line, where there is one.
    """

    index: int
    name: str | None
    bus: str | None
    temperature_c: float | None = None
    power_w: float | None = None
    power_cap_w: float | None = None
    memory_used_mib: int | None = None
    memory_total_mib: int | None = None
    utilization: float | None = None
    ecc: int | None = None
    last: tuple[str, ...] = ()


def blocks(text: str) -> list[list[list[str]]]:
    """The cells of each device's lines: of the lines between two rules of which the first begins with a number."""
    found: list[list[list[str]]] = []
    current: list[list[str]] = []
    for line in text.splitlines():
        words = line.strip()
        if not words.startswith("|") or _RULE.fullmatch(words):
            current = []
            continue
        cells = [one.strip() for one in words.strip("|").split("|")]
        if found and len(cells) == 1 and _TITLE.match(cells[0]):
            break  # what comes now are processes, or parts of devices
        if len(cells) < _CELLS:
            current = []
        elif current:
            current.append(cells)
        elif cells[0][:1].isdigit():
            current = [cells]
            found.append(current)
    return found


def rows(text: str) -> tuple[list[Row], list[str]]:
    """The devices of a table, and the lines that should be devices and are not understood."""
    read, unread = [], []
    for block in blocks(text):
        row = _row(block)
        if row is None:
            unread.append(" | ".join(block[0]))
        else:
            read.append(row)
    return read, unread


def parse_devices(
    vendor: str,
    title: re.Pattern[str],
    of_row: Callable[[Row, Accelerator], Accelerator],
    text: str,
    telling: Telling,
) -> None:
    """Add the devices of a table in the common layout.

    Args:
        vendor: Whose devices they are.
        title: Of this vendor's table, for other makers' tools have the same layout; a group in it is the driver.
        of_row: The device with what is this vendor's own in the row, given the row and the device so far.
        text: The answer.
        telling: Gets the devices, and the lines that should be some.

    Raises:
        UnreadableError: It is not this vendor's table, or names no device.
    """
    head = title.search(text)
    if head is None:
        raise UnreadableError("its table has no head")
    read, unread = rows(text)
    for number, line in enumerate(unread):
        telling.unreadable(f"table row {number}", line)
    if not read:
        raise UnreadableError(f"its table is not understood: {unread[0][:120]}" if unread else _NO_DEVICE)
    telling.devices += [
        of_row(
            row,
            Accelerator(
                vendor=vendor,
                index=row.index,
                bus=row.bus,
                model=row.name,
                driver=head[1] if title.groups else None,
                memory_used_mib=row.memory_used_mib,
                memory_total_mib=row.memory_total_mib,
                utilization=row.utilization,
                temperature_c=row.temperature_c,
                power_w=row.power_w,
                power_cap_w=row.power_cap_w,
                ecc=Ecc(uncorrected_volatile=row.ecc),
            ),
        )
        for row in read
    ]


def _row(block: list[list[str]]) -> Row | None:
    first = _FIRST.match(block[0][0])
    if first is None:
        return None
    row = Row(int(first[1]), cell.text(first[2]), cell.bus(block[0][1]), ecc=cell.whole(block[0][2]))
    if len(block) == 1:
        return row
    heat, memory, load = block[1][:_CELLS]
    power = _POWER.search(heat)
    used, _, total = memory.replace("Mib", "MiB").partition("/")  # old tools of Intel's write it so
    warm = next((word for word in heat.split() if _HEAT.match(word)), "")
    return Row(
        index=row.index,
        name=row.name,
        bus=row.bus,
        ecc=row.ecc,
        temperature_c=cell.celsius(warm),
        power_w=cell.watts(power[1]) if power else None,
        power_cap_w=cell.watts(power[2]) if power else None,
        memory_used_mib=cell.mebibytes(used),
        memory_total_mib=cell.mebibytes(total),
        utilization=cell.percent(load),
        last=tuple(block[2]) if len(block) >= _CELLS else (),
    )
