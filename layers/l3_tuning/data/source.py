"""Sources: the files that a path of data stands for, in an order that does not depend on the machine."""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiops.layers.core.errors import InputError

Layout = Literal["jsonl", "json", "parquet", "csv", "text"]
Compression = Literal["gz", "zst", "bz2", "xz"]

_LAYOUTS: dict[str, Layout] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".txt": "text",
    ".md": "text",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst", ".bz2": "bz2", ".xz": "xz"}
SUFFIXES = tuple(_LAYOUTS)
"""What names of files of data end with, without a compression's own ending."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of rows.

    Attributes:
        path: Where it is.
        name: As the user named it, or found below the folder that they named.
        layout: How rows stand in it; of `text` all of it is one row.
        compression: What it is compressed with; None for nothing.
        size: Bytes on disk.
    """

    path: Path
    name: str
    layout: Layout
    compression: Compression | None
    size: int


def sources(paths: Iterable[str | Path], folder: Path | None = None) -> tuple[SourceFile, ...]:
    """The files behind `paths`: a file itself, of a folder all files of data below it, sorted by name.

    Hidden files and folders are left out, and so is what has another ending: a folder has its README.

    Args:
        paths: Files and folders.
        folder: What a path is meant from; where the process is by default.

    Raises:
        InputError: A path is not there or cannot be read, is no file of data, or there is nothing at all.
    """
    found: dict[Path, SourceFile] = {}
    given = [str(path) for path in paths]
    for name in given:
        path = Path(name) if folder is None else folder / name
        try:
            files = _below(path, name) if path.is_dir() else [(path, name)]
        except OSError as error:
            raise _unreadable(error.filename or name, error) from error
        for file, called in files:
            source = _source(file, called)
            if source is None and file == path:
                raise InputError(
                    f"{name} is no file of data that is known",
                    code="data.unknown_file",
                    hints=[f"known endings: {', '.join(SUFFIXES)}, each also with {', '.join(_COMPRESSIONS)}"],
                )
            if source is not None:
                found.setdefault(file.resolve(), source)
    if not found:
        raise InputError(
            f"there is no file of data at {', '.join(given) or 'any path: none is named'}",
            code="data.none",
            hints=[f"known endings: {', '.join(SUFFIXES)}, each also with {', '.join(_COMPRESSIONS)}"],
        )
    return tuple(found.values())


def _below(folder: Path, name: str) -> list[tuple[Path, str]]:
    files = []
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        files += [Path(parent, one) for one in names if not one.startswith(".")]
    found = sorted(files, key=lambda file: file.relative_to(folder).parts)
    return [(file, str(Path(name, file.relative_to(folder)))) for file in found]


def _raise(error: OSError) -> None:
    raise error


def _source(path: Path, name: str) -> SourceFile | None:
    """The file as a source; None for what is no data.

    Raises:
        InputError: It cannot be read.
    """
    suffix = path.suffix.lower()
    compression = _COMPRESSIONS.get(suffix)
    layout = _LAYOUTS.get(path.with_suffix("").suffix.lower() if compression else suffix)
    try:
        size = path.stat().st_size
        if layout is None:
            return None
        if not path.is_file():
            raise InputError(f"{name} is no regular file", code="data.unreadable")
        with path.open("rb"):
            pass
    except OSError as error:
        raise _unreadable(name, error) from error
    return SourceFile(path, name, layout, compression, size)


def _unreadable(name: str, error: OSError) -> InputError:
    if error.errno == errno.ENOENT:
        return InputError(f"there is no {name}", code="data.missing", hints=["name a file, or a folder of files"])
    return InputError(f"{name} cannot be read: {error.strerror}", code="data.unreadable")
