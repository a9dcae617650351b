"""Shims: what hosts that share one kernel cannot differ in for real, made to look different on one of them.

Each leaves a word in /etc/aiops-lab.json, so that whoever reads facts there can say that they are not real.
"""

import json
import re
from pathlib import Path

from aiops.layers.core.errors import InputError

from .host import MARKER

_CLOCK, _KERNEL, _DISKS = "clock", "kernel", "disks"
_PRELOAD = "etc/ld.so.preload"
_OFFSET = "etc/faketimerc"
_LIBRARY = "usr/lib/*/faketime/libfaketimeMT.so.1"
_UNAME, _REAL_UNAME = "usr/bin/uname", "usr/lib/aiops-lab/uname"
_LSBLK, _REAL_LSBLK = "usr/bin/lsblk", "usr/lib/aiops-lab/lsblk"
_DEFAULT_SECONDS = 120
_DEFAULT_RELEASE = "6.1.0-18-amd64"
_DEFAULT_GIB = 1788

_UNAME_SHIM = """\
#!/bin/sh
# uname of a lab host with another kernel release (simulated); the real one is /{real}
/{real} "$@" | sed "s/$(/{real} -r)/{release}/"
"""

_LSBLK_SHIM = """\
#!/usr/bin/python3 -sB
# lsblk of a lab host with one more disk in its JSON (simulated); the real one is /{real}
import json
import subprocess
import sys

done = subprocess.run(["/{real}", *sys.argv[1:]], stdout=subprocess.PIPE, universal_newlines=True)
try:
    answer = json.loads(done.stdout)
    size = {gib} << 30
    known = {{"name": "sdlab", "maj:min": "8:240", "type": "disk", "size": size, "rm": False, "model": "AIOPS LAB"}}
    fields = list(answer["blockdevices"][0]) if answer["blockdevices"] else list(known)
    answer["blockdevices"].append({{field: known.get(field) for field in fields}})
    print(json.dumps(answer))
except ValueError:
    sys.stdout.write(done.stdout)
sys.exit(done.returncode)
"""


def seconds(value: str | None) -> int:
    """How far the clock is to be ahead.

    Raises:
        InputError: It is no whole number of seconds, or more than a year.
    """
    text = value if value is not None else str(_DEFAULT_SECONDS)
    digits = text.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 8 or int(digits) > 366 * 86400:  # noqa: PLR2004
        raise InputError(
            f"`{text}` is no number of seconds", code="lab.fault_value", hints=["for example `120`, `-90`"]
        )
    return int(text)


def release(value: str | None) -> str:
    """The kernel release to tell.

    Raises:
        InputError: No kernel is called so.
    """
    text = value if value is not None else _DEFAULT_RELEASE
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}", text):
        raise InputError(
            f"`{text}` is no kernel release", code="lab.fault_value", hints=["for example `6.1.0-18-amd64`"]
        )
    return text


def gib(value: str | None) -> int:
    """The size of the disk to tell, in GiB.

    Raises:
        InputError: It is no whole number between 1 and a million.
    """
    text = value if value is not None else str(_DEFAULT_GIB)
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:8]) <= 1_000_000:  # noqa: PLR2004
        raise InputError(f"`{text}` is no size in GiB", code="lab.fault_value", hints=["for example `1788`"])
    return int(text)


def skew_clock(root: Path, ahead: int) -> None:
    """Preload libfaketime into whatever starts from now on."""
    library = next(root.glob(_LIBRARY))
    (root / _OFFSET).write_text(f"{ahead:+d}s\n", encoding="ascii")
    (root / _PRELOAD).write_text(f"/{library.relative_to(root)}\n", encoding="ascii")
    _mark(root, _CLOCK, on=True)


def straighten_clock(root: Path) -> None:
    """Preload nothing again."""
    (root / _PRELOAD).unlink(missing_ok=True)
    (root / _OFFSET).unlink(missing_ok=True)
    _mark(root, _CLOCK, on=False)


def skew_kernel(root: Path, told: str) -> None:
    """Put a `uname` in the place of the real one."""
    _replace(root, _UNAME, _REAL_UNAME, _UNAME_SHIM.format(real=_REAL_UNAME, release=told))
    _mark(root, _KERNEL, on=True)


def straighten_kernel(root: Path) -> None:
    """Put the real one back."""
    _restore(root, _UNAME, _REAL_UNAME)
    _mark(root, _KERNEL, on=False)


def skew_disks(root: Path, size: int) -> None:
    """Put an `lsblk` in the place of the real one, which tells of a disk of `size` GiB more."""
    _replace(root, _LSBLK, _REAL_LSBLK, _LSBLK_SHIM.format(real=_REAL_LSBLK, gib=size))
    _mark(root, _DISKS, on=True)


def straighten_disks(root: Path) -> None:
    """Put the real one back."""
    _restore(root, _LSBLK, _REAL_LSBLK)
    _mark(root, _DISKS, on=False)


def _replace(root: Path, program: str, real: str, script: str) -> None:
    """Put `script` in the place of a program, which is kept at `real`."""
    kept, shown = root / real, root / program
    kept.parent.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        shown.rename(kept)
    shown.write_text(script, encoding="ascii")
    shown.chmod(0o755)


def _restore(root: Path, program: str, real: str) -> None:
    if (root / real).exists():
        (root / real).rename(root / program)


def _mark(root: Path, what: str, *, on: bool) -> None:
    """Say in the host's marker that `what` is a shim, or no longer."""
    path = root / MARKER
    marker = json.loads(path.read_text("utf-8"))
    told = set(marker["simulated"]) - {what}
    marker["simulated"] = sorted(told | {what} if on else told)
    path.write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
