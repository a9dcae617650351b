"""Control groups: every process of a host is in its group, so a host can be killed, frozen and counted as a whole.

The unified hierarchy is used for membership, freezing and killing, both where it is the only one (cgroup v2) and
where it stands beside v1 controllers (hybrid). nspawn's supervisor can die before its host does: only the group
knows who is left.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import FailedError, InputError

JOINED = ("name=systemd", "memory", "pids", "freezer")
"""v1 hierarchies in which hosts must not share a group: systemd's own, and those that count or stop processes."""


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where the hierarchies are mounted.

    Attributes:
        unified: The cgroup2 mount.
        legacy: v1 mounts by controller, those of `JOINED` that exist.
    """

    unified: Path
    legacy: dict[str, Path]

    @property
    def roots(self) -> tuple[Path, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((self.unified, *self.legacy.values())))


def hierarchies(mountinfo: str) -> Hierarchies:
    """Read them from the text of /proc/self/mountinfo. Pure.

    Raises:
        InputError: There is no unified hierarchy.
    """
    unified: Path | None = None
    legacy: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point, kind, *rest = (before.split()[4], *after.split())
        if kind == "cgroup2":
            unified = unified or Path(point)
        elif kind == "cgroup":
            for option in rest[-1].split(","):
                if option in JOINED:
                    legacy.setdefault(option, Path(point))
    if unified is None:
        raise InputError(
            "the lab needs the unified control group hierarchy (cgroup2), which this machine has not mounted",
            code="lab.no_cgroup2",
            hints=["mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"],
        )
    return Hierarchies(unified, legacy)


def machine_hierarchies() -> Hierarchies:
    """Those of this machine."""
    return hierarchies(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace"))


class Group:
    """One group, of the same name in every hierarchy."""

    def __init__(self, where: Hierarchies, name: str) -> None:
        self._where = where
        self.folders = tuple(root / name for root in where.roots)
        self._unified = where.unified / name
        self._memory = where.legacy.get("memory", where.unified) / name

    def make(self) -> None:
        """Make it; one that is there already is taken as it is."""
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def entrances(self) -> tuple[str, ...]:
        """Files to which a process writes its id to be in the group."""
        return tuple(str(folder / "cgroup.procs") for folder in self.folders)

    @property
    def populated(self) -> bool:
        """Whether any process, in the group or below it, is alive."""
        return "populated 1" in _read(self._unified / "cgroup.events")

    @property
    def frozen(self) -> bool:
        """Whether all of its processes stand still."""
        return "frozen 1" in _read(self._unified / "cgroup.events")

    def processes(self) -> tuple[int, ...]:
        """The ids of all processes in it and below it."""
        found: list[int] = []
        for folder, _, _ in os.walk(self._unified):
            found.extend(int(word) for word in _read(Path(folder) / "cgroup.procs").split())
        return tuple(found)

    @property
    def memory_mib(self) -> int | None:
        """Memory charged to it, page cache included; None where nothing counts it."""
        text = _read(self._memory / "memory.usage_in_bytes") or _read(self._memory / "memory.current")
        return int(text) // (1024 * 1024) if text.strip() else None

    def limit_memory(self, mib: int) -> None:
        """Let the group and all below it together have at most `mib` MiB.

        Raises:
            FailedError: Nothing on this machine limits memory.
        """
        for name in ("memory.limit_in_bytes", "memory.max"):
            path = self._memory / name
            if path.exists():
                path.write_text(str(mib * 1024 * 1024), encoding="ascii")
                return
        raise FailedError("this machine cannot limit a lab's memory: no memory controller", code="lab.no_memory_limit")

    def freeze(self, frozen: bool, *, seconds: float = 10.0) -> None:
        """Stop (or let go on) every process in it, and wait until that is so.

        Raises:
            FailedError: Some process did not follow within `seconds`.
        """
        (self._unified / "cgroup.freeze").write_text("1" if frozen else "0", encoding="ascii")
        self._wait(lambda: self.frozen == frozen, seconds, "freeze" if frozen else "thaw")

    def kill(self, *, seconds: float = 20.0) -> None:
        """Kill every process in it at one blow and wait until the last is gone; nothing is asked or warned.

        Raises:
            FailedError: Some process outlived it by `seconds`.
        """
        if not self._unified.exists():
            return
        with contextlib.suppress(FileNotFoundError):
            (self._unified / "cgroup.kill").write_text("1", encoding="ascii")
            (self._unified / "cgroup.freeze").write_text("0", encoding="ascii")
        self._wait(lambda: not self.populated, seconds, "kill")

    def signal_supervisor(self, number: int) -> None:
        """Send a signal to nspawn itself: on SIGTERM it asks the host's systemd to shut down."""
        for word in _read(self._unified / "supervisor/cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(word), number)

    def remove(self, *, seconds: float = 10.0) -> None:
        """Remove the empty group and all below it, in every hierarchy.

        Raises:
            FailedError: A process is still in it after `seconds`.
        """

        def removed() -> bool:
            left = [folder for folder in self.folders if not _remove_tree(folder)]
            return not left

        self._wait(removed, seconds, "remove")

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise FailedError(
                    f"could not {what} the processes of {self._unified} within {seconds:g} s: {self.processes()}",
                    code="lab.stuck_processes",
                    hints=["a process in uninterruptible sleep waits for a disk or the kernel; see `ps -o pid,wchan`"],
                )
            time.sleep(0.01)


def remove_parent(where: Hierarchies, name: str) -> None:
    """Remove the group that holds all labs once the last lab has left it."""
    for root in where.roots:
        with contextlib.suppress(OSError):
            (root / name).rmdir()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _remove_tree(folder: Path) -> bool:
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            Path(path).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
