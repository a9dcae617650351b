"""The files an inventory is made of, found where Ansible finds them, and their outline."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .ini_outline import read_inventory_ini
from .outline import Outline, Place, Scope
from .yaml_outline import compose, read_inventory_yaml, read_variables_yaml

_IGNORED = re.compile(
    r"^\.|^(?:host_vars|group_vars|vars_plugins)$|(?:\.(?:pyc|pyo|swp|bak|rpm|md|txt|rst|orig|cfg|retry)|~)$"
)
_YAML = (".yml", ".yaml", ".json")
_VAULT_HEADER = "$ANSIBLE_VAULT"
_FOLDERS: tuple[tuple[str, Scope], ...] = (("group_vars", "group"), ("host_vars", "host"))

Kind = Literal["yaml", "ini", "toml", "script", "plugin", "vaulted", "unreadable"]


@dataclass(frozen=True, slots=True)
class Source:
    """One file that Ansible takes hosts from.

    Attributes:
        text: Its content; empty where it cannot be read as text.
        reason: Why it is unreadable.
    """

    path: Path
    kind: Kind
    text: str = ""
    reason: str = ""


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
            yield VariableFile(entry, scope, entry.stem if entry.suffix in _YAML else entry.name)


def _is_variables(file: Path) -> bool:
    return not file.name.startswith(".") and not file.name.endswith("~") and file.suffix in ("", *_YAML)


def read_source(path: Path) -> Source:
    """What kind of inventory `path` is, and its text."""
    try:
        executable = os.access(path, os.X_OK)
        content = path.read_bytes()
    except OSError as error:
        return Source(path, "unreadable", reason=error.strerror or str(error))
    if executable or content.startswith(b"#!"):
        return Source(path, "script")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return Source(path, "unreadable", reason=f"it is not UTF-8 text ({error.reason} at byte {error.start})")
    if text.startswith(_VAULT_HEADER):
        return Source(path, "vaulted", text)
    return Source(path, _kind(path, text), text)


def _kind(path: Path, text: str) -> Kind:
    """The format by which Ansible reads it: its suffix, and without one whatever fits."""
    if path.suffix == ".toml":
        return "toml"
    if path.suffix not in ("", *_YAML):
        return "ini"
    import yaml

    try:
        root = compose(text)
    except yaml.YAMLError:
        return "yaml" if path.suffix else "ini"
    if root is None or root.id != "mapping":
        return "yaml" if path.suffix else "ini"
    named = any(key.id == "scalar" and key.value == "plugin" for key, _ in root.value)
    return "plugin" if named else "yaml"


def outline_of(sources: list[Source], variables: list[VariableFile]) -> Outline:
    """The outline of all files that can be read without running anything."""
    outline = Outline()
    for source in sources:
        place = Place(str(source.path), None)
        if source.kind == "yaml":
            read_inventory_yaml(source.text, str(source.path), outline)
        elif source.kind == "ini":
            read_inventory_ini(source.text, str(source.path), outline)
        elif source.kind == "vaulted":
            outline.vaulted.append(str(source.path))
        elif source.kind == "unreadable":
            outline.complain(f"cannot be read: {source.reason}", place, f"`ls -l {source.path}`", fatal=True)
    for file in variables:
        _outline_variables(file, outline)
    return outline


def _outline_variables(file: VariableFile, outline: Outline) -> None:
    name = str(file.path)
    try:
        text = file.path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        outline.complain(f"cannot be read: {reason}", Place(name, None), f"`ls -l {name}`", fatal=True)
        return
    if text.startswith(_VAULT_HEADER):
        outline.vaulted.append(name)
    else:
        read_variables_yaml(text, name, file.scope, file.owner, outline)
