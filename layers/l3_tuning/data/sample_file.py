"""Sample files: the binary files of a prepared folder, written once from front to back, each hashed on its way."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from .dataset import MASK, ROWS, SAMPLES, SEGMENTS, TOKENS
from .minhash import Array

_LEVEL = 9
"""Of zstandard: the text is written once and read seldom."""


@dataclass
class Sums:
    """What was written.

    Attributes:
        samples: Sequences.
        rows: Rows in them.
        tokens: All tokens.
        counted: Those that the loss counts.
        longest: Tokens of the longest sequence that a model reads.
    """

    samples: int = 0
    rows: int = 0
    tokens: int = 0
    counted: int = 0
    longest: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows as the step before laid them down, one after the other.

    Attributes:
        tokens: Of all rows.
        mask: For each token.
        sizes: Of each row, tokens of its parts.
        places: Of each row, file and line.
        rows: Each in canonical form.
    """

    tokens: Array
    mask: Array
    sizes: Array
    places: Sequence[tuple[str, int]]
    rows: Sequence[bytes]


class _File:
    """One file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._stream: BinaryIO = path.open("xb")
        self._hashing = hashlib.sha256()
        self._size = 0

    def write(self, content: Any) -> int:
        """Append bytes."""
        self._hashing.update(content)
        self._size += len(content)
        return self._stream.write(content)

    def flush(self) -> None:
        """What zstandard calls; nothing waits here."""

    def close(self) -> dict[str, Any]:
        """Bring it to the disk; its digest and size."""
        with self._stream as stream:
            stream.flush()
            os.fsync(stream.fileno())
        return {"sha256": self._hashing.hexdigest(), "size": self._size}

    def drop(self) -> None:
        """Let go of it, however far it came."""
        self._stream.close()


class Lines:
    """A compressed file of JSON lines.

    The digest of what is in it is kept too, since versions of zstandard press differently.
    """

    def __init__(self, path: Path) -> None:
        import zstandard

        self._file = _File(path)
        self._content = hashlib.sha256()
        self._packer = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(self._file, closefd=False)  # type: ignore[arg-type]

    def write(self, line: bytes) -> None:
        """Append a line."""
        line += b"\n"
        self._content.update(line)
        self._packer.write(line)

    def close(self) -> dict[str, Any]:
        """Bring it to the disk; its digests and size."""
        self._packer.close()  # type: ignore[no-untyped-call]
        return {**self._file.close(), "content": self._content.hexdigest()}

    def drop(self) -> None:
        """Let go of it."""
        self._file.drop()


class SampleFiles:
    """The files of one set of samples, in a folder of their own."""

    def __init__(self, folder: Path, *, packed: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.sums = Sums()
        self._stack = ExitStack()
        names = [TOKENS, MASK, SAMPLES, *([SEGMENTS] if packed else [])]
        self._files = {name: _File(folder / name) for name in names}
        self._rows = Lines(folder / ROWS)
        self._stack.callback(self._rows.drop)
        for one in self._files.values():
            self._stack.callback(one.drop)

    def add(self, batch: Batch) -> None:
        """Rows that are a sample each, as they come."""
        import numpy as np

        if not len(batch.sizes):
            return
        self._write(TOKENS, batch.tokens, "<u4")
        self._write(MASK, batch.mask, "u1")
        flat = batch.sizes.reshape(-1)
        self._pairs(np.cumsum(flat) - flat + self.sums.tokens, flat)
        for number, (place, row) in enumerate(zip(batch.places, batch.rows, strict=True), self.sums.samples):
            self._row(number, None, place, row)
        self._count(batch, len(batch.sizes), self._longest(batch.sizes))

    def add_packed(self, batch: Batch, samples: Iterable[Sequence[int]]) -> None:
        """Rows that share samples.

        Args:
            batch: Of one part each.
            samples: Numbers of the batch's rows, for each sample.
        """
        import numpy as np

        sizes = batch.sizes.reshape(-1)
        ends = np.cumsum(sizes)
        lengths = []
        for number, members in enumerate(samples, self.sums.samples):
            spans = [slice(int(ends[row] - sizes[row]), int(ends[row])) for row in members]
            self._write(TOKENS, np.concatenate([batch.tokens[span] for span in spans]), "<u4")
            self._write(MASK, np.concatenate([batch.mask[span] for span in spans]), "u1")
            self._write(SEGMENTS, np.repeat(np.arange(len(members)), sizes[members]), "<u4")
            lengths.append(int(sizes[members].sum()))
            for segment, row in enumerate(members):
                self._row(number, segment, batch.places[row], batch.rows[row])
        of_samples = np.array(lengths, np.int64)
        self._pairs(np.cumsum(of_samples) - of_samples + self.sums.tokens, of_samples)
        self._count(batch, len(lengths), max(lengths, default=0))

    def close(self) -> dict[str, Any]:
        """Bring all of it to the disk; by name digest and size of each file."""
        kept = {name: one.close() for name, one in self._files.items()}
        kept[ROWS] = self._rows.close()
        self._stack.pop_all()
        return kept

    def drop(self) -> None:
        """Let go of all, however far it came."""
        self._stack.close()

    def _write(self, name: str, array: Array, kind: str) -> None:
        self._files[name].write(array.astype(kind, copy=False).tobytes())

    def _pairs(self, starts: Array, sizes: Array) -> None:
        import numpy as np

        self._write(SAMPLES, np.stack([starts, sizes], axis=1), "<u8")

    def _row(self, sample: int, segment: int | None, place: tuple[str, int], row: bytes) -> None:
        within = b"" if segment is None else b'"segment":%d,' % segment
        file = orjson.dumps(place[0])
        self._rows.write(b'{"sample":%d,%b"file":%b,"line":%d,"row":%b}' % (sample, within, file, place[1], row))

    def _longest(self, sizes: Array) -> int:
        return int((sizes[:, 0] + (sizes[:, 1:].max(axis=1) if sizes.shape[1] > 1 else 0)).max())

    def _count(self, batch: Batch, samples: int, longest: int) -> None:
        sums = self.sums
        sums.samples += samples
        sums.rows += len(batch.sizes)
        sums.tokens += len(batch.tokens)
        sums.counted += int(batch.mask.sum(dtype="u8"))
        sums.longest = max(sums.longest, longest)
