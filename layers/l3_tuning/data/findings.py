"""Findings: what a check has met so far, by where it stands."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from .encoding import strange_bytes
from .fault import Fault, Flaw
from .reading import Record, parsed, records
from .report import Report
from .row import Place
from .source import SourceFile
from .stream import BrokenError, line_blocks

_LINE_BITS: Final = 40
"""Of a number that says where a row stands; the bits above are the file's."""

Told = Callable[[int, int], None]
"""Rows that were checked, and bytes that were read."""


class Findings:
    """What a check has met so far.

    Attributes:
        report: What is told in the end.
        seen: By identity where a row stood first.
        base: Added to a line it says where that stands: the file's part.
    """

    def __init__(self, files: Sequence[SourceFile], report: Report, told: Told) -> None:
        self.report = report
        self.seen: dict[bytes, int] = {}
        self.base = 0
        self._files = files
        self._told = told
        self._bytes = 0

    def files(self) -> Iterator[SourceFile]:
        """Each file, while it is the one that lines are of."""
        for number, file in enumerate(self._files):
            self.base = number << _LINE_BITS
            before = self.report.rows
            yield file
            self.report.files[file.name] = self.report.rows - before
        self._told(self.report.rows, self._bytes)

    def read(self, size: int) -> None:
        """So many more bytes were read."""
        self._bytes += size
        self._told(self.report.rows, self._bytes)

    def place(self, where: int) -> Place:
        """File and line of a number that says where."""
        return Place(self._files[where >> _LINE_BITS].name, where & ((1 << _LINE_BITS) - 1))

    def add(self, line: int, flaws: Iterable[Flaw], *, counted: bool = False) -> bool:
        """Tell what is wrong with the row of a line; whether that makes it a faulty one.

        Args:
            line: Of the file that is read now.
            flaws: All that is wrong.
            counted: Whether the row was counted as faulty before.
        """
        fails = False
        for flaw in flaws:
            self.report.add(self.place(self.base | line), flaw)
            fails = fails or self.report.failing(flaw.kind)
        self.report.faulty += fails and not counted
        return fails

    def duplicate(self, line: int, identity: bytes) -> tuple[Flaw, ...]:
        """What is wrong with a row for having come before."""
        here = self.base | line
        first = self.seen.setdefault(identity, here)
        if first == here:
            return ()
        self.report.copies[first] += 1
        return (Flaw("duplicate.exact", f"is the same as {self.place(first)}"),)

    def rows(self, file: SourceFile) -> Iterator[tuple[int, Any, bool]]:
        """Line and value of each record, and whether its characters are to be searched; what is none is told here."""
        if file.layout == "jsonl":
            yield from self._lines(file)
            return
        for one in records(file, self.read):
            self.report.rows += isinstance(one, Record) or one.kind != "file.empty"
            if isinstance(one, Fault):
                self.add(one.place.line, (Flaw(one.kind, one.reason),))
            else:
                yield one.place.line, one.value, True

    def _lines(self, file: SourceFile) -> Iterator[tuple[int, Any, bool]]:
        rows = self.report.rows
        try:
            for block in line_blocks(file, self.read):
                careful = strange_bytes(block.raw)
                for number, line in enumerate(block.lines, block.first):
                    if not line or line.isspace():
                        continue
                    self.report.rows += 1
                    value = parsed(line)
                    if isinstance(value, Flaw):
                        self.add(number, (value,))
                    else:
                        yield number, value, careful
        except BrokenError as error:
            self.broken(error)
        if self.report.rows == rows:
            self.empty()

    def broken(self, error: BrokenError) -> None:
        """The file cannot be read on."""
        self.report.rows += 1
        self.add(error.line, (error.flaw,))

    def empty(self) -> None:
        """The file has no rows."""
        self.add(1, (Flaw("file.empty", "has no rows"),))
