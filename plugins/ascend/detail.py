"""What `npu-smi info -t KIND` says of each chip: health and its codes, memory errors, links, the board.

The answers of all chips stand below each other, each under a line `== NPU CHIP`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import DeviceHealth, Ecc, Links
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.trouble import trouble

_HEADING = re.compile(r"== ([0-9]{1,6}) ([0-9]{1,6})$")
_CODE = re.compile(r"(?:0x)?[0-9A-Fa-f]{4,16}$")
_UNSUPPORTED = "does not support"
_WORDS: Mapping[str, DeviceHealth] = {"ok": "ok", "warning": "warning", "alarm": "critical", "critical": "critical"}

Place = tuple[int, int]
"""A chip: the number of its card, and its own on that card."""


@dataclass(slots=True)
class Part:
    """One answer about one chip.

    Attributes:
        values: By label, in lower case.
        refused: The device has no such thing.
        said: Its first line.
    """

    values: dict[str, str] = field(default_factory=dict)
    refused: bool = False
    said: str = ""

    def whole(self, *labels: str) -> int | None:
        """The sum of the labels that are there; None when there is none, or one of them is no number."""
        counts = [cell.whole(self.values[label]) for label in labels if label in self.values]
        known = [count for count in counts if count is not None]
        return sum(known) if known and len(known) == len(counts) else None

    def counts(self) -> dict[str, str]:
        """The values that are counts of errors or of pages."""
        return {
            label: value
            for label, value in self.values.items()
            if label.endswith((" count", " cnt")) and label != "chip count"
        }


def parts_of(answer: Answer, kind: str, unknown: dict[str, str]) -> dict[Place, Part]:
    """The answers by chip; `unknown` gets `kind` with a reason when the last of them may be missing."""
    parts: dict[Place, Part] = {}
    current: Part | None = None
    for line in answer.stdout.splitlines():
        heading = _HEADING.match(line.strip())
        if heading is not None:
            current = parts.setdefault((int(heading[1]), int(heading[2])), Part())
            continue
        words = line.strip()
        if current is None or not words:
            continue
        current.said = current.said or words
        current.refused = current.refused or _UNSUPPORTED in words
        label, colon, value = words.partition(":")
        if colon:
            current.values.setdefault(label.strip().lower(), value.strip())
    problem = trouble(answer, f"npu-smi info -t {kind}")
    if answer.truncated:
        problem = f"npu-smi info -t {kind} was cut at its size limit"
    if problem is not None and (answer.timed_out or answer.truncated or not parts):
        unknown[kind] = problem
    elif not parts:
        unknown[kind] = f"npu-smi info -t {kind}: npu-smi info -m named no chip"
    return parts


def health_of(word: str, part: Part | None) -> tuple[DeviceHealth | None, tuple[str, ...], str | None]:
    """How a chip is, its error codes, and what of this is not understood.

    The chip's own answer counts, for it names its codes, and it takes back a warning without one. It does not take
    back an alarm of the table.

    Args:
        word: What the table says.
        part: The answer to `-t health -i NPU -c CHIP`. Without `-c` it would be the controller's of the card, whose
            `OK` hides the chip's alarm.
    """
    tabled = _WORDS.get(word.lower())
    own = part.values.get("health status", part.values.get("health")) if part else None
    if part is None or own is None or cell.text(own) is None:
        return tabled, (), None if tabled else f"npu-smi says `{word[:60]}`"
    worse = None if tabled == "ok" else tabled  # an answer that is not understood makes nothing well
    codes = [code for code in part.values.get("error code", "").split() if cell.text(code) is not None]
    if any(_CODE.match(code) is None for code in codes):
        return worse, (), f"its error code is `{' '.join(codes)[:60]}`"
    health = _WORDS.get(own.lower())
    if health is None:
        return worse, tuple(codes), f"npu-smi says `{own[:60]}`"
    return ("critical" if tabled == "critical" and health == "ok" else health), tuple(codes), None


def ecc_of(part: Part) -> Ecc:
    """Memory errors, those of HBM and of DDR together. Single-bit ones are corrected, and ordinary."""
    single, double = ([f"{memory} {bits} bit {{}}" for memory in ("hbm", "ddr")] for bits in ("single", "double"))

    def both(labels: list[str], what: str, *others: str) -> int | None:
        wanted = [label.format(what) for label in labels]
        there = {label.split()[0] for label in wanted if label in part.values}
        if any(label not in part.values for label in wanted if label.split()[0] in there):
            return None  # a line of this memory is missing, and what it would say is in no sum
        missing = {one for one in ("hbm", "ddr") if any(label.startswith(f"{one} ") for label in part.values)} - there
        return None if there and missing else part.whole(*wanted, *others)

    pending = both(single + double, "next-isolated pages count")
    return Ecc(
        corrected_volatile=both(single, "error count", "single-bit error count"),
        uncorrected_volatile=both(double, "error count", "double-bit error count"),
        corrected_aggregate=both(single, "aggregate total err cnt"),
        uncorrected_aggregate=both(double, "aggregate total err cnt"),
        retired=both(single + double, "isolated pages count"),
        retire_pending=None if pending is None else pending > 0,
    )


def links_of(part: Part) -> Links:
    """HCCS links: newer tools list the lanes of each (`[1111 1111 0000]`), older ones count those in use."""
    lanes = part.values.get("hccs link lane list", "").strip("[] ").split()
    modes = part.values.get("hccs lane mode", "").strip("[] ").split()
    errors = [cell.whole(word) for word in part.values.get("hccs error count", "").strip("[] ").split()]
    known = [count for count in errors if count is not None]
    total = active = None
    if lanes and len(lanes) == len(modes) and all(set(link) <= {"0", "1"} for link in lanes):
        used = [(link, cell.whole(mode)) for link, mode in zip(lanes, modes, strict=True)]
        used = [(link, mode) for link, mode in used if mode]
        total = len(used)
        active = sum(link.count("1") >= (mode or 0) for link, mode in used)
    elif (count := cell.whole(part.values.get("hccs link num in used", ""))) is not None:
        listed = [label for label in part.values if re.fullmatch(r"lane [0-9]{1,3}", label)]
        active, total = count, len(listed) or None
    return Links(active=active, total=total, errors=sum(known) if known and len(known) == len(errors) else None)
