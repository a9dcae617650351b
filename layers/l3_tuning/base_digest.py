"""The digest of a base: what its files are, so that no run goes on upon another one. Hashed once, then remembered."""

import json
import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import FailedError, InputError
from aiops.layers.core.file import write_atomic

from .run import Base

_CHUNK = 1 << 22
_LEFT_OUT = ("original", ".git", ".cache")
"""Folders of a base that nothing loads: a second copy of the weights, and what downloads leave."""

Told = Callable[[int, int], None]
"""Told the bytes that were hashed, and those that are to be."""


def read_base(path: str, cache: Path, told: Told = lambda _done, _all: None) -> tuple[Base, dict[str, str]]:
    """A base with its digest, and the sha256 of each of its files by name.

    Args:
        path: Its folder.
        cache: A file that remembers what was hashed; a file counts as the same while its path, size, time of change and
            inode are. Removing it costs time and nothing else.
        told: For progress.

    Raises:
        InputError: It is no folder of a model (`recipe.base`).
        FailedError: A file changed while it was read (`recipe.base_changed`).
    """
    folder = Path(path)
    files = _files(folder)
    config = _config(folder)
    known = _read_cache(cache)
    wanted = {name: _mark(folder / name) for name in files}
    missing = [name for name, mark in wanted.items() if known.get(mark) is None]
    whole = sum((folder / name).stat().st_size for name in missing)
    done = 0
    for name in missing:
        digest = sha256()
        with (folder / name).open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                told(done, whole)
        if _mark(folder / name) != wanted[name]:
            raise FailedError(
                f"{folder / name} changed while it was read",
                code="recipe.base_changed",
                hints=["wait until nobody writes it, and type the same again"],
            )
        known[wanted[name]] = digest.hexdigest()
    if missing:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(cache, json.dumps(known, indent=0).encode())
    found = {name: known[mark] for name, mark in wanted.items()}
    return Base(path, digest_of(found, {name: (folder / name).stat().st_size for name in files}), config), found


def known_config(path: str) -> dict[str, Any] | None:
    """What the config.json of a base says; None where there is none to read, which `read_base` tells."""
    try:
        return _config(Path(path))
    except InputError:
        return None


def digest_of(found: Mapping[str, str], sizes: Mapping[str, int]) -> str:
    """sha256 over the names, sizes and sha256 of a base's files. Pure."""
    lines = [[name, sizes[name], found[name]] for name in sorted(found)]
    return sha256(json.dumps(lines, separators=(",", ":")).encode()).hexdigest()


def _files(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder}",
            code="recipe.base",
            hints=["`base:` names the folder of a model as Hugging Face lays it out, the same on all nodes"],
        )
    found = []
    for above, inner, names in os.walk(folder, followlinks=True):
        inner[:] = sorted(one for one in inner if one not in _LEFT_OUT)
        found += [str((Path(above) / name).relative_to(folder)) for name in names if not name.startswith(".")]
    return sorted(found)


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no model: its config.json cannot be read",
            code="recipe.base",
            hints=["`base:` names the folder of a model as Hugging Face lays it out, the same on all nodes"],
        ) from error
    if not isinstance(config, dict):
        raise InputError(f"{folder} is no model: its config.json says nothing", code="recipe.base")
    return config


def _mark(path: Path) -> str:
    state = path.stat()
    return f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{state.st_ino}"


def _read_cache(cache: Path) -> dict[str, str]:
    try:
        found = json.loads(cache.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: one for key, one in found.items() if isinstance(one, str)} if isinstance(found, dict) else {}
