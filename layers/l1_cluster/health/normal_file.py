"""`health.yml`, beside the inventory: what is normal for the nodes of a group. It is reviewed and kept in git.

`aiops health learn` writes it (`normal`), people mend it, and checks ask `subject.expected` for what stands in it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.yaml_outline import compose

from .expected import Expected

FILE_NAME = "health.yml"
_DEPTH = 5
"""No key stands deeper; an anchor may lead into itself."""

_Path = tuple[str, ...]
_KINDS = {"mapping": "a mapping", "sequence": "a list", "scalar": "a plain value"}


class _Strict(BaseModel):
    """Unknown keys and silent conversions are mistakes: the user is told."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _switch(value: Any) -> Any:
    """YAML takes a bare `on` for true."""
    return ("on" if value else "off") if isinstance(value, bool) else value


_Rate = Annotated[float | None, Field(gt=0, allow_inf_nan=False)]
"""Of a deep test."""


class Devices(_Strict):
    """The accelerators of a node; `count` stands for `gpu.count` and so on, whatever their vendor calls them.

    `links` are those to other devices that are active on each; `h2d_gbs`, `d2h_gbs` and `allreduce_gbs` are GB/s that
    deep tests reach: from the host, to it, and all devices together.
    """

    count: int | None = Field(default=None, ge=0)
    model: str | None = Field(default=None, min_length=1)
    driver: str | None = Field(default=None, min_length=1)
    firmware: str | None = Field(default=None, min_length=1)
    ecc: Annotated[Literal["on", "off"] | None, BeforeValidator(_switch)] = None
    links: int | None = Field(default=None, ge=0)
    h2d_gbs: _Rate = None
    d2h_gbs: _Rate = None
    allreduce_gbs: _Rate = None


class Disks(_Strict):
    """The NVMe disks of a node."""

    count: int | None = Field(default=None, ge=0)


class FileSystem(_Strict):
    """One file system of a node's own, by its mount: MB/s, and the µs that reading 4 KiB takes."""

    read_mbs: _Rate = None
    write_mbs: _Rate = None
    delay_us: _Rate = None


class Slot(_Strict):
    """One PCI device, by its address: how many lanes it is to have, where that is fewer than it could."""

    width: Literal[1, 2, 4, 8, 12, 16, 32] | None = None


class FabricPort(_Strict):
    """One InfiniBand or RoCE device: its rate in Gbit/s (0: no cable, on purpose), and what a deep test reaches."""

    gbit: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    loopback_gbit: _Rate = None


class NetworkPort(_Strict):
    """One interface: its speed in Mbit/s (0: it is not used on purpose), and the bytes of its largest packet."""

    mbit: int | None = Field(default=None, ge=0)
    mtu: int | None = Field(default=None, ge=68, le=65_536)


class GroupNormal(_Strict):
    """What is normal in one group. A trait that is left out is not expected of anybody."""

    memory_mib: int | None = Field(default=None, ge=1)
    memory_gbs: _Rate = None
    threads: int | None = Field(default=None, ge=1)
    kernel: str | None = Field(default=None, min_length=1)
    cgroup: Literal["v1", "v2", "hybrid"] | None = None
    gpu: Devices = Devices()
    nvme: Disks = Disks()
    disk: dict[str, FileSystem] = {}
    pcie: dict[str, Slot] = {}
    ib: dict[str, FabricPort] = {}
    eth: dict[str, NetworkPort] = {}

    def traits(self) -> dict[str, float | str]:
        """By the names that checks ask for: `gpu.count`, `eth.eth0.mtu`."""
        return dict(_flat(self.model_dump(exclude_none=True)))


class _File(_Strict):
    aiops: Literal[1]
    groups: dict[str, GroupNormal] = {}


@dataclass(frozen=True, slots=True)
class Normals:
    """What one file says.

    Attributes:
        name: Of the file, for the words of findings.
        groups: Traits by group, in the order of the file.
    """

    name: str = FILE_NAME
    groups: Mapping[str, Mapping[str, float | str]] = field(default_factory=dict)

    def expected(self, node: Node) -> Expected:
        """What is expected of `node`: of its groups, one that stands later in the file counts more."""
        own = [group for group, traits in self.groups.items() if group in node.groups and traits]
        if not own:
            return Expected()
        values: dict[str, float | str] = {}
        for group in own:
            values |= self.groups[group]
        words = f"group{'s' if len(own) > 1 else ''} {' and '.join(own)}"
        return Expected(values, f"{self.name}, {words}")


def normals_path(inventory: Path) -> Path:
    """Where health.yml of `inventory` is: beside the file, or beside the directory."""
    return inventory.absolute().parent / FILE_NAME


def read_normals(path: Path, groups: Collection[str] | None = None) -> Normals:
    """What `path` says; nothing where there is no such file.

    Args:
        path: The file.
        groups: Those of the inventory, so that one that is in none of them is a mistake.

    Raises:
        InputError: The file cannot be read or says something wrong; all mistakes together, with lines.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Normals(path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, [Problem(f"cannot be read: {error}", str(path))]) from error
    return parse_normals(text, path, groups)


def parse_normals(text: str, path: Path, groups: Collection[str] | None = None) -> Normals:
    """As `read_normals`, of a text that stands, or is to stand, in `path`."""
    import yaml

    problems: list[Problem] = []
    try:
        root = compose(text)
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        words = getattr(error, "problem", None) or str(error).replace("\n", " ")
        problem = Problem(f"is not YAML: {words}", str(path), mark.line + 1 if mark else None)
        raise _wrong(path, [problem]) from error
    if root is None or root.id != "mapping":
        found = "is empty" if root is None else f"must be a mapping, is {_KINDS[root.id]}"
        raise _wrong(path, [Problem(found, str(path), 1, "it begins with `aiops: 1`")])
    written: dict[tuple[str, ...], _Written] = {}
    problems += _repeated(root, (), written, str(path))
    try:
        read = _File.model_validate(document)
    except ValidationError as error:
        problems += [_problem(detail, written, str(path)) for detail in error.errors(include_url=False)]
        raise _wrong(path, problems) from error
    for group in read.groups if groups is not None else ():
        if group not in (groups or ()):
            hint = _nearest(group, groups or (), "the groups are")
            line = written[("groups", group)].line
            problems.append(Problem(f"there is no group `{group}`", str(path), line, hint))
    if problems:
        raise _wrong(path, problems)
    return Normals(path.name, {group: normal.traits() for group, normal in read.groups.items()})


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(frozen=True, slots=True)
class _Written:
    """Where a key stands, and the text of a plain value as it was written."""

    line: int
    text: str = ""


def _repeated(node: Any, path: _Path, written: dict[_Path, _Written], file: str) -> Iterator[Problem]:
    """Note what is written where; tell of keys that are written twice, of which only the last would count."""
    for key, value in node.value if node.id == "mapping" and len(path) < _DEPTH else ():
        place = (*path, str(key.value))
        line = key.start_mark.line + 1
        if place in written:
            yield Problem(f"`{_words(place)}` is written twice, first in line {written[place].line}", file, line)
        written[place] = _Written(line, value.value if value.id == "scalar" else "")
        yield from _repeated(value, place, written, file)


def _problem(detail: Mapping[str, Any], written: Mapping[_Path, _Written], file: str) -> Problem:
    path = tuple(str(part) for part in detail["loc"])
    known = next((path[:count] for count in range(len(path), 0, -1) if path[:count] in written), ())
    there = written.get(known, _Written(1))
    where = _words(known)
    if detail["type"] == "extra_forbidden":
        hint = _nearest(path[-1], _fields(path[:-1]), "known are")
        return Problem(f"unknown key `{where}`", file, there.line, hint)
    if detail["type"] == "missing":
        return Problem(f"`{_words(path)}` is missing", file, 1, "it begins with `aiops: 1`")
    words = str(detail["msg"]).partition("should ")[2].replace("be a valid", "be a") or str(detail["msg"])
    words = words.replace("a integer", "an integer").replace("dictionary", "mapping")
    if detail["type"] == "model_type":
        words = f"be a mapping of {', '.join(_fields(path))}"
    shown = f", not `{there.text}`" if there.text else ""
    quote = detail["type"] == "string_type" and there.text
    return Problem(f"`{where}` must {words}{shown}", file, there.line, f'quote it: "{there.text}"' if quote else None)


def _fields(path: _Path) -> tuple[str, ...]:
    """The keys that are known below `path`."""
    kind: Any = _File
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[part].annotation if part in kind.model_fields else None
        else:  # a mapping by a name of the user's
            kind = get_args(kind)[1] if get_args(kind) else None
    return tuple(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else ()


def _words(path: _Path) -> str:
    """`gpu.count of the group h100`."""
    if path[:1] == ("groups",) and len(path) > 2:  # noqa: PLR2004 - the word, a group, and what is in it
        return f"{'.'.join(path[2:])}` of the group `{path[1]}"
    return ".".join(path)


def _nearest(word: str, known: Collection[str], all_words: str) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else f"{all_words} {', '.join(sorted(known))}"


def _wrong(path: Path, problems: list[Problem]) -> InputError:
    return InputError(
        f"{path.name} is wrong in {len(problems)} {'place' if len(problems) == 1 else 'places'}",
        code="health.normals_wrong",
        hints=["docs/reference/health.yml shows all it may say", "`aiops health learn` writes it anew"],
        problems=problems,
    )
