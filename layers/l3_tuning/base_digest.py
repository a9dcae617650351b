"""The digest of a base: what its files are, so that no run goes on upon another one. Hashed once, then remembered."""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import InputError

from .base_config import read_config
from .file_sums import Told, sums_of
from .run import Base

_LEFT_OUT = ("original", ".git", ".cache")
"""Folders of a base that nothing loads: a second copy of the weights, and what downloads leave."""


def read_base(path: str, cache: Path, told: Told = lambda _done, _all: None) -> tuple[Base, dict[str, str]]:
    """A base with its digest, and the sha256 of each of its files by name.

    Args:
        path: Its folder.
        cache: What remembers the sums of files (`sums_of`).
        told: For progress.

    Raises:
        InputError: It is no folder of a model (`recipe.base`).
        FailedError: A file changed while it was read.
    """
    folder = Path(path)
    config = read_config(folder)
    names = _names(folder)
    try:
        found = dict(zip(names, sums_of([folder / name for name in names], cache, told), strict=True))
        sizes = {name: (folder / name).stat().st_size for name in names}
    except OSError as error:
        raise InputError(
            f"{error.filename or folder} cannot be read: {error.strerror or error}", code="recipe.base"
        ) from error
    return Base(path, digest_of(found, sizes), config), found


def known_config(path: str) -> dict[str, Any] | None:
    """What the config.json of a base says; None where there is none to read, which `read_base` tells."""
    try:
        return read_config(Path(path))
    except InputError:
        return None


def digest_of(found: Mapping[str, str], sizes: Mapping[str, int]) -> str:
    """sha256 over the names, sizes and sha256 of a base's files. Pure."""
    lines = [[name, sizes[name], found[name]] for name in sorted(found)]
    return sha256(json.dumps(lines, separators=(",", ":")).encode()).hexdigest()


def _names(folder: Path) -> list[str]:
    found = []
    for above, inner, names in os.walk(folder, followlinks=True):
        inner[:] = sorted(one for one in inner if one not in _LEFT_OUT)
        found += [str((Path(above) / name).relative_to(folder)) for name in names if not name.startswith(".")]
    return sorted(found)
