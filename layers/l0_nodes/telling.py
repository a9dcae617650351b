"""What each form of a vendor's answer (document, table) tells of the devices, and all forms together."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from . import cell
from .accelerator import Accelerator
from .accelerator_union import united
from .answer_reading import UnreadableError
from .ask import Answer
from .trouble import trouble
from .vendor import Reading

T = TypeVar("T")

_SHOWN = 80
_CUT = "what it said was cut at its size limit"
_LONGEST = 300  # of tables for people, none is wider


@dataclass(slots=True)
class Telling:
    """What one answer tells.

    Attributes:
        unknown: Reason by subject (`3.temperature`), for what is there and cannot be understood.
        trouble: Why the answer as a whole is not good; None when it is.
        lasting: Whether the trouble counts even when another answer told of the devices.
    """

    devices: list[Accelerator] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    trouble: str | None = None
    lasting: bool = False

    def take(self, subject: str, parse: Callable[[str], T | None], value: str) -> T | None:
        """The value of a cell; one that is neither absent nor understood becomes unknown."""
        found = parse(value)
        if found is None and (cell.is_error(value) or cell.text(value) is not None):
            self.unknown[subject] = f"it says `{value.strip()[:_SHOWN]}`"
        return found

    def unreadable(self, subject: str, line: str) -> None:
        """Note a line that should be (a part of) a device and is not understood."""
        self.unknown[subject] = f"this line is not understood: {line.strip()[:_SHOWN]}"


def short_lines(text: str) -> str:
    """A text for people, with what no screen shows cut off: patterns take their time with endless lines."""
    return "\n".join(line[:_LONGEST] for line in text.splitlines())


def first_line(text: str, frame: str = "") -> str:
    """What a text says first, for the reason why it is no answer; `frame`: characters that say nothing."""
    return next((line.strip()[:200] for line in text.splitlines() if line.strip(f" \t{frame}")), "nothing")


def parse_rows(
    fields: Sequence[str],
    of_row: Callable[[Mapping[str, str], Telling], Accelerator],
    text: str,
    telling: Telling,
    *,
    address: str = "",
) -> None:
    """Add the devices of a csv query: a row each, with a value per field, of which the first is the index.

    Args:
        fields: What was asked.
        of_row: The device of a row.
        text: The answer.
        telling: Gets the devices, and the lines among them that are none.
        address: The field that must hold an address on the bus, by which a row is told from another sentence.

    Raises:
        UnreadableError: No line is a device.
    """
    remarks = []
    for line in filter(str.strip, text.splitlines()):
        row = [word.strip() for word in line.split(",")]
        values = dict(zip(fields, row, strict=False))
        if len(row) != len(fields) or cell.whole(row[0]) is None or (address and cell.bus(values[address]) is None):
            remarks.append(line.strip())
        else:
            telling.devices.append(of_row(values, telling))
    if not telling.devices:
        raise UnreadableError(f"it said: {remarks[0][:200]}" if remarks else "it said nothing")
    for number, line in enumerate(remarks):
        telling.unreadable(f"row {number}", line)


def told(answer: Answer, tool: str, parse: Callable[[str, Telling], None], text: str | None = None) -> Telling:
    """What an answer tells. A tool that failed may have told of some devices before; they count.

    Args:
        answer: What a command brought.
        tool: The command, for the reasons.
        parse: Adds devices; raises `UnreadableError` where the text is not the tool's.
        text: What to parse, where it is not the standard output.
    """
    telling = Telling()
    said = answer.stdout if text is None else text
    why = trouble(answer, tool)
    if said.strip():
        try:
            parse(said, telling)
        except UnreadableError as error:
            cut = f" ({_CUT})" if answer.truncated else ""
            why = why or f"{tool}: {error}{cut}"
        else:
            telling.lasting = why is not None and bool(telling.devices)
    elif why is None and not answer.truncated:
        why = f"{tool} said nothing"
    if answer.truncated:
        why = why or f"{tool}: {_CUT}"
    telling.trouble = why
    telling.lasting |= answer.timed_out or answer.truncated
    return telling


def reading(tellings: Mapping[str, Telling], needed: Collection[str] = ()) -> Reading:
    """All that the answers tell together; an earlier one is believed before a later one, which fills gaps.

    Where one form told of the devices, it is of no interest that another is not known to this version of the tool.

    Args:
        tellings: By their subject in `unknown`. `query` and `details` are those that tell of every kind of value.
        needed: Those that all versions know and that are missed in any case.
    """
    devices = united(*(one.devices for one in tellings.values()))
    unknown: dict[str, str] = {}
    for name, one in tellings.items():
        unknown.update(one.unknown)
        counts = one.lasting or not devices or name in needed
        if counts and one.trouble is not None and one.trouble not in unknown.values():
            unknown[name] = one.trouble
    if not devices and not unknown:
        unknown["tool"] = "it named no device"
    return Reading(devices, unknown)
