"""The disks of a node in words that two nodes with the same disks share: no device name, no UUID."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PASSING = ("zram", "ram", "nbd", "loop", "fd", "sr")
"""Devices of the moment: made by software, or holding what is put in."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_FIXED_FIELDS = 6
_MOUNT_FIELDS = 3


def disks(lsblk: str, mountinfo: str) -> list[str]:
    """One description per disk, sorted: `447 GiB MICRON 5300: 1 GiB vfat on /boot/efi, 446 GiB ext4 on /`.

    Args:
        lsblk: Its JSON, sizes in bytes.
        mountinfo: /proc/self/mountinfo.

    Raises:
        ValueError, KeyError, TypeError: One of them is garbled.
    """
    mounts = _mounts(mountinfo)
    found = []
    for disk in json.loads(lsblk)["blockdevices"]:
        size = int(disk["size"] or 0)
        passing = str(disk["name"]).startswith(_PASSING) or str(disk["rm"]).lower() in {"1", "true"}
        if disk["type"] != "disk" or size == 0 or passing:
            continue
        name = " ".join(word for word in (spell(size), " ".join(str(disk["model"] or "disk").split())) if word)
        parts = [text for part in _parts(disk, set()) if (text := _part(part, mounts))]
        own = _content(disk, mounts)
        found.append(": ".join(word for word in (name, ", ".join([*([own] if own else []), *parts])) if word))
    return sorted(found)


def spell(size: int) -> str:
    """A number of bytes with three digits: `3.49 TiB`."""
    value, unit = float(size), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{float(f'{value:.3g}'):g} {_UNITS[unit]}"


def _parts(device: Mapping[str, Any], seen: set[str]) -> Iterator[Mapping[str, Any]]:
    """What is on a device, what is on that, and so on; what spans several partitions is told once."""
    for part in device.get("children") or ():
        if str(part["name"]) not in seen:
            seen.add(str(part["name"]))
            yield part
            yield from _parts(part, seen)


def _part(part: Mapping[str, Any], mounts: Mapping[str, Sequence[str]]) -> str:
    kind = "" if part["type"] == "part" else str(part["type"])
    return " ".join(word for word in (spell(int(part["size"] or 0)), kind, _content(part, mounts)) if word)


def _content(device: Mapping[str, Any], mounts: Mapping[str, Sequence[str]]) -> str:
    """`ext4 on /`, as far as there is a file system and it is mounted."""
    kind, path = mounts.get(str(device["maj:min"]), ("", ""))
    return " on ".join(word for word in (str(device["fstype"] or kind or ""), path) if word)


def _mounts(mountinfo: str) -> dict[str, tuple[str, str]]:
    """`(file system, path)` by device number, of its first mount: later ones and parts of it are binds."""
    found: dict[str, tuple[str, str]] = {}
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        before, after = left.split(" "), right.split(" ")
        if not separator or len(before) < _FIXED_FIELDS or len(after) < _MOUNT_FIELDS:
            continue
        device, root, path, kind = before[2], before[3], before[4], after[0]
        if root == "/" or kind == "btrfs":  # whose subvolumes all have a root of their own
            found.setdefault(device, (kind, path))
    return found
