"""The table of `npu-smi info`: two rows for each chip, in columns that differ by product and version.

The first row has the card's number (`NPU`), the chip's name, its health, power (`-` or `NA` where the card alone has a
meter) and temperature; the second the chip's number on its card, often a number among all chips (`Device`, `Phy-ID`),
the bus address (`NA` on boards without a bus, and the same one for both chips of an Atlas 300I Duo), use and memory.
"""

import re
from dataclasses import dataclass, field
from typing import TypeVar

from aiops.layers.l0_nodes import cell

T = TypeVar("T")

_TITLE = re.compile(r"\|\s*npu-smi\s+\S+\s+Version:\s*([^\s|]+)")
_UNFINISHED = "driver package may not be completely installed"
_STATE = re.compile(r"(\S+)\s+(\S+)(?:\s+\S+?\s*/\s*\S+)?$")
_USE = re.compile(r"(\S+)\s+(\S+?)\s*/\s*(\S+)(?:\s+(\S+?)\s*/\s*(\S+))?$")
_CARD = re.compile(r"(-?[0-9]{1,6})\s+(\S.*)$")
_CHIP = re.compile(r"([0-9]{1,6})(?:\s+([0-9]{1,6}))?$")
_NONE_RUNS = re.compile(r"No running processes found in NPU\s+([0-9]{1,6})")
_NO_BUS = frozenset({"NA", "N/A", "-"})
_CELLS, _CELLS_950 = 3, 4


@dataclass(slots=True)
class Chip:
    """One chip, as far as its rows tell.

    Attributes:
        card: The `NPU` it is on; -1 when the tool does not know.
        number: Its number among all chips, where the layout has one.
        health: The tool's word.
        garbled: Reason by subject, for what is told and cannot be understood.
    """

    card: int | None = None
    place: int | None = None
    number: int | None = None
    name: str | None = None
    health: str = ""
    bus: str | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    utilization: float | None = None
    memory_used_mib: int | None = None
    memory_total_mib: int | None = None
    processes: int | None = None
    garbled: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Table:
    """All chips, and what stands around them.

    Attributes:
        driver: Its version; None when this is no table of `npu-smi`.
        whole: Whether the table has its end.
        unfinished: Whether the tool warns of a driver that was not completely installed.
        strange: Rows that are not understood.
    """

    driver: str | None = None
    chips: list[Chip] = field(default_factory=list)
    whole: bool = False
    unfinished: bool = False
    strange: list[str] = field(default_factory=list)


def read_table(text: str) -> Table:
    """The table in what `npu-smi info` said. Never raises."""
    table = Table()
    title = _TITLE.search(text)
    if title is None:
        return table
    table.driver = cell.text(title[1])
    table.unfinished = _UNFINISHED in text
    lines = [line.strip() for line in text[title.end() :].splitlines() if line.strip()]
    table.whole = next((line.startswith("+") for line in reversed(lines) if not line.startswith("[WARNING]")), False)
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    begin = next((number for number, row in enumerate(rows) if "Process id" in row), len(rows))
    wide = any("HBM-Usage" in row[-1] for row in rows[:begin])
    open_: Chip | None = None
    for row in rows[:begin]:
        if row[0].startswith(("NPU", "Chip")) or "Bus-Id" in row:
            continue
        if _is_second(row):
            chip = open_ or Chip(garbled={"rows": "its first row is missing"})
            if open_ is None:
                table.chips.append(chip)
            _second(chip, row, wide=wide)
            open_ = None
        elif (chip_ := _first(row)) is not None:
            _close(open_)
            table.chips.append(chip_)
            open_ = chip_
        elif any(row):
            table.strange.append(" | ".join(row)[:120])
    _close(open_)
    _count_processes(table, rows[begin + 1 :])
    return table


def _close(chip: Chip | None) -> None:
    if chip is not None:
        chip.garbled["rows"] = "its second row is missing"


def _first(row: list[str]) -> Chip | None:
    """A chip's first row, or None when it is not one."""
    if len(row) == _CELLS_950:
        row = [f"{row[0]} {row[1]}", *row[2:]]
    card = _CARD.match(row[0])
    if len(row) != _CELLS or card is None or not row[1]:
        return None
    chip = Chip(card=int(card[1]), name=cell.text(card[2]), health=row[1])
    state = _STATE.match(row[2])
    if state is None:
        chip.garbled["state"] = f"it says `{row[2][:60]}`"
        return chip
    chip.power_w = _told(chip, "power", state[1], cell.watts(state[1])) or None  # 0.0 on boards that have no meter
    chip.temperature_c = _told(chip, "temperature", state[2], cell.celsius(state[2]))
    return chip


def _is_second(row: list[str]) -> bool:
    if len(row) not in {_CELLS, _CELLS_950}:
        return False
    return (row[-2] in _NO_BUS or cell.bus(row[-2]) is not None) and "/" in row[-1]


def _second(chip: Chip, row: list[str], *, wide: bool) -> None:
    place = _CHIP.match(row[0])
    if place is not None:
        chip.place = int(place[1])
        chip.number = int(place[2]) if place[2] else None
    elif len(row) == _CELLS_950 and not row[0]:
        chip.place = 0
    else:
        chip.garbled["chip"] = f"it says `{row[0][:60]}`"
    chip.bus = cell.bus(row[-2])
    use = _USE.match(row[-1])
    if use is None:
        chip.garbled["use"] = f"it says `{row[-1][:60]}`"
        return
    chip.utilization = _told(chip, "use", use[1], cell.percent(use[1]))
    total = cell.whole(use[5]) if wide and use[5] else None
    used, size = (use[4], use[5]) if total else (use[2], use[3])
    chip.memory_total_mib = _told(chip, "memory", size, cell.whole(size)) or None
    chip.memory_used_mib = _told(chip, "memory", used, cell.whole(used)) if chip.memory_total_mib else None


def _told(chip: Chip, subject: str, word: str, value: T | None) -> T | None:
    if value is None and cell.text(word) is not None:
        chip.garbled[subject] = f"it says `{word[:60]}`"
    return value


def _count_processes(table: Table, rows: list[list[str]]) -> None:
    """The table of processes, if there is one: none of a card is a sentence, and a card without either is not told."""
    counts: dict[tuple[int, int], int] = {}
    told: set[int] = set()
    for row in rows:
        none = _NONE_RUNS.match(row[0])
        owner = _CHIP.match(row[0])
        if none is not None:
            told.add(int(none[1]))
        elif owner is not None and len(row) == _CELLS_950 and cell.whole(row[1]) is not None:
            key = (int(owner[1]), int(owner[2] or 0))
            told.add(key[0])
            counts[key] = counts.get(key, 0) + 1
    for chip in table.chips:
        if chip.card in told and chip.place is not None:
            chip.processes = counts.get((chip.card, chip.place), 0)
