"""Tracebacks in the log of many ranks: the first one of the rank that failed first, freed from interleaved lines."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .log_line import LogLine, read_line, withheld

OPENING = "Traceback (most recent call last)"
_LONGEST = 200
_BETWEEN = 4000
_END = re.compile(
    r"(?:(?:[A-Za-z_]\w*\.)+(?:[A-Z]\w*[a-z]\w*|error)|\w*(?:Error|Exception|Interrupt|Exit|Iteration|Timeout|Warning)\w*)"
    r"(?:\(\w+\))?(?::(?:\s|$)|$)"
)
"""The line that ends a traceback: an exception's name, with its module or with one of the usual ends."""

_FRAME = re.compile(r'\s*File ".+?", line \d+')
_IGNORED = re.compile(r"Exception ignored in|Traceback \(most recent call last\):?\s*\(ignored\)", re.IGNORECASE)
ECHOES = frozenset(
    {
        "ChildFailedError",
        "CalledProcessError",
        "ProcessRaisedException",
        "ProcessExitedException",
        "SignalException",
        "EngineDeadError",
        "AsyncEngineDeadError",
        "MQEngineDeadError",
        "RayTaskError",
        "SystemExit",
        "KeyboardInterrupt",
        "CancelledError",
        "DistBackendError",
        "RendezvousClosedError",
    }
)
"""Exceptions that only tell of another process's end."""


@dataclass(frozen=True, slots=True)
class Traceback:
    """One traceback.

    Attributes:
        lines: Its lines without prefixes, from the opening one to the exception.
        rank: The global rank it is of, where the log says.
        line: Where it begins, counted from 1.
        exception: The last line; empty where the log was cut before it.
    """

    lines: tuple[str, ...]
    rank: int | None
    line: int
    exception: str

    @property
    def name(self) -> str:
        """The exception's name without its module; empty where it is unknown."""
        return self.exception.partition(":")[0].rpartition(".")[2].partition("(")[0].strip()

    @property
    def echo(self) -> bool:
        """Whether it only tells of another process's end."""
        return self.name in ECHOES


@dataclass(slots=True)
class _Open:
    start: int
    rank: int | None
    lines: list[str] = field(default_factory=list)


class Tracebacks:
    """Collects tracebacks line by line, those of different ranks side by side; keeps the first of each rank."""

    def __init__(self, keep: int = 64) -> None:
        self._open: dict[int | None, _Open] = {}
        self._keep = keep
        self.found: list[Traceback] = []

    @property
    def busy(self) -> bool:
        """Whether a traceback has begun and not ended: lines without words of a fault belong to it too."""
        return bool(self._open)

    def feed(self, number: int, line: LogLine) -> Traceback | None:
        """Take line `number`; gives the traceback that it ends, if any."""
        for rank in [rank for rank, one in self._open.items() if number - one.start > _BETWEEN]:
            self._close(rank)
        if OPENING in line.whole:
            ended = self._close(line.rank)
            self._open[line.rank] = _Open(number, line.rank, [OPENING + ":"])
            if len(self._open) > self._keep:  # more ranks than are kept: the oldest goes
                self._close(next(iter(self._open)))
            return ended
        one = self._open.get(line.rank)
        if one is None:
            return None
        text = _text(line)
        if _END.match(text):
            one.lines.append(text)
            return self._close(line.rank, text)
        if text.strip() and (_FRAME.match(text) or text[:1] in " \t") and len(one.lines) < _LONGEST:
            one.lines.append(text)
        return None  # other lines are something else, in between

    def end(self) -> list[Traceback]:
        """All of them in the order of the log, those that have not ended too; the reading may go on."""
        cut = [made for one in self._open.values() if (made := _made(one)) is not None]
        return sorted([*self.found, *cut], key=lambda one: one.line)

    def _close(self, rank: int | None, exception: str = "") -> Traceback | None:
        one = self._open.pop(rank, None)
        made = _made(one, exception) if one is not None else None
        if made is not None and len(self.found) < self._keep:
            self.found.append(made)
        return made


def _made(one: _Open, exception: str = "") -> Traceback | None:
    if len(one.lines) < 2:  # noqa: PLR2004 - an opening line alone
        return None
    return Traceback(tuple(map(withheld, one.lines)), one.rank, one.start, withheld(exception))


def _text(line: LogLine) -> str:
    """The line with the indentation that it has in a traceback."""
    at = line.whole.find(line.text) if line.text else 0
    spaces = len(line.whole[:at]) - len(line.whole[:at].rstrip(" \t"))
    return " " * min(spaces - spaces % 2, 8) + line.text  # an odd one parts the line from its prefix


def first_traceback(lines: Iterable[str]) -> Traceback | None:
    """The traceback that tells the cause: the first that is no echo of another process's end; else the first.

    Pure. Of a log of many ranks it is that of the rank that failed first, in the order of the log.

    Args:
        lines: Of the log.
    """
    reader = Tracebacks()
    ignored = False
    for number, line in enumerate(lines, 1):
        if _IGNORED.search(line):
            ignored = True
            continue
        if OPENING in line and ignored:
            ignored = False
            continue
        if reader.busy or OPENING in line:
            reader.feed(number, read_line(line))
    found = reader.end()
    return next((one for one in found if not one.echo), found[0] if found else None)
