"""Streams: the bytes of a source, decompressed, and its lines in blocks. What is broken is raised as `BrokenError`."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from .fault import Flaw
from .source import Compression, SourceFile

PIECE: Final = 256 * 1024
"""Bytes that are read at once."""

BLOCK: Final = 1024 * 1024
"""Bytes of lines that are handed on together, about."""

HUGE: Final = 64 * 1024 * 1024
"""Bytes of one row, at most: more is a file whose lines have no ends."""

BOM: Final = b"\xef\xbb\xbf"
_WIDE: Final = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""Other encodings by their byte order mark; that of UTF-32 begins as one of UTF-16 does."""
_LONGEST_MARK: Final = 4


class BrokenError(Exception):
    """A source cannot be read on.

    Attributes:
        flaw: What is wrong.
        line: The line that was reached.
    """

    def __init__(self, flaw: Flaw, line: int = 1) -> None:
        super().__init__(flaw.reason)
        self.flaw = flaw
        self.line = line


class Lines(NamedTuple):
    """Some lines of a file.

    Attributes:
        first: The number of the first, from 1.
        lines: Without their ends; blank ones are among them.
        raw: The same in one piece, to be searched at once; without a byte order mark.
    """

    first: int
    lines: list[bytes]
    raw: bytes


def pieces(source: SourceFile, seen: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """The content of a source, decompressed.

    Args:
        source: Which one.
        seen: Told the bytes that were read from disk, each time.

    Raises:
        BrokenError: The compression is cut off or damaged, or the disk fails.
    """
    try:
        with source.path.open("rb") as stream:
            plain = _plain(stream, seen)
            yield from plain if source.compression is None else _unpacked(plain, source.compression)
    except OSError as error:
        raise BrokenError(Flaw("file.unreadable", f"the disk says: {error.strerror or error}")) from error


def _plain(stream: Any, seen: Callable[[int], None] | None) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        if seen is not None:
            seen(len(piece))
        yield piece


def _unpacked(packed: Iterator[bytes], compression: Compression) -> Iterator[bytes]:
    """The content of one or more streams after each other, as `cat a.gz b.gz` makes them."""
    make, errors = _unpackers(compression)
    current, begun = make(), False
    try:
        for piece in packed:
            left = piece
            while left:
                if current.eof:
                    left = left.lstrip(b"\0")  # padding, as tape writes it
                    if not left:
                        break
                    current = make()
                begun = True
                content = current.decompress(left)
                left = current.unused_data if current.eof else b""
                if content:
                    yield content
    except errors as error:
        raise BrokenError(Flaw("compression.broken", f"the {compression} stream is damaged: {error}")) from error
    if begun and not current.eof:
        raise BrokenError(Flaw("compression.broken", f"the {compression} stream is cut off"))
    if not begun:
        raise BrokenError(Flaw("compression.broken", f"there is no {compression} stream in it"))


def _unpackers(compression: Compression) -> tuple[Callable[[], Any], tuple[type[Exception], ...]]:
    if compression == "gz":
        return (lambda: zlib.decompressobj(31)), (zlib.error,)
    if compression == "bz2":
        return bz2.BZ2Decompressor, (OSError, ValueError)
    if compression == "xz":
        return lzma.LZMADecompressor, (lzma.LZMAError,)
    import zstandard

    return (lambda: zstandard.ZstdDecompressor().decompressobj()), (zstandard.ZstdError,)


def text_pieces(source: SourceFile, seen: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """The content of a source of text, decompressed and without a byte order mark.

    Raises:
        BrokenError: As `pieces`; or it is marked as UTF-16 or UTF-32.
    """
    head: bytes | None = b""
    for piece in pieces(source, seen):
        if head is None:
            yield piece
            continue
        head += piece
        if len(head) >= _LONGEST_MARK:
            yield _unmarked(head)
            head = None
    if head:
        yield _unmarked(head)


def _unmarked(head: bytes) -> bytes:
    for mark, encoding in _WIDE.items():
        if head.startswith(mark):
            words = f"the file begins with the byte order mark of {encoding}: `iconv -f {encoding} -t UTF-8`"
            raise BrokenError(Flaw("encoding.wide", words))
    return head.removeprefix(BOM)


def line_blocks(source: SourceFile, seen: Callable[[int], None] | None = None) -> Iterator[Lines]:
    """The lines of a source in blocks of about a MiB.

    Raises:
        BrokenError: As `pieces`, with the line that was reached; the lines before it have been handed on. Or one line
            is huge.
    """
    first = 1
    held: list[bytes] = []
    size = 0
    try:
        for piece in text_pieces(source, seen):
            held.append(piece)
            size += len(piece)
            if size < BLOCK:
                continue
            end = piece.rfind(b"\n")
            if end < 0:
                if size > HUGE:
                    raise BrokenError(Flaw("row.huge", "has more than 64 MiB"))  # noqa: TRY301 - told with its line
                continue
            held[-1] = piece[:end]
            raw = b"".join(held)
            lines = raw.split(b"\n")
            yield Lines(first, lines, raw)
            first += len(lines)
            held = [piece[end + 1 :]]
            size = len(held[0])
    except BrokenError as error:
        whole, _, part = b"".join(held).rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        if lines:
            yield Lines(first, lines, whole)
        del part  # what was cut off is no row
        raise BrokenError(error.flaw, first + len(lines)) from error
    raw = b"".join(held)
    if raw:
        raw = raw.removesuffix(b"\n")
        yield Lines(first, raw.split(b"\n"), raw)
