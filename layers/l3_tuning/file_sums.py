"""Sums of files: the sha256 of each, read once and then remembered for as long as the file looks as it did."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from aiops.layers.core.errors import FailedError
from aiops.layers.core.file import write_atomic

_CHUNK = 1 << 22

Told = Callable[[int, int], None]
"""Told the bytes that were hashed, and those that are to be."""


def sums_of(files: Sequence[Path], cache: Path, told: Told = lambda _done, _all: None) -> list[str]:
    """The sha256 of each of some files.

    Args:
        files: Which; all are there.
        cache: A file that remembers what was hashed; a file counts as the same while its path, size, time of change and
            inode are. Removing it costs time and nothing else.
        told: For progress; not at all where nothing has to be read.

    Raises:
        OSError: One cannot be read.
        FailedError: One changed while it was read (`file.changed`).
    """
    known = _read(cache)
    marks = [_mark(one) for one in files]
    missing = {mark: path for mark, path in zip(marks, files, strict=True) if mark not in known}
    whole = sum(path.stat().st_size for path in missing.values())
    done = 0
    for mark, path in missing.items():
        digest = sha256()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                told(done, whole)
        if _mark(path) != mark:
            raise FailedError(
                f"{path} changed while it was read",
                code="file.changed",
                hints=["wait until nobody writes it, and type the same again"],
            )
        known[mark] = digest.hexdigest()
    if missing:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(cache, json.dumps(known, indent=0).encode())
    return [known[mark] for mark in marks]


def _mark(path: Path) -> str:
    state = path.stat()
    return f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{state.st_ino}"


def _read(cache: Path) -> dict[str, str]:
    try:
        found = json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: one for key, one in found.items() if isinstance(one, str)} if isinstance(found, dict) else {}
