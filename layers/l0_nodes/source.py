"""What kind of file each file of an inventory is, and the outline of all of them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .ini_outline import read_inventory_ini
from .inventory_files import YAML_SUFFIXES, VariableFile
from .outline import Outline, Place
from .yaml_outline import compose, read_inventory_yaml, read_variables_yaml

_VAULT_HEADER = "$ANSIBLE_VAULT"

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
    if path.suffix not in ("", *YAML_SUFFIXES):
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
