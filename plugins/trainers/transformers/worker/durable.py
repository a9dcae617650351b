"""Durable: files that are on the disk, whole, before anybody is told of them. Standard library only."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def replace(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON so that a reader sees the old or the new, and the new is on the disk before."""
    making = path.with_name(f".{path.name}.making")
    with making.open("w") as stream:
        json.dump(document, stream, indent=1, allow_nan=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    making.rename(path)
    sync_folder(path.parent)


def sync(folder: Path) -> None:
    """Bring all that is below a folder to the disk, and its own name."""
    for place, _, names in os.walk(folder):
        for name in names:
            with Path(place, name).open("rb") as stream:
                os.fsync(stream.fileno())
        sync_folder(Path(place))
    sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Bring the names that a folder has to the disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def files_of(folder: Path) -> dict[str, int]:
    """Sizes of all files below a folder, by name."""
    return {str(one.relative_to(folder)): one.stat().st_size for one in sorted(folder.rglob("*")) if one.is_file()}
