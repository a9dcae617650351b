"""What a node is asked to judge its resources, and the pure reading of its answers.

Everything that all phases want of a node is asked in one round trip. What could not be read is unknown, with the
reason; it is never taken for right.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType

from aiops.layers.l0_nodes.ask import Answer, Ask, Record

from .remote.content import THOROUGH
from .remote.files import RESTARTS
from .resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, Tree, User
from .script import script
from .unit import unit_name

REBOOT_MARKER = "/run/aiops/reboot-needed"
"""Written before a change that needs a reboot; the reboot itself takes it away, for /run does not outlast one."""

PACKAGES = "desired.packages"
STAT = "desired.stat"
DIGESTS = "desired.digests"
TREE = "desired.tree"
"""Followed by the folder: one ask for each tree."""
UNITS = "desired.units"
SYSCTLS = "desired.sysctls"
MOUNTS = "desired.mounts"
PASSWD = "desired.passwd"  # noqa: S105 - the name of an ask
GROUP = "desired.group"

_ESCAPE = re.compile(r"\\(.)")
_LETTERS = {"n": "\n", "r": "\r"}
_TIMEOUT = 30.0
_BYTES = 1_048_576
_TREE_BYTES = 8 * _BYTES
_SLOW_DISK = 50_000_000
"""Bytes per second at which a node can surely read and hash files."""
_UNIT_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "Type",
    "Result",
    "RemainAfterExit",
    "NeedDaemonReload",
)
_STAT_FIELDS = 4
_PASSWD_FIELDS = 7
_GROUP_FIELDS = 3
_TYPE_MASK = 0o170000
_KINDS = {0o040000: "folder", 0o100000: "file", 0o120000: "link"}


@dataclass(frozen=True, slots=True)
class PackageState:
    """An installed package."""

    version: str
    held: bool


@dataclass(frozen=True, slots=True)
class FileState:
    """Something that is at a path.

    Attributes:
        kind: `file`, `folder`, `link` or `other`.
        digest: SHA-256 in hex, of a file that could be read.
    """

    kind: str
    mode: str
    owner: str
    group: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class UnitState:
    """A systemd unit, in systemd's words."""

    load: str
    active: str
    file: str
    kind: str = ""
    result: str = ""
    remains: bool = False
    stale: bool = False

    @property
    def enabled(self) -> bool:
        """Whether it comes by itself at boot; units that cannot be enabled count."""
        return self.file in {"enabled", "static", "generated", "indirect", "alias", "linked", "transient"}

    @property
    def running(self) -> bool:
        """Whether it runs; one that only does its work and ends counts when that went well."""
        if self.kind == "oneshot" and not self.remains:
            return self.active in {"active", "inactive"} and self.result == "success"
        return self.active in {"active", "reloading"}


@dataclass(frozen=True, slots=True)
class MountState:
    """What is mounted at a path: the topmost one."""

    source: str
    kind: str
    options: str


@dataclass(frozen=True, slots=True)
class Account:
    """A line of the user database, with the name of its group (None where the number has no name)."""

    uid: int
    gid: int
    home: str
    shell: str
    group: str | None


@dataclass(frozen=True, slots=True)
class Observation:
    """What is on a node, as far as it was asked; what is not there is in no map.

    Attributes:
        trees: By folder, the digest of each file under it; `""` for what is neither a file nor a folder.
        unknown: Reason by ask, for what could not be read.
    """

    packages: Mapping[str, PackageState] = field(default_factory=dict)
    files: Mapping[str, FileState] = field(default_factory=dict)
    trees: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    units: Mapping[str, UnitState] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, MountState] = field(default_factory=dict)
    users: Mapping[str, Account] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    @property
    def reboot_needed(self) -> bool:
        """Whether an earlier change waits for a reboot."""
        return REBOOT_MARKER in self.files

    def restart_due(self, unit: str) -> bool:
        """Whether a file of this unit was changed and the unit was not restarted since."""
        return restart_marker(unit) in self.files


def restart_marker(unit: str) -> str:
    """Written before a file of `unit` changes, removed when it was restarted."""
    return f"{RESTARTS}/{unit}"


def asks_for(resources: Iterable[Resource], *, thorough: bool = False) -> tuple[Ask, ...]:
    """What is to be asked to judge `resources`, each thing once.

    Args:
        resources: What is wanted.
        thorough: Whether every byte of a tree is read, also of files whose size and time of change are as they were
            when the tree was filled.
    """
    wanted = list(resources)
    packages = _names(one.name for one in wanted if isinstance(one, Package))
    paths = _names(one.path for one in wanted if isinstance(one, File))
    contents = _names(one.path for one in wanted if isinstance(one, File) and one.content is not None)
    units = _names(unit_name(one.name) for one in wanted if isinstance(one, Service))
    sysctls = _names(sysctl_file(one.name) for one in wanted if isinstance(one, Sysctl))
    users = [one for one in wanted if isinstance(one, User)]
    asks: list[Ask] = []
    if packages:
        layout = "--showformat=${Package}\\t${Version}\\t${db:Status-Abbrev}\\n"
        asks.append(_ask(PACKAGES, ("dpkg-query", "--show", layout, "--", *packages)))
    restarted = {unit_name(name) for one in wanted if isinstance(one, File) for name in one.restarts}
    paths = (*paths, *_names(restart_marker(unit) for unit in restarted.union(units)))
    if any(isinstance(one, Reboot) for one in wanted):
        paths = (*paths, REBOOT_MARKER)
    if paths:
        asks.append(_ask(STAT, ("stat", "--printf=%f\\t%U\\t%G\\t%n\\n", "--", *paths)))
    if contents:
        asks.append(_ask(DIGESTS, ("sha256sum", "--", *contents)))
    asks += [_tree_ask(one, thorough=thorough) for one in wanted if isinstance(one, Tree)]
    if units:
        asks.append(_ask(UNITS, ("systemctl", "show", f"--property={','.join(_UNIT_PROPERTIES)}", "--", *units)))
    if sysctls:
        asks.append(Ask(SYSCTLS, paths=sysctls, timeout=_TIMEOUT))
    if any(isinstance(one, Mount) for one in wanted):
        asks.append(Ask(MOUNTS, paths=("/proc/self/mountinfo",), timeout=_TIMEOUT, max_bytes=_BYTES))
    if users:
        asks.append(_ask(PASSWD, ("getent", "passwd", "--", *_names(user.name for user in users))))
        asks.append(_ask(GROUP, ("getent", "group", "--", *_names(user.group for user in users))))
    return tuple(asks)


def read_observation(record: Record, resources: Iterable[Resource]) -> Observation:
    """The answers of `record` to `asks_for(resources)`, read."""
    asked = {ask.name: ask for ask in asks_for(resources)}
    unknown: dict[str, str] = {}

    def text(name: str) -> str:
        if name not in asked:
            return ""
        answer = record.answer(name)
        reason = _trouble(answer)
        if reason:
            unknown[name] = reason
            return ""
        return answer.stdout

    units = asked[UNITS].argv[4:] if UNITS in asked else ()
    files = parse_stat(text(STAT))
    digests = parse_digests(text(DIGESTS))
    groups = parse_groups(text(GROUP))
    states = parse_units(text(UNITS), units)
    if units and UNITS not in unknown and len(states) != len(units):
        unknown[UNITS] = f"systemctl told of {len(states)} of {len(units)} units"
    mounts: Mapping[str, MountState] = {}
    if MOUNTS in asked:
        answer = record.answer(MOUNTS)
        content = answer.files.get("/proc/self/mountinfo")
        if content is None:
            unknown[MOUNTS] = _missing(answer)
        else:
            mounts = parse_mounts(content)
    sysctls: Mapping[str, str] = {}
    if SYSCTLS in asked:
        found = record.answer(SYSCTLS).files
        sysctls = {path: " ".join(value.split()) for path, value in found.items()}
    trees = {name.removeprefix(f"{TREE}:"): text(name) for name in asked if name.startswith(f"{TREE}:")}
    return Observation(
        packages=parse_packages(text(PACKAGES)),
        files={
            path: FileState(state.kind, state.mode, state.owner, state.group, digests.get(path))
            for path, state in files.items()
        },
        trees={path: parse_tree(path, found) for path, found in trees.items()},
        units=states,
        sysctls=sysctls,
        mounts=mounts,
        users=parse_accounts(text(PASSWD), {number: name for name, number in groups.items()}),
        groups=groups,
        unknown=MappingProxyType(unknown),
    )


def parse_packages(text: str) -> dict[str, PackageState]:
    """dpkg-query's lines `name TAB version TAB abbreviated status`; only what is wholly installed counts."""
    packages = {}
    for line in text.splitlines():
        name, _, rest = line.partition("\t")
        version, _, status = rest.partition("\t")
        if name and version and status[1:2] == "i":
            packages[name] = PackageState(version, held=status.startswith("h"))
    return packages


def parse_stat(text: str) -> dict[str, FileState]:
    """Lines `raw mode in hex TAB owner TAB group TAB path`."""
    states = {}
    for line in text.splitlines():
        parts = line.split("\t", _STAT_FIELDS - 1)
        if len(parts) != _STAT_FIELDS:
            continue
        raw, owner, group, path = parts
        try:
            mode = int(raw, 16)
        except ValueError:
            continue
        kind = _KINDS.get(mode & _TYPE_MASK, "other")
        states[path] = FileState(kind, f"{mode & 0o7777:04o}", owner, group)
    return states


def parse_digests(text: str) -> dict[str, str]:
    """sha256sum's lines `digest, two spaces, path`; a leading backslash marks an escaped path."""
    digests = {}
    for line in text.splitlines():
        escaped = line.startswith("\\")
        digest, _, path = line.removeprefix("\\").partition("  ")
        if len(digest) == 64 and path:  # noqa: PLR2004 - hex digits of a SHA-256
            digests[_ESCAPE.sub(_unescaped, path) if escaped else path] = digest
    return digests


def parse_tree(path: str, text: str) -> dict[str, str]:
    """The digests of the files under `path` by their path in it; what is no file has none."""
    others = [line[1:] for line in text.splitlines() if line.startswith("!")]
    found = parse_digests(text) | dict.fromkeys(others, "")
    return {one.removeprefix(f"{path}/"): digest for one, digest in found.items()}


def parse_units(text: str, units: Iterable[str]) -> dict[str, UnitState]:
    """Blocks of `Property=value`, one per unit, in the order they were asked, apart by empty lines."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    states = {}
    for unit, block in zip(units, blocks, strict=False):
        values = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        states[unit] = UnitState(
            load=values.get("LoadState", ""),
            active=values.get("ActiveState", ""),
            file=values.get("UnitFileState", ""),
            kind=values.get("Type", ""),
            result=values.get("Result", ""),
            remains=values.get("RemainAfterExit") == "yes",
            stale=values.get("NeedDaemonReload") == "yes",
        )
    return states


def parse_mounts(text: str) -> dict[str, MountState]:
    """/proc/self/mountinfo; where several are at one path, the last is on top."""
    mounts = {}
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        before, after = left.split(" "), right.split(" ")
        if separator and len(before) >= 6 and len(after) >= 2:  # noqa: PLR2004 - the format's fixed fields
            mounts[_octal(before[4])] = MountState(_octal(after[1]), after[0], before[5])
    return mounts


def parse_accounts(text: str, groups: Mapping[int, str]) -> dict[str, Account]:
    """Lines of passwd."""
    accounts = {}
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) == _PASSWD_FIELDS and parts[2].isdecimal() and parts[3].isdecimal():
            name, _, uid, gid, _, home, shell = parts
            accounts[name] = Account(int(uid), int(gid), home, shell, groups.get(int(gid)))
    return accounts


def parse_groups(text: str) -> dict[str, int]:
    """Lines of group."""
    groups = {}
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) > _GROUP_FIELDS - 1 and parts[2].isdecimal():
            groups[parts[0]] = int(parts[2])
    return groups


def sysctl_file(name: str) -> str:
    """`net.core.rmem_max` -> `/proc/sys/net/core/rmem_max`; a name with `/` has its dots as they are."""
    swapped = name if "/" in name else name.replace(".", "/")
    return str(PurePosixPath("/proc/sys") / swapped.lstrip("/"))


def _unescaped(found: "re.Match[str]") -> str:
    return _LETTERS.get(found[1], found[1])


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _ask(name: str, argv: tuple[str, ...]) -> Ask:
    return Ask(name, argv, timeout=_TIMEOUT, max_bytes=_BYTES)


def _tree_ask(tree: Tree, *, thorough: bool) -> Ask:
    """Everything under a folder: files with their digest, other things (a link, say) with a `!` before their path.

    What a thorough look asks for holds what another one does, so that it stands for it.
    """
    program = script("content", "main(sys.argv[1:])")
    return Ask(
        f"{TREE}:{tree.path}",
        ("python3", "-I", "-S", "-c", program, tree.path, *([THOROUGH] if thorough else [])),
        timeout=_TIMEOUT + tree.bytes / _SLOW_DISK,
        max_bytes=_TREE_BYTES,
    )


def _trouble(answer: Answer) -> str | None:
    """Why an answer cannot be trusted, or None. A status above 0 only says that something asked for is not there."""
    if answer.timed_out:
        return "did not answer in time"
    if answer.truncated:
        return "the answer was too long"
    if answer.exit_status is None:
        return _missing(answer)
    return None


def _missing(answer: Answer) -> str:
    return next(iter(answer.missing.values()), "no answer")


def _octal(text: str) -> str:
    """Undo mountinfo's octal escapes of space, tab, newline and backslash."""
    parts = text.split("\\")
    return parts[0] + "".join(_letter(part) for part in parts[1:])


def _letter(part: str) -> str:
    digits = part[:3]
    return chr(int(digits, 8)) + part[3:] if len(digits) == 3 and set(digits) <= set("01234567") else f"\\{part}"  # noqa: PLR2004
