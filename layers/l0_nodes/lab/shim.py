"""Shims: what hosts that share one kernel cannot differ in for real, made to look different on one of them.

Each leaves a word in /etc/aiops-lab.json, so that whoever reads facts there can say that they are not real.
"""

import json
import re
from pathlib import Path

from aiops.layers.core.errors import InputError

from .host import MARKER

_CLOCK, _KERNEL = "clock", "kernel"
_PRELOAD = "etc/ld.so.preload"
_OFFSET = "etc/faketimerc"
_LIBRARY = "usr/lib/*/faketime/libfaketimeMT.so.1"
_UNAME, _REAL_UNAME = "usr/bin/uname", "usr/lib/aiops-lab/uname"
_DEFAULT_SECONDS = 120
_DEFAULT_RELEASE = "6.1.0-18-amd64"

_UNAME_SHIM = """\
#!/bin/sh
# uname of a lab host with another kernel release (simulated); the real one is /{real}
/{real} "$@" | sed "s/$(/{real} -r)/{release}/"
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
    real, shown = root / _REAL_UNAME, root / _UNAME
    real.parent.mkdir(parents=True, exist_ok=True)
    if not real.exists():
        shown.rename(real)
    shown.write_text(_UNAME_SHIM.format(real=_REAL_UNAME, release=told), encoding="ascii")
    shown.chmod(0o755)
    _mark(root, _KERNEL, on=True)


def straighten_kernel(root: Path) -> None:
    """Put the real one back."""
    if (root / _REAL_UNAME).exists():
        (root / _REAL_UNAME).rename(root / _UNAME)
    _mark(root, _KERNEL, on=False)


def _mark(root: Path, what: str, *, on: bool) -> None:
    """Say in the host's marker that `what` is a shim, or no longer."""
    path = root / MARKER
    marker = json.loads(path.read_text("utf-8"))
    told = set(marker["simulated"]) - {what}
    marker["simulated"] = sorted(told | {what} if on else told)
    path.write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
