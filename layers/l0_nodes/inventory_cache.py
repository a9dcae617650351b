"""What was read of an inventory, kept until anything it rests on changes.

The key is a digest of all that Ansible's answer rests on, contents and not times. Nothing secret is kept: passwords
and decrypted values never reach this module.
"""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aiops import __version__
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder

from .ansible import configuration_files
from .inventory_files import inventory_files, variable_files
from .settings import settings_path

_FORMAT = 1


def key_of(path: Path, environment: Mapping[str, str], folder: Path) -> str:
    """The digest of everything that decides what the inventory at `path` says.

    Raises:
        OSError: A file of it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=32)

    def add(*parts: str | bytes) -> None:
        for part in parts:
            content = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
            digest.update(len(content).to_bytes(8, "big"))
            digest.update(content)

    add(str(_FORMAT), __version__, version("ansible-core"), sys.executable, str(path.absolute()), str(folder))
    add("writable" if _world_writable(folder) else "", environment.get("HOME", ""))
    for name in sorted(environment):
        if name.startswith("ANSIBLE_"):
            add(name, environment[name])
    for file in _files(path, environment, folder):
        try:
            add(str(file), "x" if os.access(file, os.X_OK) else "", file.read_bytes())
        except FileNotFoundError:
            add(str(file), "absent")
    return digest.hexdigest()


def load(cache: Path, path: Path, key: str) -> Mapping[str, Any] | None:
    """What was kept for `path` under `key`; None where nothing was, or it is spoiled."""
    file = _file(cache, path)
    try:
        with file.open("rb") as stream:
            mine = os.fstat(stream.fileno())
            content = stream.read()
        document = json.loads(content)
    except (OSError, ValueError):
        return None
    if mine.st_uid != os.geteuid() or stat.S_IMODE(mine.st_mode) & 0o077:
        return None
    if not isinstance(document, dict) or document.get("key") != key:
        return None
    reading = document.get("reading")
    return reading if isinstance(reading, dict) else None


def store(cache: Path, path: Path, key: str, reading: Mapping[str, Any]) -> None:
    """Keep `reading`; where the cache cannot be written, nothing is kept and nothing is said."""
    try:
        ensure_folder(cache)
        content = json.dumps({"key": key, "reading": reading}, separators=(",", ":")).encode()
        write_atomic(_file(cache, path), content)
    except OSError:
        return


def drop(cache: Path, path: Path) -> None:
    """Forget what was kept for `path`."""
    _file(cache, path).unlink(missing_ok=True)


def _file(cache: Path, path: Path) -> Path:
    name = hashlib.blake2b(os.fsencode(path.absolute()), digest_size=12).hexdigest()
    return cache / f"inventory-{name}.json"


def _files(path: Path, environment: Mapping[str, str], folder: Path) -> Iterator[Path]:
    yield from inventory_files(path)
    yield from (file.path for file in variable_files(path, folder))
    yield from configuration_files(environment, folder)
    yield settings_path(path)


def _world_writable(folder: Path) -> bool:
    """Ansible ignores an ansible.cfg in such a working folder."""
    return bool(folder.stat().st_mode & stat.S_IWOTH)
