"""Accelerators of healthy nodes: captured and simulated outputs of all vendors, with values of healthy ranges."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tests.support.captured_records import Captured
from tests.support.vendor_records import AT

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.vendor import Vendor
from aiops.plugins.nvidia.reading import FIELDS

_WELL: Mapping[str, tuple[tuple[str, str], ...]] = {
    "ascend": (
        (r"(Double Bit[^:]*: )\d+", r"\g<1>0"),
        (r"\| Alarm  ", "| OK     "),
        (r"(hccs error count\s+: \[).*?\]", r"\g<1>0            0            0]"),
    ),
    "enflame": (
        (r"(Health\s+: )False", r"\1True"),
        (r"(Flags\s+: )True", r"\1False"),
        (r"(DBE\s+: )\d+", r"\g<1>0"),
        (r"(Status\s+: )Abnormal", r"\1Normal"),
        (r"(Cur Link Width\s+: )X8", r"\1X16"),
    ),
    "gaudi": ((r"\|\s+\d+  \|\n", "|                   0  |\n"),),
    "iluvatar": ((r"0C    P0    65535W / 250 ", "33C   P0    56W / 250W   "),),
    "kunlunxin": ((r"(Uncorrectable\s+: )\d+", r"\g<1>0"), (r"4 \|\n", "0 |\n")),
    "metax": (
        (r"(DRAM Uncorrectable\s+: )\d+", r"\g<1>0"),
        (r"(Double Bit ECC\s+: )\d+", r"\g<1>0"),
        (r"(Over [A-Za-z ]+: )Active", r"\1Not Active"),
        (r"(Chip Over Temperature\s+: )Active", r"\1Not Active"),
        ("MXC600-AL", "MXC500   "),
        (r"Not Available\([A-Za-z ]+\)", "Available (UUID: GPU-00001111-2222-3333-4444-999966667777)"),
    ),
    "mthreads": ((r'("Double Bit ECC": )"\d+"', r'\1"0"'), ("44302MiB", " 4302MiB")),
    "nvidia": (
        (r"(0, 2, 0, 7), 4, 5, 8, 16", "0, 0, 0, 0, 5, 5, 16, 16"),
        (r"(uncorrectable\w*>)\d+", r"\g<1>0"),
        (r"(sram_correctable>|dram_correctable>)\d+", r"\g<1>0"),
        (r"(remapped_row_unc>)\d+", r"\g<1>0"),
        (r"(pending>)Yes", r"\1No"),
        (r"(hw_thermal_slowdown>)Active", r"\1Not Active"),
        (r"current_link_width>8x", "current_link_width>16x"),
        (r"<inactive>", "26.562 GB/s"),
        (r"(Errors: )\d+", r"\g<1>0"),
        (r"(GPU 1: .*\n   Link )0(.*\n)\Z", r"\g<1>0\2   Link 1\2   Link 2\2"),
    ),
    "thead": (
        (r"(Uncorrectable\s+: )\d+", r"\g<1>0"),
        (r"(Uncorrectable Error\s+: )\d+", r"\g<1>0"),
        (r"((?:Single|Double) Bit ECC\s+: )\d+", r"\g<1>0"),
        (r"(Pending Page Blacklist\s+: )Yes", r"\1No"),
        (r"(Slowdown\s+: )Active", r"\1Not Active"),
        (r"2 \|\n", "0 |\n"),
    ),
}
"""What is not well in the captured outputs, and how a healthy device has it."""

_HEAT = (
    re.compile(r"(?<![\d.:x-])(\d{2})(?=(?:\.\d+)?\s?(?:C|℃|°C)\b)"),
    re.compile(r'(?<="value": )(\d{2})(?=(?:\.\d+)?,\s*"unit": "C")'),
    re.compile(r'(?<=\(C\)": ")(\d{2})(?=\.\d)'),
    re.compile(r"(?<=temp>)(\d{2})(?= C)"),
)
_CHIP = re.compile(r"(\| OK\s+\| )(\d+\.\d|NA|-)(\s+)(\d{2})(\s+\d+\s+/ \d+)")
_POWER = re.compile(r"( *)(\d+)((?:\.\d+)?\s?W\s*/\s*)(\d+)(?=(?:\.\d+)?\s?W)")
_ROW = re.compile(r"\d+, GPU-[^\n]+, NVIDIA")
_LOAD = re.compile(r"( *)(\d{1,3})(?=(?:\.\d+)?\s?%(?!\d))")
_COLD, _HOT = 26, 79
_LIMITS = re.compile(r"(?:Shutdown|Slowdown|Max|Threshold|critical|limit)", re.IGNORECASE)


@dataclass(frozen=True)
class Devices:
    """The accelerators of one kind of node.

    Attributes:
        known: What the tool of this version cannot tell by nature; nothing else may be unknown.
        seen: As they are read.
    """

    vendor: Vendor
    name: str
    answers: Mapping[str, Answer]
    known: frozenset[str]
    seen: tuple[Accelerator, ...]

    @property
    def buses(self) -> tuple[str, ...]:
        """Where they are on the bus; a device that does not tell has a place of its own."""
        return tuple(dict.fromkeys(one.bus or f"0000:e{number:x}:00.0" for number, one in enumerate(self.seen)))

    def look(self, dice: random.Random) -> Mapping[str, Answer]:
        """The answers at one moment: warmer or cooler, busier or idle."""
        return {name: replace(one, stdout=_varied(dice, one.stdout)) for name, one in self.answers.items()}


def healthy(vendor: Vendor, captured: Captured) -> Devices:
    """The devices of an output, with what is not well in it mended."""
    answers = {name: replace(one, stdout=_mended(vendor.name, one.stdout)) for name, one in captured.answers.items()}
    reading = vendor.read(Record("n1", AT, answers))
    return Devices(vendor, captured.name, answers, frozenset(reading.unknown or ()), reading.accelerators)


def _mended(vendor: str, text: str) -> str:
    for wrong, right in _WELL.get(vendor, ()):
        text = re.sub(wrong, right, text)
    return text


def _varied(dice: random.Random, text: str) -> str:
    if _ROW.match(text):
        return "".join(_row(dice, line) for line in text.splitlines())
    heat = dice.randint(_COLD, _HOT)

    def warm(found: re.Match[str]) -> str:
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        return found[1] if _LIMITS.search(line) else str(min(_HOT, max(_COLD, heat + dice.randint(-4, 4))))

    def draws(found: re.Match[str]) -> str:
        cap = int(found[4])
        return f"{_in_place(found, dice.randint(cap // 8, max(cap // 8, cap * 97 // 100)))}{found[3]}{found[4]}"

    changes: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [(pattern, warm) for pattern in _HEAT]
    changes += [
        (_CHIP, lambda found: f"{found[1]}{found[2]}{found[3]}{heat}{found[5]}"),
        (_POWER, draws),
        (_LOAD, lambda found: _in_place(found, dice.choice((0, dice.randint(1, 99))))),
    ]
    for pattern, change in changes:
        text = pattern.sub(change, text)
    return text


def _row(dice: random.Random, line: str) -> str:
    """A row of nvidia-smi's: a resting GPU lowers the generation of its link."""
    values = dict(zip(FIELDS, (word.strip() for word in line.split(",")), strict=True))
    busy = dice.random() < 0.5
    new = {
        "persistence_mode": "Enabled",
        "temperature.gpu": dice.randint(_COLD, _HOT),
        "temperature.memory": dice.randint(_COLD, 90),
        "utilization.gpu": dice.randint(1, 100) if busy else 0,
        "power.draw": f"{dice.uniform(60, 690) if busy else dice.uniform(4, 120):.2f}",
        "ecc.errors.corrected.volatile.total": dice.choice((0, 0, 2)),
    }
    if not busy:
        new["pcie.link.gen.current"] = dice.randint(1, int(values["pcie.link.gen.max"]))
    return ", ".join(str(new[name]) if name in new and "N/A" not in old else old for name, old in values.items()) + "\n"


def _in_place(found: re.Match[str], number: int) -> str:
    """The number in the columns of the old one and the blanks before it; the old one where it does not fit."""
    width = len(found[1]) + len(found[2])
    said = str(number)
    if len(said) > max(width - bool(found[1]), len(found[2])):
        return found[0][:width]
    return said.rjust(width) if found[1] else said.rjust(len(found[2]), "0") if len(said) < len(found[2]) else said


def on_bus(devices: Devices | None) -> Iterator[tuple[str, str, str]]:
    """(address, vendor, class) of what the bus shows of them."""
    if devices is not None:
        kind = getattr(devices.vendor, "pci_classes", ("0x120000",))[0].ljust(8, "0")
        for address in devices.buses:
            yield address, f"0x{devices.vendor.pci_vendor_ids[0]}", kind
