"""File systems on a node's own disks: how full they are, and whether they can still be written.

What lives with a server is left to whoever runs that server; what is mounted read-only has the size of its content.
"""

from collections.abc import Iterator
from typing import Literal

from aiops.layers.l1_cluster.disk_layout import spell

from .check import Check, Limits, Sighting, Subject, Threshold
from .mount_question import MOUNT_ASK, VIRTUAL
from .mount_table import LOCAL, Mount, Reply, by_device, read_fstab, read_mounts, read_replies

_GIB = 1024**3
_GROWING_INODES = ("xfs", "btrfs", "zfs", "bcachefs", "f2fs")
"""Kinds that make inodes while there is room: theirs are never scarce before the room is."""
_BY_PROPERTY = ("zfs",)
"""Kinds that are made read-only while mounted, by a property of theirs, and do not turn so after an error."""
_BOOT = "/boot"
_SHUT = {"emergency_ro": "read-only after an error", "shutdown": "shut down after an error"}


def _is_own(mount: Mount, *, container: bool) -> bool:
    """Whether it is a file system of this node, and not a folder of the machine's that a container is shown."""
    if mount.path == "/":
        return mount.kind in LOCAL or mount.kind in VIRTUAL
    return mount.kind in LOCAL and (not container or mount.root == "/" or mount.kind == "btrfs")


def _own(subject: Subject) -> tuple[Mount, ...]:
    container = bool(subject.fact("container"))
    return tuple(one for one in by_device(subject.read(read_mounts)).values() if _is_own(one, container=container))


def _written(subject: Subject) -> Iterator[tuple[Mount, Reply]]:
    """Those that can grow, and what they answered; of one that was not there a moment later nothing is said."""
    replies = subject.read(read_replies)
    for mount in _own(subject):
        reply = replies.get(mount.device)
        if reply is not None and "ro" not in (*mount.options, *mount.own):
            yield mount, reply


def _unanswered(mount: Mount, reply: Reply) -> Sighting | None:
    if reply.silent or reply.failure:
        return Sighting("unknown", f"it does not say: {reply.failure or 'no answer to statfs'}", mount.path)
    return None


def _level(percent: float, left: float, limits: Limits, floor: str) -> Literal["warn", "critical"] | None:
    """The worse limit that is passed, as long as not more than its absolute floor is left."""
    for severity in ("critical", "warn"):
        if percent >= limits[severity] and left < limits[f"{severity}_{floor}"]:
            return severity
    return None


def _used(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for mount, reply in _written(subject):
        silent = _unanswered(mount, reply)
        if silent is not None:
            yield silent
            continue
        taken = reply.total - reply.free
        if taken + reply.available <= 0:
            continue  # a file system without a size
        percent = 100.0 * taken / (taken + reply.available)
        level = _level(percent, reply.available / _GIB, limits, "free")
        if level is None or (level == "warn" and mount.path.startswith(_BOOT)):
            continue
        yield Sighting(
            "warn" if mount.path.startswith(_BOOT) else level,
            f"{percent:.1f} % used, limit {limits[level]:g} %; {spell(reply.available)} free",
            mount.path,
            {"used_percent": round(percent, 1), "free_bytes": reply.available, "type": mount.kind},
        )


def _inodes(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    for mount, reply in _written(subject):
        if mount.kind in _GROWING_INODES:
            continue
        silent = _unanswered(mount, reply)
        if silent is not None:
            yield silent
            continue
        if reply.files <= 0:
            continue  # it does not count them
        percent = 100.0 * (reply.files - reply.files_free) / reply.files
        level = _level(percent, reply.files_free, limits, "free")
        if level is not None:
            yield Sighting(
                level,
                f"{percent:.1f} % of its inodes used, limit {limits[level]:g} %; {reply.files_free} left",
                mount.path,
                {"used_percent": round(percent, 1), "free_inodes": reply.files_free, "type": mount.kind},
            )


def _readonly(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    container = bool(subject.fact("container"))
    wanted = {one.path.rstrip("/") or "/": one.options for one in subject.read(read_fstab)}
    for mount in by_device(subject.read(read_mounts)).values():
        if mount.kind not in LOCAL or mount.kind in _BY_PROPERTY:
            continue
        options = wanted.get(mount.path)
        evidence = {"source": mount.source, "options": ",".join(mount.options), "own": ",".join(mount.own)}
        shut = next((words for word, words in _SHUT.items() if word in mount.own), None)
        if shut is None and "ro" in mount.own and "rw" in mount.options and "ro=fs" not in (options or ()):
            shut = "read-only, though it was mounted to be written: the kernel does that after an error"
        if shut is not None:
            yield Sighting("critical", f"it is {shut}", mount.path, evidence)
        elif "ro" in mount.own and not container and options is not None and not _may_be_read_only(options):
            said = ",".join(options)
            yield Sighting("critical", f"it is read-only, /etc/fstab says `{said}`", mount.path, evidence)


def _may_be_read_only(options: tuple[str, ...]) -> bool:
    return "noauto" in options or any(one == "ro" or one.startswith("ro=") for one in options)


CHECKS = (
    Check(
        id="disk.used",
        title="room on the node's own file systems",
        severity="critical",
        action="none",
        owner="node",
        judges="Warn from 80 % used on, critical from 90 %, unless 100 or 50 GiB are free all the same; what is under"
        " /boot is full only with kernels, so it is warn there, from the second limit on.",
        remedy="See what takes it: `du -xh --max-depth=2 PATH | sort -h | tail`; old kernels go with `apt-get"
        " autoremove --purge`, old journals with `journalctl --vacuum-size=1G`.",
        source="80 and 90 %: the usual pair of cluster health checks (gcm: 80 and 85 %); what must be left is aiops'"
        " own, so that a large disk with plenty of room is well",
        asks=(MOUNT_ASK,),
        judge=_used,
        thresholds=(
            Threshold("warn", 80.0, "%", "gcm's disk usage check", least=1.0, most=100.0),
            Threshold("critical", 90.0, "%", "aiops' own: what df shows as nearly full", least=1.0, most=100.0),
            Threshold("warn_free", 100.0, "GiB", "aiops' own: with that much free it is well"),
            Threshold("critical_free", 50.0, "GiB", "aiops' own: with that much free it is not critical"),
        ),
    ),
    Check(
        id="disk.inodes",
        title="inodes on the node's own file systems",
        severity="critical",
        action="none",
        owner="node",
        judges="Warn from 80 % used on, critical from 90 %, unless 1,000,000 or 100,000 are left all the same; not"
        " where inodes are made while there is room (XFS, btrfs, ZFS).",
        remedy="Find the folder of many small files: `du -x --inodes --max-depth=3 PATH | sort -n | tail`.",
        source="NHC's check_fs_iused; the limits are those of disk.used, what must be left is aiops' own",
        asks=(MOUNT_ASK,),
        judge=_inodes,
        thresholds=(
            Threshold("warn", 80.0, "%", "as for disk.used", least=1.0, most=100.0),
            Threshold("critical", 90.0, "%", "as for disk.used", least=1.0, most=100.0),
            Threshold("warn_free", 1_000_000.0, "inodes", "aiops' own: with so many left it is well"),
            Threshold("critical_free", 100_000.0, "inodes", "aiops' own: with so many left it is not critical"),
        ),
    ),
    Check(
        id="disk.readonly",
        title="file systems that can no longer be written",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when a file system on a disk is read-only though its mount is not, when ext4 says that it"
        " stopped after an error, or when it is read-only and /etc/fstab does not say so.",
        remedy="The kernel's log has the error: `dmesg --level=err | tail`. A reboot checks and repairs the file"
        " system; if it comes again, the disk has to be replaced.",
        source="ext4's errors=remount-ro (since Linux 6.12 the word `emergency_ro`, seen on 6.18); NHC's"
        " check_fs_mount_rw; gpud's `Remounting filesystem read-only`",
        asks=(MOUNT_ASK,),
        judge=_readonly,
    ),
)
