"""Reading: the records of a source, each with its place; what cannot be read is a fault there, no exception."""

import csv
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from .fault import Fault, Flaw, at
from .form import SAMPLE, form_of
from .row import Form, Place
from .source import SourceFile
from .stream import HUGE, BrokenError, line_blocks, pieces, text_pieces

Seen = Callable[[int], None]
_ROWS = 1024
_JSON_CELLS = ("messages", "conversations", "conversation", "tools")
"""Columns of CSV whose cells hold JSON."""


class Record(NamedTuple):
    """What stands in one place of a file, as its layout reads it.

    Attributes:
        value: Mostly a mapping; anything that JSON can say.
    """

    place: Place
    value: Any


def records(source: SourceFile, seen: Seen | None = None) -> Iterator[Record | Fault]:
    """All that is in a source, in its order. A file without any record is a fault too.

    Args:
        source: Which file.
        seen: Told the bytes that were read from disk, each time; for progress.
    """
    readers = {"jsonl": _json_lines, "json": _json, "parquet": _parquet, "csv": _csv, "text": _text}
    line, empty = 0, True
    try:
        for one in readers[source.layout](source, seen):
            empty = False
            line = one.place.line
            yield one
    except BrokenError as error:
        empty = False
        yield at(Place(source.name, max(error.line, line)), error.flaw)
    if empty:
        yield at(Place(source.name, 1), Flaw("file.empty", "has no rows"))


def form_found(files: Iterable[SourceFile]) -> Form | None:
    """What a set is, by the first rows of its files."""
    for file in files:
        form = form_of(one.value for one in islice(records(file), SAMPLE) if isinstance(one, Record))
        if form is not None:
            return form
    return None


def without_rows(file: SourceFile) -> bool:
    """Whether a file is empty."""
    return any(isinstance(one, Fault) and one.kind == "file.empty" for one in islice(records(file), 1))


def parsed(line: bytes) -> Any:
    """What a line of JSON says; a `Flaw` where it says nothing."""
    import orjson

    if len(line) > HUGE:
        return Flaw("row.huge", "has more than 64 MiB")
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _unparsed(line, error)


def _unparsed(line: bytes, error: Any) -> Flaw:
    """Why a line is no JSON; the line is in hand, its text is not told."""
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return Flaw("encoding.utf8", f"byte {wrong.start + 1} is 0x{line[wrong.start]:02x}, which is not UTF-8 there")
    words = str(error.msg)
    if "surrogate" in words:
        return Flaw("encoding.surrogate", f"column {error.colno}: half of a surrogate pair")
    return Flaw("json.broken", f"column {error.colno}: {words.partition(':')[0]}")


def _json_lines(source: SourceFile, seen: Seen | None) -> Iterator[Record | Fault]:
    for block in line_blocks(source, seen):
        for number, line in enumerate(block.lines, block.first):
            if not line or line.isspace():
                continue
            value = parsed(line)
            place = Place(source.name, number)
            yield at(place, value) if isinstance(value, Flaw) else Record(place, value)


def _json(source: SourceFile, seen: Seen | None) -> Iterator[Record | Fault]:
    """A list of rows; `{"data": [...]}` with one list; one row; or rows line by line, which many call `.json`."""
    import orjson

    content = b"".join(text_pieces(source, seen))
    if not content.strip():
        return
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if content.lstrip().startswith(b"{") and b"\n" in content.strip():
            yield from _json_lines(source, None)
        else:
            yield at(Place(source.name, error.lineno), _unparsed(content, error))
        return
    if isinstance(value, dict) and len(value) == 1:
        ((key, inner),) = value.items()
        if isinstance(inner, list) and key not in _TURN_LISTS and (key == "data" or _has_rows(inner)):
            value = inner  # what of it is no row is told by the number of its element, as in a bare list
    for number, one in enumerate(value if isinstance(value, list) else [value], 1):
        yield Record(Place(source.name, number), one)


def _has_rows(inner: list[Any]) -> bool:
    return not inner or any(isinstance(one, dict) for one in inner)


_TURN_LISTS = {"messages", "conversations", "conversation"}


def _parquet(source: SourceFile, seen: Seen | None) -> Iterator[Record | Fault]:
    import pyarrow as pa
    from pyarrow import parquet

    given: Any = source.path
    if source.compression is not None:
        given = pa.BufferReader(b"".join(pieces(source, seen)))
    number = 0
    try:
        with parquet.ParquetFile(given) as file:
            for batch in file.iter_batches(_ROWS):
                if seen is not None and source.compression is None and file.metadata.num_rows:
                    seen(source.size * batch.num_rows // file.metadata.num_rows)
                for value in batch.to_pylist():
                    number += 1
                    yield Record(Place(source.name, number), value)
    except (pa.ArrowException, OSError, ValueError) as error:
        words = str(error).partition("\n")[0].rstrip(".")
        raise BrokenError(Flaw("file.unreadable", f"is no whole Parquet file: {words}"), number + 1) from error


class _TextLines:
    """Lines as the reader of CSV wants them.

    Attributes:
        taken: How many it has taken.
        bad: Those that are not UTF-8, with the flaw.
    """

    def __init__(self, source: SourceFile, seen: Seen | None) -> None:
        self._source = source
        self._seen = seen
        self.taken = 0
        self.bad: dict[int, Flaw] = {}

    def __iter__(self) -> Iterator[str]:
        for block in line_blocks(self._source, self._seen):
            for line in block.lines:
                self.taken += 1
                try:
                    text = line.decode()
                except UnicodeDecodeError as wrong:
                    byte = f"byte {wrong.start + 1} is 0x{line[wrong.start]:02x}"
                    self.bad[self.taken] = Flaw("encoding.utf8", f"{byte}, which is not UTF-8 there")
                    text = line.decode(errors="replace")
                yield text + "\n"


def _csv(source: SourceFile, seen: Seen | None) -> Iterator[Record | Fault]:
    """Rows below a header; a place is the line that the row begins on."""
    csv.field_size_limit(HUGE)
    lines = _TextLines(source, seen)
    text = iter(lines)
    first = next(text, "")
    comma = ";" if ";" in first and "," not in first else ","
    rows = csv.reader(_before(first, text), strict=True, delimiter=comma)
    header: list[str] | None = None
    while True:
        begun = lines.taken + (0 if header is None else 1)
        try:
            cells = next(rows, None)
        except csv.Error as error:
            yield at(Place(source.name, max(begun, 1)), Flaw("csv.broken", str(error)))
            if header is None:
                return
            continue
        if cells is None:
            return
        place = Place(source.name, begun)
        flaw = next((lines.bad.pop(line) for line in range(begun, lines.taken + 1) if line in lines.bad), None)
        if flaw is not None:
            yield at(place, flaw)
            if header is None:
                return
        elif header is None:
            header = [cell.strip() for cell in cells]
        elif not cells or (len(cells) == 1 and not cells[0].strip() and len(header) > 1):
            continue
        elif len(cells) != len(header):
            yield at(place, Flaw("csv.broken", f"has {len(cells)} columns, the header {len(header)}"))
        else:
            yield Record(place, {key: _cell(key, cell) for key, cell in zip(header, cells, strict=True)})


def _before(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _cell(key: str, cell: str) -> Any:
    """A cell's text; where turns stand, what its JSON says."""
    if key in _JSON_CELLS and cell.lstrip().startswith("["):
        value = parsed(cell.encode())
        return cell if isinstance(value, Flaw) else value
    return cell


def _text(source: SourceFile, seen: Seen | None) -> Iterator[Record | Fault]:
    content = b"".join(text_pieces(source, seen))
    if not content.strip():
        return
    try:
        text = content.decode()
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        column = wrong.start - content.rfind(b"\n", 0, wrong.start)
        byte = f"byte {column} is 0x{content[wrong.start]:02x}"
        yield at(Place(source.name, line), Flaw("encoding.utf8", f"{byte}, which is not UTF-8 there"))
        return
    yield Record(Place(source.name, 1), {"text": text})
