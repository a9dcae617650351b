"""Events of disks and file systems that the kernel's log tells. Whether a disk is worn is for others to say.

What is meant to be pulled out does not count: optical drives, loop devices of users' images, the media that a
management controller shows. One path of several to a disk is not the disk.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from aiops.layers.l0_nodes.ask import Ask, Record

from .check import Check, Limits, Sighting, Subject
from .kernel_log import KERNEL_ASKS
from .kernel_message import WITHIN, KernelMessage, has_log, sighting, within
from .small_files import small_files

DISK_KINDS = "health.disk.kinds"
_REMOVABLE = "/sys/block/*/removable"
_MAPPED = "/sys/block/dm-*/dm/uuid"
_PATHS = "/sys/block/dm-*/slaves/*/dev"
ASKS = (*KERNEL_ASKS, Ask(DISK_KINDS, paths=(_REMOVABLE, _MAPPED, _PATHS), max_bytes=256))

_PASSING = re.compile(r"(fd|sr|loop|nbd|ram|zram)\d")
_PARTITION = re.compile(r"((?:nvme\d+(?:c\d+)?n|mmcblk|md)\d+)p\d+|((?:sd|vd|xvd|hd)[a-z]+)\d+")
_HINTS = frozenset({"DISCARD", "WRITE_ZEROES", "SECURE_ERASE"})  # a disk may refuse them
_MULTIPATH = "mpath-"


@dataclass(frozen=True, slots=True)
class DiskKinds:
    """What is special about some disks, by the kernel's names.

    Attributes:
        removable: Those whose medium can be taken out.
        paths: Those that are one of several ways to a disk.
    """

    removable: frozenset[str]
    paths: frozenset[str]


def read_disk_kinds(record: Record) -> DiskKinds:
    """Which disks are special.

    Raises:
        UnreadableError: It was not answered.
    """
    removable, mapped, slaves = set(), set(), []
    for path, content in small_files(record.answer(DISK_KINDS)).items():
        steps = path.split("/")
        if path.endswith("/removable") and content.strip() == "1":
            removable.add(steps[3])
        elif path.endswith("/dm/uuid") and content.startswith(_MULTIPATH):
            mapped.add(steps[3])
        elif "/slaves/" in path:
            slaves.append((steps[3], steps[5]))
    return DiskKinds(frozenset(removable), frozenset(path for disk, path in slaves if disk in mapped))


def disk_of(device: str) -> str:
    """The disk that a partition is on: `nvme0n1p2` is on `nvme0n1`, `sda1` on `sda`."""
    found = _PARTITION.fullmatch(device)
    return (found[1] or found[2]) if found else device


def _by_disk(subject: Subject, messages: Iterable[KernelMessage]) -> Mapping[str, list[KernelMessage]]:
    """The messages by disk, without those that do not count."""
    found: dict[str, list[KernelMessage]] = {}
    for one in messages:
        disk = disk_of(one.values["device"])
        if not _PASSING.match(disk) and one.values.get("operation") not in _HINTS:
            found.setdefault(disk, []).append(one)
    kinds = subject.read(read_disk_kinds) if found else None
    return {disk: told for disk, told in sorted(found.items()) if kinds is None or disk not in kinds.removable}


def _io_error(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    grave = within(subject, limits["hours"], "io_error", "disk_lost", "array_lost")
    light = within(subject, limits["hours"], "disk_trouble", "array_degraded")
    for disk, told in _by_disk(subject, sorted([*grave, *light], key=attrgetter("line.seconds"))).items():
        worst = [one for one in told if one in grave]
        one_way = disk in subject.read(read_disk_kinds).paths
        yield sighting("critical" if worst and not one_way else "warn", worst or told, limits, disk)


def _fs_error(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    errors = within(subject, limits["hours"], "fs_error")
    noted = within(subject, limits["hours"], "fs_unchecked")
    for disk, told in _by_disk(subject, sorted([*errors, *noted], key=attrgetter("line.seconds"))).items():
        worst = [one for one in told if one in errors]
        yield sighting("critical" if worst else "warn", worst or told, limits, disk)


CHECKS = (
    Check(
        id="kmsg.io_error",
        title="no disk failed to read or write",
        severity="critical",
        action="service",
        owner="node",
        judges="Critical when a disk could not read or write, or was given up, within 24 h; warn when it timed out or"
        " lost a command, an array lost a member, or it is one of several paths to a disk.",
        remedy="Ask the disk itself: `smartctl -x /dev/DISK`, `nvme smart-log /dev/DISK`. Look at cable and backplane,"
        " then have it replaced.",
        source="the kernel's block layer, NVMe, SCSI, ATA and md drivers in their own words",
        asks=ASKS,
        judge=_io_error,
        applies=has_log,
        thresholds=(WITHIN,),
        tags=("kernel", "disk"),
    ),
    Check(
        id="kmsg.fs_error",
        title="no file system is damaged",
        severity="critical",
        action="reboot",
        owner="node",
        judges="Critical when a file system found itself damaged or went read-only within 24 h; warn when it is used"
        " with errors of earlier that nobody has repaired.",
        remedy="Find out why first: `aiops health --check kmsg.io_error`. Then repair it while it is not mounted:"
        " ext4 by a reboot with `fsck.mode=force`, XFS by hand with `xfs_repair /dev/DISK`.",
        source="ext4, XFS, btrfs and ZFS in their own words",
        asks=ASKS,
        judge=_fs_error,
        applies=has_log,
        thresholds=(WITHIN,),
        tags=("kernel", "disk"),
    ),
)
