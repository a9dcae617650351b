"""The files an inventory is made of, found where Ansible finds them. Light: every command looks at them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

YAML_SUFFIXES = (".yml", ".yaml", ".json")
_IGNORED = re.compile(
    r"^\.|^(?:host_vars|group_vars|vars_plugins)$|(?:\.(?:pyc|pyo|swp|bak|rpm|md|txt|rst|orig|cfg|retry)|~)$"
)

_MOST_FILES = 250
_MOST_PROGRAMS = 8

Scope = Literal["host", "group"]
_FOLDERS: tuple[tuple[str, Scope], ...] = (("group_vars", "group"), ("host_vars", "host"))


@dataclass(frozen=True, slots=True)
class VariableFile:
    """One file in group_vars or host_vars: the variables of one group or host."""

    path: Path
    scope: Scope
    owner: str


def inventory_files(path: Path) -> Iterator[Path]:
    """The files Ansible reads hosts from: `path` itself, or all in the directory, in Ansible's order."""
    if not path.is_dir():
        yield path
        return
    for entry in sorted(path.iterdir()):
        if not _IGNORED.search(entry.name):
            yield from inventory_files(entry)


def foreign(path: Path) -> str | None:
    """Why the directory `path` is surely no inventory, found by names and modes alone; None where it may be one.

    Ansible runs every executable in an inventory and reads all else, so a wrong directory is refused before that.

    Raises:
        OSError: A folder of it cannot be listed.
    """
    count = programs = 0
    folders = [path]
    while folders:
        for entry in folders.pop().iterdir():
            if _IGNORED.search(entry.name):
                continue
            count += 1
            if entry.is_dir():
                folders.append(entry)
            elif entry.exists() and not entry.is_file():
                return f"it has a file that is not a plain one, {entry}"
            else:
                programs += os.access(entry, os.X_OK)
            if count > _MOST_FILES:
                return f"it has more than {_MOST_FILES} files"
            if programs > _MOST_PROGRAMS:
                return f"it has more than {_MOST_PROGRAMS} executable files, each of which Ansible would run"
    return None


def variable_files(path: Path, folder: Path) -> Iterator[VariableFile]:
    """The files in group_vars and host_vars, beside the inventory (or in it) and in the working folder.

    The later ones count more.
    """
    beside = Path(os.path.realpath(path if path.is_dir() else path.parent))
    bases = dict.fromkeys((beside, Path(os.path.realpath(folder))))
    for base in bases:
        for name, scope in _FOLDERS:
            yield from _owned(base / name, scope)


def _owned(folder: Path, scope: Scope) -> Iterator[VariableFile]:
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            files = (Path(root) / name for root, _, names in sorted(os.walk(entry)) for name in sorted(names))
            yield from (VariableFile(file, scope, entry.name) for file in files if _is_variables(file))
        elif _is_variables(entry):
            yield VariableFile(entry, scope, entry.stem if entry.suffix in YAML_SUFFIXES else entry.name)


def _is_variables(file: Path) -> bool:
    return not file.name.startswith(".") and not file.name.endswith("~") and file.suffix in ("", *YAML_SUFFIXES)
