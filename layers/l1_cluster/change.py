"""Changes: what stands between what a phase wants of a node and what is there."""

import hashlib
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from .observation import (
    DIGESTS,
    GROUP,
    MOUNTS,
    PACKAGES,
    PASSWD,
    STAT,
    TREE,
    UNITS,
    Account,
    FileState,
    Observation,
    UnitState,
    sysctl_file,
)
from .resource import File, Mount, Package, Reboot, Resource, Service, Sysctl, Tree, User
from .unit import unit_name

_ASKS = {
    Package: (PACKAGES,),
    File: (STAT, DIGESTS),
    Tree: (),
    Service: (UNITS, STAT),
    Sysctl: (),
    Mount: (MOUNTS,),
    User: (PASSWD, GROUP),
    Reboot: (STAT,),
}

_LIGHT = {"read", "restart", "hold", "release"}
"""What leaves what is installed as it is, so that no reboot is needed for it."""

_PAST = {
    "install": "installed",
    "replace": "brought to",
    "remove": "removed",
    "hold": "held",
    "release": "released",
    "add": "added",
    "alter": "brought to",
    "create": "created",
    "write": "written",
    "permit": "set to",
    "delete": "deleted",
    "set": "set to",
    "mount": "mounted",
    "enable": "enabled",
    "start": "started",
    "restart": "restarted",
    "reload": "reloaded",
    "disable": "disabled",
    "stop": "stopped",
    "read": "readable now",
}


NO_UNIT = "no such unit"
"""What is found of a service that systemd does not know."""


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that is not as it should be.

    Attributes:
        key: The resource's.
        action: What is done about it: a verb (`install`, `upgrade`, `write`, `start` ...), or `read` where it could
            not be told how it is.
        expected: What it should be, in a few words; never a secret.
        found: What it is.
    """

    key: str
    action: str
    expected: str
    found: str

    @property
    def subject(self) -> str:
        """The resource's name without its kind."""
        return self.key.partition(":")[2]

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"key": self.key, "action": self.action, "expected": self.expected, "found": self.found}

    def __str__(self) -> str:
        if self.action == "read":
            return f"{self.key} could not be read: {self.found}"
        return f"{self.key} is {self.found}, not {self.expected}"

    @property
    def done(self) -> str:
        """That it was made: `file:/etc/aiops/apt was absent, created`."""
        if self.action == "reboot":
            return f"rebooted: {self.expected}"
        past = _PAST[self.action]
        return f"{self.key} was {self.found}, {past}{f' {self.expected}' if past.endswith(' to') else ''}"


def difference(resources: Iterable[Resource], seen: Observation) -> tuple[Change, ...]:
    """What has to change so that `seen` becomes `resources`; in the order of the resources. Pure."""
    changes: list[Change] = []
    wanted = list(resources)
    served = {unit_name(one.name) for one in wanted if isinstance(one, Service)}
    for resource in wanted:
        unread = next((seen.unknown[ask] for ask in _ASKS[type(resource)] if ask in seen.unknown), None)
        if unread is not None:
            changes.append(Change(resource.key, "read", "to be read", unread))
        elif not isinstance(resource, Reboot) and (change := _change(resource, seen)) is not None:
            changes.append(change)
        elif isinstance(resource, File) and (unit := _unserved(resource, served, seen)) is not None:
            served.add(unit)  # told once
            changes.append(Change(resource.key, "restart", f"what {unit} runs with", "newer"))
    changed = {change.key for change in changes if change.action not in _LIGHT}
    for resource in wanted:
        if not isinstance(resource, Reboot):
            continue
        causes = {*resource.when_changed, *(one.key for one in wanted if isinstance(one, File) and one.reboots)}
        if seen.reboot_needed or any(fnmatchcase(key, cause) for key in changed for cause in causes):
            changes.append(Change(resource.key, "reboot", resource.reason, "not rebooted since"))
    return tuple(changes)


def _change(resource: Resource, seen: Observation) -> Change | None:  # noqa: PLR0911 - one kind, one return
    match resource:
        case Package():
            return _package(resource, seen)
        case File():
            return _file(resource, seen.files.get(resource.path))
        case Tree():
            return _tree(resource, seen)
        case Service():
            unit = unit_name(resource.name)
            return _service(resource, seen.units.get(unit), restart=seen.restart_due(unit))
        case Sysctl():
            found = seen.sysctls.get(sysctl_file(resource.name))
            if found == resource.value:
                return None
            return Change(resource.key, "set", resource.value, "no such setting" if found is None else found)
        case Mount():
            return _mount(resource, seen)
        case User():
            return _user(resource, seen)
    return None


def _package(wanted: Package, seen: Observation) -> Change | None:
    state = seen.packages.get(wanted.name)
    if wanted.absent:
        return None if state is None else Change(wanted.key, "remove", "absent", state.version)
    version = wanted.version or "installed"
    if state is None:
        return Change(wanted.key, "install", version, "absent")
    if wanted.version is not None and not fnmatchcase(state.version, wanted.version):
        return Change(wanted.key, "replace", wanted.version, state.version)
    if wanted.held != state.held:
        words = {True: "held", False: "not held"}
        return Change(wanted.key, "hold" if wanted.held else "release", words[wanted.held], words[state.held])
    return None


def _file(wanted: File, state: FileState | None) -> Change | None:
    if wanted.absent:
        return None if state is None else Change(wanted.key, "delete", "absent", state.kind)
    kind = "folder" if wanted.folder else "file"
    if state is None:
        return Change(wanted.key, "create", kind, "absent")
    if state.kind != kind:
        return Change(wanted.key, "write", kind, state.kind)
    if wanted.content is not None:
        digest = hashlib.sha256(wanted.content).hexdigest()
        if state.digest != digest:
            found = f"sha256 {state.digest[:12]}" if state.digest else "unreadable"
            return Change(wanted.key, "write", f"sha256 {digest[:12]}", found)
    expected, found = (f"{one.mode} {one.owner}:{one.group}" for one in (wanted, state))
    return None if expected == found else Change(wanted.key, "permit", expected, found)


def _tree(wanted: Tree, seen: Observation) -> Change | None:
    unread = seen.unknown.get(f"{TREE}:{wanted.path}")
    if unread is not None:
        return Change(wanted.key, "read", "to be read", unread)
    found = seen.trees.get(wanted.path, {})
    if found == wanted.digests:
        return None
    expected = f"{len(wanted.digests)} files"
    if not found:
        return Change(wanted.key, "create", expected, "absent")
    wrong = {
        "missing": sorted(wanted.digests.keys() - found.keys()),
        "changed": sorted(path for path in wanted.digests.keys() & found.keys() if found[path] != wanted.digests[path]),
        "not ours": sorted(found.keys() - wanted.digests.keys()),
    }
    words = [
        f"{len(paths)} {word} ({paths[0]}{', ...' if len(paths) > 1 else ''})" for word, paths in wrong.items() if paths
    ]
    return Change(wanted.key, "write", expected, f"with {', '.join(words)}")


def _unserved(file: File, served: AbstractSet[str], seen: Observation) -> str | None:
    """The first unit that still runs with an older version of `file` and that no service of the phase tells of."""
    units = (unit_name(name) for name in file.restarts)
    return next((unit for unit in units if unit not in served and seen.restart_due(unit)), None)


def _service(  # noqa: PLR0911 - the worst difference first
    wanted: Service, state: UnitState | None, *, restart: bool
) -> Change | None:
    if wanted.running and restart:  # this starts it too
        return Change(
            wanted.key, "restart", "restarted since a file of its changed", state.active if state else "absent"
        )
    if state is None or state.load in {"not-found", ""}:
        if not (wanted.enabled or wanted.running):
            return None
        return Change(wanted.key, "start" if wanted.running else "enable", _service_words(wanted), NO_UNIT)
    found = f"{state.file or 'no unit file'}, {state.active}"
    expected = _service_words(wanted)
    runs = state.running if wanted.running else state.active in {"active", "activating", "reloading", "deactivating"}
    if wanted.running and not runs:
        return Change(wanted.key, "start", expected, found)
    if not wanted.running and runs:
        return Change(wanted.key, "stop", expected, found)
    if wanted.enabled and not state.enabled:
        return Change(wanted.key, "enable", expected, found)
    if not wanted.enabled and state.file in {"enabled", "enabled-runtime"}:
        return Change(wanted.key, "disable", expected, found)
    if state.stale:
        return Change(wanted.key, "reload", expected, f"{found}, with an older unit file")
    return None


def _service_words(wanted: Service) -> str:
    return f"{'enabled' if wanted.enabled else 'disabled'}, {'active' if wanted.running else 'inactive'}"


def _mount(wanted: Mount, seen: Observation) -> Change | None:
    state = seen.mounts.get(wanted.path)
    expected = f"{wanted.source} ({wanted.kind})"
    if state is None:
        return Change(wanted.key, "mount", expected, "nothing mounted")
    if wanted.kind != "bind" and state.kind.rstrip("4") != wanted.kind.rstrip("4"):
        return Change(wanted.key, "mount", expected, f"{state.source} ({state.kind})")
    if wanted.kind.startswith("nfs") and state.source != wanted.source:
        return Change(wanted.key, "mount", expected, f"{state.source} ({state.kind})")
    if "ro" in state.options.split(",") and "ro" not in wanted.options.split(","):
        return Change(wanted.key, "mount", f"{expected}, writable", "read-only")
    return None


def _user(wanted: User, seen: Observation) -> Change | None:
    account = seen.users.get(wanted.name)
    expected = f"{wanted.uid}:{wanted.gid} {wanted.group} {wanted.home} {wanted.shell}"
    if account is None:
        return Change(wanted.key, "add", expected, "absent")
    found = f"{account.uid}:{account.gid} {_group(account)} {account.home} {account.shell}"
    if seen.groups.get(wanted.group) != wanted.gid:
        found = f"{found} (group {wanted.group}: {seen.groups.get(wanted.group, 'absent')})"
    return None if found == expected else Change(wanted.key, "alter", expected, found)


def _group(account: Account) -> str:
    return account.group or "?"
