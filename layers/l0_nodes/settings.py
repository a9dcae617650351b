"""`aiops.toml`, beside the inventory: what groups play which role, and defaults for this cluster."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import InputError, Problem

FILE_NAME = "aiops.toml"
ROLES = ("head", "workers", "storage", "login")
_KEYS = ("aiops", "roles", "variables", "forks", "timeout", "drain_minutes", "health", "jobs")
_FORKS = 32
_TIMEOUT = 10.0
_MOST = 1024
_DRAIN_MINUTES = 60.0
_MOST_MINUTES = 30 * 24 * 60


@dataclass(frozen=True, slots=True)
class Settings:
    """What aiops.toml says, with defaults for what it does not.

    Attributes:
        path: The file, or None where there is none.
        roles: For a role, the groups whose nodes play it; a role not named here is played by the group of its name.
        variables: Defaults of `aiops_*` variables, below anything the inventory says.
        forks: How many nodes are worked on at once.
        timeout: Seconds a node has to answer.
        drain_minutes: Minutes that what runs on a node has to end before a deploy gives up rebooting it.
        health: What it says of health, as it stands there: the layer that judges it knows what it may say.
        jobs: What it says of jobs, likewise.
        lines: The line of each key, for words about mistakes.
    """

    path: Path | None = None
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    variables: Mapping[str, Any] = field(default_factory=dict, hash=False)
    forks: int = _FORKS
    timeout: float = _TIMEOUT
    drain_minutes: float = _DRAIN_MINUTES
    health: Mapping[str, Any] = field(default_factory=dict, hash=False)
    jobs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    lines: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    def groups_of(self, role: str) -> tuple[str, ...]:
        """The groups that play `role`."""
        return self.roles.get(role, (role,))


def settings_path(inventory: Path) -> Path:
    """Where aiops.toml of `inventory` is: beside the file, or beside the directory."""
    return inventory.absolute().parent / FILE_NAME


def read_settings(path: Path) -> Settings:
    """The settings in `path`; the defaults where there is no such file.

    Raises:
        InputError: The file cannot be read or says something wrong; all mistakes together, with lines.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, [Problem(f"cannot be read: {error}", str(path))]) from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _line_in(str(error))
        raise _wrong(path, [Problem(f"is not TOML: {error}", str(path), line)]) from error
    complaints = _Complaints(path, text)
    for key in document:
        if key not in _KEYS:
            complaints.add(f"unknown key `{key}`", key, _nearest(key, _KEYS))
    if document.get("aiops", 1) != 1:
        complaints.add("`aiops` must be 1, the version of this format", "aiops")
    settings = Settings(
        path,
        _roles(document.get("roles", {}), complaints),
        _variables(document.get("variables", {}), complaints),
        int(_number(document, "forks", _FORKS, complaints)),
        float(_number(document, "timeout", _TIMEOUT, complaints)),
        float(_number(document, "drain_minutes", _DRAIN_MINUTES, complaints, most=_MOST_MINUTES)),
        _table(document, "health", complaints),
        _table(document, "jobs", complaints),
        complaints.lines,
    )
    if complaints.problems:
        raise _wrong(path, complaints.problems)
    return settings


class _Complaints:
    """The mistakes found so far, each with the line of its key."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self.lines = _lines(text)
        self.problems: list[Problem] = []

    def add(self, message: str, key: str, hint: str | None = None) -> None:
        self.problems.append(Problem(message, str(self._path), self.lines.get(key), hint))


def _number(
    document: Mapping[str, Any], key: str, default: float, complaints: _Complaints, *, most: int = _MOST
) -> float:
    value = document.get(key, default)
    if isinstance(value, bool) or not isinstance(value, type(default) | int) or not 0 < value <= most:
        kind = (
            "whole number"
            if isinstance(default, int)
            else f"number of {'minutes' if key.endswith('minutes') else 'seconds'}"
        )
        complaints.add(f"`{key}` must be a {kind} above 0 and at most {most}", key)
        return default
    return value


def _table(document: Mapping[str, Any], key: str, complaints: _Complaints) -> Mapping[str, Any]:
    table = document.get(key, {})
    if isinstance(table, dict):
        return table
    complaints.add(f"`{key}` must be a table", key)
    return {}


def _variables(table: Any, complaints: _Complaints) -> Mapping[str, Any]:
    if not isinstance(table, dict):
        complaints.add("`variables` must be a table of `aiops_*` variables", "variables")
        return {}
    return table


def _roles(table: Any, complaints: _Complaints) -> dict[str, tuple[str, ...]]:
    if not isinstance(table, dict):
        complaints.add('`roles` must be a table, e.g. `head = ["slurm-master"]`', "roles")
        return {}
    roles: dict[str, tuple[str, ...]] = {}
    for role, groups in table.items():
        if role not in ROLES:
            complaints.add(f"unknown role `{role}`", role, _nearest(role, ROLES))
            continue
        names = [groups] if isinstance(groups, str) else groups
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            complaints.add(f"role `{role}` must name one group or a list of groups", role)
            continue
        roles[role] = tuple(names)
    return roles


def _nearest(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}"


def _lines(text: str) -> dict[str, int]:
    """The line of each `key = ...` and `[key]`; TOML forbids writing one twice in a table, so the first will do."""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip().lstrip("[").partition("=")[0].strip(" ]\"'")
        lines.setdefault(word, number)
    return lines


def _line_in(message: str) -> int | None:
    """The number after `line` in a TOML parser's message."""
    _, found, rest = message.partition("line ")
    digits = rest.partition(",")[0].strip()
    return int(digits) if found and digits.isdigit() else None


def _wrong(path: Path, problems: list[Problem]) -> InputError:
    return InputError(
        f"{path.name} is wrong in {len(problems)} {'place' if len(problems) == 1 else 'places'}",
        code="settings.wrong",
        hints=["docs/reference/aiops.toml shows all it may say"],
        problems=problems,
    )
