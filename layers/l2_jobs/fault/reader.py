"""Reads a log line by line, and remembers of each sign where it was seen first and how often. Judges nothing."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO

from .catalogue import shipped_signatures
from .index import DIGITS, LONGEST_SHAPE, PROGRAM, Index
from .log_line import LogLine, pieces, plain, rank_of, read_line, withheld
from .signature import Signature
from .traceback import ECHOES, OPENING, Traceback, Tracebacks

_KEPT = 5
_LONGEST = 500
_NODES = 64
_BLOCK = 1 << 16
_SHAPES = 50_000
_IGNORED = "exception ignored in"
_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*\.)*[A-Z_]\w*(?:Error|Exception|Interrupt|Failure|Abort|NotFound|Invalid|Mismatch|Exit|Iteration)\w*"
    r"(?:\(\w+\))?(?::\s|:?$)"
)
"""An exception at the start of a line's message."""

_BENIGN = re.compile(r"retry|ignor|skipp|handled|recovered|expected\b.*\bok|non-?fatal", re.IGNORECASE)


@dataclass(slots=True)
class Seen:
    """A sign that was seen.

    Attributes:
        signature: The sign.
        line: Where first, counted from 1.
        last: Where last.
        count: In how many lines.
        texts: The first lines themselves, with their numbers.
        rank: Of the first line.
        nodes: Those that its lines name.
    """

    signature: Signature
    line: int
    last: int
    count: int = 0
    texts: list[tuple[int, str]] = field(default_factory=list)
    rank: int | None = None
    nodes: list[str] = field(default_factory=list)


@lru_cache(maxsize=1)
def _shipped_index() -> Index:
    return Index(shipped_signatures())


class Reader:
    """One log, being read. Its memory does not grow with the log.

    Attributes:
        seen: What was seen, by the identity of the sign.
        tracebacks: Those of the log.
        lines: How many lines there were.
        silenced: The line from which on errors of programs are echoes; None where there is none.
        idle: Whether the last line had nothing to look at.
    """

    def __init__(self, signatures: Sequence[Signature] | None = None, index: Index | None = None) -> None:
        self.index = index or (_shipped_index() if signatures is None else Index(signatures))
        self.seen: dict[str, Seen] = {}
        self.tracebacks = Tracebacks()
        self.lines = 0
        self.silenced: int | None = None
        self.idle = True
        self.takes_back = False
        self._ignored = False

    def feed(self, number: int, line: str) -> list[Signature]:
        """Take line `number`, counted from 1; gives the signs that are in it."""
        self.lines = max(self.lines, number)
        found: list[Signature] = []
        self.idle = True
        for piece in pieces(line):
            found += self._piece(number, piece)
        return found

    def skips(self, number: int, line: str) -> bool:
        """Whether line `number` is of a shape that means nothing; it is counted then, and need not be fed."""
        known = self.index.remembered(line.rstrip().lower())
        if known is None or self.tracebacks.busy or self._ignored:
            return False
        if known and (self.takes_back or any(one.id not in self.index.clearing for one in known)):
            return False
        self.lines = number
        return True

    def read(self, stream: BinaryIO) -> None:
        """Take all of a stream of bytes, whatever is in it. Lines of a shape that means nothing are only counted."""
        plain_shapes: set[bytes] = set()
        taking_back = False
        number = 1
        for raw in _lines(stream):
            shape = raw.lower().translate(None, DIGITS)
            if shape not in plain_shapes or self.tracebacks.busy or self._ignored:
                self.feed(number, raw.decode("utf-8", "replace"))
                if self.takes_back and not taking_back:  # from now on more lines mean something
                    taking_back = True
                    plain_shapes.clear()
                elif self.idle and len(shape) <= LONGEST_SHAPE and not self.tracebacks.busy and not self._ignored:
                    if len(plain_shapes) >= _SHAPES:
                        plain_shapes.clear()
                    plain_shapes.add(shape)
            self.lines = number
            if raw.endswith(b"\n"):
                number += 1

    def _piece(self, number: int, text: str) -> list[Signature]:
        low = (plain(text) if "\x1b" in text else text.rstrip()).lower()
        if self._ignored or _IGNORED in low:
            self.idle = False
            self._ignored = _IGNORED in low or OPENING in text or not _EXCEPTION.match(read_line(text).text)
            return []
        parsed: LogLine | None = None
        ended: Traceback | None = None
        if self.tracebacks.busy or OPENING in text:
            parsed = read_line(text)
            ended = self.tracebacks.feed(number, parsed)
        candidates = self.index.candidates(low)
        found = [one for one in candidates if self._is(one, number, text, low)]
        if (ended is None and PROGRAM not in candidates) or any(one.counts for one in found):
            return found
        if self._program(ended, parsed or read_line(text)):
            found.append(PROGRAM)
            self._note(PROGRAM, number, text, None)
        elif ended is None:
            self.index.exclude(low, PROGRAM)
        return found

    def _is(self, one: Signature, number: int, text: str, low: str) -> bool:
        """Whether a line has a sign, which is noted then; one that lines of its shape never have is not asked again."""
        if one is PROGRAM or (one.id in self.index.clearing and not self.takes_back):
            return False
        match = one.found(low)
        if match is None and one.anchored:
            match = one.found(read_line(text).text.lower())
        if match is not None:
            self._note(one, number, text, match)
        elif not self.index.exclude(low, one):
            self.idle = False
        return match is not None

    @staticmethod
    def _program(ended: Traceback | None, line: LogLine) -> bool:
        if ended is not None and ended.exception:
            return not ended.echo
        found = _EXCEPTION.match(line.text)
        if found is None or _BENIGN.search(line.text):
            return False
        return found[0].partition(":")[0].rpartition(".")[2] not in ECHOES

    def _note(self, one: Signature, number: int, text: str, match: re.Match[str] | None) -> None:
        self.idle = False
        seen = self.seen.get(one.id)
        if seen is None:
            seen = self.seen[one.id] = Seen(one, number, number, rank=rank_of(plain(text)))
            self.takes_back = self.takes_back or bool(one.cleared_by)
            if one.silences and self.silenced is None:
                self.silenced = number
        seen.last = number
        seen.count += 1
        if len(seen.texts) < _KEPT:
            seen.texts.append((number, withheld(plain(text).strip()[:_LONGEST])))
        if match is None or not match.re.groupindex:
            return
        for name, value in match.groupdict().items():
            if value and name.startswith("node") and len(seen.nodes) < _NODES and value not in seen.nodes:
                seen.nodes.append(value)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends; those beyond a bound come in parts."""
    while raw := stream.readline(_BLOCK):
        yield raw
