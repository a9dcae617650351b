"""Work: the folder in which a preparation is carried out, step by step and chunk by chunk, by whoever and however many.

    preparation.json          what is made
    tolerated.json            which faults the check has let pass, with how many
    STEP/CHUNK.npz            what a step made of a chunk: CHUNK_ROWS rows of one file, in the order of the source
    STEP/FILE.rows            how many rows and chunks a file has, once it was read to its end

Chunks appear whole, so what a step has done need not be done again after it was killed, and nothing of what comes out
depends on who did which chunk when.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import orjson

from aiops.layers.core.errors import FailedError

from .minhash import Array
from .preparation import Preparation, read_preparation

Step = Literal["examine", "judge", "render", "assemble"]
STEPS: tuple[tuple[Step, bool], ...] = (("examine", True), ("judge", False), ("render", True), ("assemble", False))
"""In their order, each with whether several may share it."""

CHUNK_ROWS = 4096
_PREPARATION = "preparation.json"
_TOLERATED = "tolerated.json"
_LEVEL = 1


class Removed(NamedTuple):
    """A row that is not learnt from.

    Attributes:
        line: Its line.
        step: What removed it: check, filter, duplicates, decontaminate, length; `refused` where nothing is prepared.
        reason: Why.
        of: The place of the row that it repeats or shows; empty for none.
        note: A figure of this row alone, for who asks for it.
    """

    line: int
    step: str
    reason: str
    of: str = ""
    note: str = ""


class Work:
    """The folder of a preparation that is being carried out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def begin(cls, folder: Path, preparation: Preparation, tolerated: Mapping[str, int]) -> "Work":
        """A folder in which `preparation` can be carried out; what is there of the very same already stays.

        Args:
            folder: Which.
            preparation: What is made.
            tolerated: By kind how many faults it is made in spite of.

        Raises:
            OSError: The disk refuses.
        """
        written, file = preparation.written().encode(), folder / _PREPARATION
        if folder.exists() and not (file.exists() and file.read_bytes() == written):
            shutil.rmtree(folder)  # other kinds of faults were allowed, and rows left out for them
        for step, _ in STEPS:
            (folder / step).mkdir(parents=True, exist_ok=True)
        _replace(folder / _TOLERATED, json.dumps(dict(tolerated)).encode())
        _replace(file, written)
        return cls(folder)

    @cached_property
    def preparation(self) -> Preparation:
        """What is made."""
        return read_preparation((self.folder / _PREPARATION).read_text("utf-8"))

    def tolerated(self) -> dict[str, int]:
        """By kind how many faults it is made in spite of."""
        found: dict[str, int] = json.loads((self.folder / _TOLERATED).read_bytes())
        return found

    def has(self, step: Step, chunk: str) -> bool:
        """Whether a step has made its part of a chunk."""
        return self._path(step, chunk).exists()

    def chunks(self, step: Step) -> list[str]:
        """The chunks that a step has made, in the order of the source."""
        return sorted(path.stem for path in (self.folder / step).glob("*.npz"))

    def save(self, step: Step, chunk: str, **arrays: Array) -> None:
        """Keep what a step made of a chunk."""
        import numpy as np

        path = self._path(step, chunk)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as stream:
            np.savez(stream, **arrays)
        temporary.replace(path)

    def load(self, step: Step, chunk: str, *names: str) -> list[Array]:
        """Some of what a step made of a chunk.

        Raises:
            FailedError: It was lost or is damaged, as a power cut leaves it.
        """
        import numpy as np

        path = self._path(step, chunk)
        try:
            with np.load(path, allow_pickle=False) as kept:
                return [kept[name] for name in names]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise FailedError(
                f"{path} is damaged: {error}",
                code="data.work",
                hints=[
                    f"remove the work of the run that was cut off: `rm -r {self.folder}`",
                    "and type the same again",
                ],
            ) from error

    def end_file(self, step: Step, file: str, rows: int, chunks: int) -> None:
        """Say that a file was read to its end."""
        _replace(self.folder / step / f"{file}.rows", json.dumps([rows, chunks]).encode())

    def file_end(self, step: Step, file: str) -> tuple[int, int]:
        """How many rows and chunks a file has.

        Raises:
            FailedError: Nobody read it to its end.
        """
        try:
            rows, chunks = json.loads((self.folder / step / f"{file}.rows").read_bytes())
        except (OSError, ValueError) as error:
            raise FailedError(f"a share of the step {step} did not end", code="data.work") from error
        return rows, chunks

    def rows(self) -> int:
        """How many rows all files have, once they were read to their ends."""
        files = (("t", self.preparation.train), ("v", self.preparation.evaluation))
        names = [file_name(which, number) for which, some in files for number in range(len(some))]
        return sum(self.file_end("examine", name)[0] for name in names)

    def _path(self, step: Step, chunk: str) -> Path:
        return self.folder / step / f"{chunk}.npz"


def file_name(of: str, file: int) -> str:
    """What a file is called in the work folder: sorted by name, files are in the order of the source.

    Args:
        of: `t` of what is trained on, `v` of what is held out.
        file: Its number.
    """
    return f"{of}{file:06d}"


def chunk_name(of: str, file: int, chunk: int) -> str:
    """What a chunk is called."""
    return f"{file_name(of, file)}-{chunk:08d}"


def chunk_file(chunk: str) -> tuple[str, int]:
    """What a chunk is of, and the number of its file."""
    return chunk[0], int(chunk[1:7])


def pressed(lines: Sequence[bytes]) -> Array:
    """Lines as one array of bytes, compressed."""
    import numpy as np
    import zstandard

    return np.frombuffer(zstandard.ZstdCompressor(level=_LEVEL).compress(b"\n".join(lines)), np.uint8)


def unpressed(array: Array) -> list[bytes]:
    """The lines again; an empty list of lines comes back as such."""
    import zstandard

    content = zstandard.ZstdDecompressor().decompress(array.tobytes())
    return content.split(b"\n") if content else []


def removed_array(removed: Sequence[Removed]) -> Array:
    """Removed rows as an array."""
    return pressed([orjson.dumps(list(one)) for one in removed])


def removed_of(array: Array) -> Iterator[Removed]:
    """The removed rows again."""
    for line in unpressed(array):
        yield Removed(*orjson.loads(line))


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
