"""What is mounted on a node, and what each file system answers: the pure reading of both."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiops.layers.l0_nodes.answer_reading import UnreadableError, file, said
from aiops.layers.l0_nodes.ask import Record

from .mount_question import FSTAB, MOST, MOUNTINFO, MOUNTS, VIRTUAL

LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "jfs", "reiserfs", "bcachefs", "nilfs2")
"""Kinds that live on the node's own disks; whatever is neither these nor virtual lives with a server."""
_BOOT = ("vfat", "exfat", "ntfs3", "hfsplus")
_FIXED_FIELDS, _SOURCE_FIELDS, _SPACE_FIELDS, _FSTAB_FIELDS = 6, 3, 6, 3


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo.

    Attributes:
        device: The file system's number, `8:1`; all mounts of one have the same.
        root: What of the file system is mounted: `/`, or a folder of it (a bind).
        options: Of this mount; those of the whole file system are `own`.
    """

    device: str
    root: str
    path: str
    kind: str
    source: str
    options: tuple[str, ...]
    own: tuple[str, ...]
    id: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a file system answered.

    Attributes:
        total: Bytes; `free` are left, `available` of them to ordinary users.
        files: Inodes it has room for, 0 where it does not count them; `files_free` are left.
        failure: Why it gave no figures, in the C library's words.
        silent: It did not answer in time; `earlier`: a child that asked it in an earlier examination still waits.
    """

    total: int = 0
    free: int = 0
    available: int = 0
    files: int = 0
    files_free: int = 0
    failure: str = ""
    silent: bool = False
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class FstabEntry:
    """A line of fstab."""

    source: str
    path: str
    kind: str
    options: tuple[str, ...]


def read_mounts(record: Record) -> tuple[Mount, ...]:
    """What is mounted, in the order it came.

    Raises:
        UnreadableError: It does not say, or a line of it is garbled.
    """
    answer = record.answer(MOUNTS)
    text = file(answer, MOUNTINFO)
    if answer.truncated:
        raise UnreadableError("the table of mounts was cut at its size limit")
    found = tuple(_mount(line) for line in text.splitlines() if line)
    if not found:
        raise UnreadableError(f"{MOUNTINFO} is empty")
    return found


def read_replies(record: Record) -> Mapping[str, Reply]:
    """The answers by device; of what was mounted meanwhile there is none.

    Raises:
        UnreadableError: The program did not come to its end, or a line of it is garbled.
    """
    devices = {one.id: one.device for one in read_mounts(record)}
    lines = said(record.answer(MOUNTS)).splitlines()
    if not lines or not re.fullmatch(r"\. \d+", lines[-1]):
        raise UnreadableError("the answers of the file systems have no end")
    replies = dict(_reply(line) for line in lines[:-1] if not line.startswith("> "))
    asked = min(MOST, int(lines[-1].removeprefix(". ")))
    if len(replies) != asked:
        raise UnreadableError(f"{len(replies)} of {asked} file systems are told of")
    return {devices[id_]: reply for id_, reply in replies.items() if id_ in devices}


def read_asked(record: Record) -> int:
    """How many file systems there were to ask; those beyond `MOST` were not."""
    read_replies(record)
    return int(record.answer(MOUNTS).stdout.splitlines()[-1].partition(" ")[2])


def read_links(record: Record) -> Mapping[str, str]:
    """Where the mount points of fstab really are, for those that lead elsewhere by a link."""
    read_replies(record)
    lines = record.answer(MOUNTS).stdout.splitlines()
    pairs = (line.split(" ") for line in lines if line.startswith("> "))
    return {unescaped(pair[1]): pair[2] for pair in pairs}


def read_fstab(record: Record) -> tuple[FstabEntry, ...]:
    """The lines of fstab; none where there is no such file.

    Raises:
        UnreadableError: It cannot be read, or a line is none.
    """
    answer = record.answer(MOUNTS)
    if answer.missing.get(FSTAB) == "No such file or directory":
        return ()
    return tuple(_entries(file(answer, FSTAB)))


def unescaped(text: str) -> str:
    """Undo the octal escapes of the kernel and of fstab, for blanks and the like."""
    return re.sub(r"\\([0-3][0-7]{2})", lambda found: chr(int(found[1], 8)), text)


def lives_with_a_server(mount: Mount) -> bool:
    """Whether it is a network or FUSE file system."""
    return mount.kind not in LOCAL and mount.kind not in VIRTUAL and mount.kind not in _BOOT


def by_device(mounts: tuple[Mount, ...]) -> Mapping[str, Mount]:
    """The mount that each file system is called by: the first of its whole, else the first of a part."""
    found: dict[str, Mount] = {}
    for one in mounts:
        other = found.get(one.device)
        if other is None or (one.root == "/" and other.root != "/" and one.kind != "btrfs"):
            found[one.device] = one
    return found


def _mount(line: str) -> Mount:
    left, separator, right = line.partition(" - ")
    before, after = left.split(" "), right.split(" ")
    if not separator or len(before) < _FIXED_FIELDS or len(after) < _SOURCE_FIELDS or not before[0].isdecimal():
        raise UnreadableError(f"{MOUNTINFO} says `{line[:80]}`")
    return Mount(
        device=before[2],
        root=unescaped(before[3]),
        path=unescaped(before[4]),
        kind=after[0],
        source=unescaped(after[1]),
        options=tuple(before[5].split(",")),
        own=tuple(after[2].split(",")),
        id=int(before[0]),
    )


def _reply(line: str) -> tuple[int, Reply]:
    mark, _, rest = line.partition(" ")
    id_, _, rest = rest.partition(" ")
    if mark == "=":
        numbers = [int(word) for word in rest.split(" ")]
        if len(numbers) == _SPACE_FIELDS:
            size, total, free, available, files, files_free = numbers
            return int(id_), Reply(total * size, free * size, available * size, files, files_free)
    elif mark == "!" and rest:
        return int(id_), Reply(failure=rest)
    elif mark == "?" and rest in {"now", "earlier"}:
        return int(id_), Reply(silent=True, earlier=rest == "earlier")
    raise UnreadableError(f"a file system answered `{line[:80]}`")


def _entries(text: str) -> Iterator[FstabEntry]:
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < _FSTAB_FIELDS:
            raise UnreadableError(f"line {number} of {FSTAB} is `{line.strip()[:80]}`")
        options = words[3] if len(words) > _FSTAB_FIELDS else "defaults"
        yield FstabEntry(words[0], unescaped(words[1]), words[2], tuple(options.split(",")))
