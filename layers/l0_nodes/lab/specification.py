"""What lab is wanted, and whether it makes sense."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import InputError

from .recipe import DEFAULT_RELEASE, RELEASES
from .subnet import FIRST_HOST, LAST_HOST

MOST_HOSTS = LAST_HOST - FIRST_HOST + 1
_GROUP = re.compile(r"[a-z][a-z0-9]{0,15}")
_RESERVED = frozenset({"all", "ungrouped", "head", "workers", "storage", "login"})


@dataclass(frozen=True, slots=True)
class Simulated:
    """The accelerators of a lab's worker."""

    vendor: str
    count: int
    model: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerGroup:
    """Workers that are alike: a group of their own in the inventory.

    Attributes:
        accelerator: What each has on its bus, or None.
        release: The operating system, one of `RELEASES`; None for the head's.
    """

    name: str
    nodes: int
    accelerator: Simulated | None = None
    release: str | None = None


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What lab is wanted.

    Attributes:
        nodes: Workers that are all alike; the head comes on top. Not counted where there are groups.
        accelerator: What each worker has on its bus, or None.
        driver: Version of the vendor's driver that workers with accelerators come with; None for bare hosts.
        disk_mib: Size of each host's own disk. The file is sparse.
        memory_mib: Limit for the whole lab together, or None.
        release: The operating system of the head, and of the workers unless their group says otherwise.
        groups: Workers that differ, in the place of `nodes` and `accelerator`.
        binds: Folders of this machine that every host sees, read-only: (here, there).
    """

    name: str = "lab"
    nodes: int = 2
    accelerator: Simulated | None = None
    driver: str | None = None
    disk_mib: int = 8192
    memory_mib: int | None = None
    release: str = DEFAULT_RELEASE
    groups: tuple[WorkerGroup, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """How many hosts, the head included."""
        return 1 + (sum(group.nodes for group in self.groups) if self.groups else self.nodes)

    @property
    def accelerators(self) -> tuple[Simulated, ...]:
        """The different accelerators in it."""
        wanted = [group.accelerator for group in self.groups] if self.groups else [self.accelerator]
        return tuple(dict.fromkeys(one for one in wanted if one is not None))

    @property
    def releases(self) -> tuple[str, ...]:
        """The different operating systems in it, the head's first."""
        return tuple(dict.fromkeys([self.release, *(group.release or self.release for group in self.groups)]))

    def workers(self) -> Iterator[tuple[str, WorkerGroup]]:
        """Each worker's name and group; without groups it is one that has no name."""
        if not self.groups:
            alike = WorkerGroup("", self.nodes, self.accelerator, self.release)
            stem = "gpu" if self.accelerator else "node"
            yield from ((name, alike) for name in _numbered(stem, self.nodes))
        for group in self.groups:
            stem = f"{group.name}-" if group.name[-1].isdigit() else group.name
            yield from ((name, group) for name in _numbered(stem, group.nodes))


def require_sense(spec: LabSpec, folder: Path) -> None:
    """Refuse a lab that makes no sense, or whose `folder` cannot be mounted from.

    Raises:
        InputError: What is wrong (`lab.bad_specification`).
    """
    wrong = _wrong_groups(spec) or _wrong_binds(spec)
    if not spec.name.isascii() or not spec.name.replace("-", "").isalnum() or not spec.name[0].isalpha():
        wrong = f"`{spec.name}` is no name for a lab: use letters, digits and dashes, a letter first"
    elif spec.name != spec.name.lower() or len(spec.name) > 40:  # noqa: PLR2004
        wrong = f"`{spec.name}` is no name for a lab: use at most 40 lower-case letters, digits and dashes"
    elif not 1 <= spec.size <= MOST_HOSTS or any(group.nodes < 0 for group in spec.groups):
        wrong = f"a lab has 0 to {MOST_HOSTS - 1} nodes beside its head, not {spec.size - 1}"
    elif spec.disk_mib < 256:  # noqa: PLR2004
        wrong = f"a host's disk needs at least 256 MiB, not {spec.disk_mib}"
    elif any(not 1 <= one.count <= 16 for one in spec.accelerators):  # noqa: PLR2004
        wrong = f"a host has 1 to 16 accelerators, not {', '.join(str(one.count) for one in spec.accelerators)}"
    elif spec.driver and not spec.accelerators:
        wrong = "a driver without accelerators: add `--accelerator nvidia:8`"
    elif unknown := [release for release in spec.releases if release not in RELEASES]:
        wrong = f"hosts of a lab cannot run `{unknown[0]}`, only {' or '.join(RELEASES)}"
    elif any(letter in str(folder) for letter in ',:\\" \t\n'):
        wrong = f"the lab's folder `{folder}` has a character that mount options cannot carry: set another AIOPS_HOME"
    if wrong:
        raise InputError(wrong, code="lab.bad_specification")


def _wrong_groups(spec: LabSpec) -> str | None:
    hosts = {"head", *(name for name, _ in spec.workers())}
    twice = [name for name, count in Counter(group.name for group in spec.groups).items() if count > 1]
    for group in spec.groups:
        if not _GROUP.fullmatch(group.name) or group.name in _RESERVED:
            return f"`{group.name}` is no name for a group: use lower-case letters and digits, a letter first"
        if group.name in hosts:
            return f"`{group.name}` would be a group and a host"
    return f"there are two groups `{twice[0]}`" if twice else None


def _wrong_binds(spec: LabSpec) -> str | None:
    for text in (text for bind in spec.binds for text in bind):
        if not text.startswith("/") or ":" in text:
            return f"`{text}` cannot be bound: give two absolute paths without a colon"
    gone = [source for source, _ in spec.binds if not Path(source).is_dir()]
    return f"there is no folder `{gone[0]}` to bind" if gone else None


def _numbered(stem: str, count: int) -> Iterator[str]:
    width = max(2, len(str(count)))
    return (f"{stem}{number:0{width}d}" for number in range(1, count + 1))
