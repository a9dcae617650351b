"""Spans of time as people write and read them: `90s`, `2h`, `7d`; `1.2s`, `6m12s`; `3h ago`."""

import re
from datetime import datetime, timedelta

from aiops.layers.core.errors import InputError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_WORD = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_TENTHS_BELOW = 10
_LONGEST = 3650 * 86_400


def parse(text: str) -> timedelta:
    """`90s`, `2h`, `1h30m`, `7d`.

    Raises:
        InputError: The text is something else, or more than ten years.
    """
    words = _WORD.findall(text)
    if not words or "".join(number + unit for number, unit in words) != text:
        raise InputError(
            f"`{text}` is not a span of time", code="usage.duration", hints=["write it as `90s`, `2h` or `7d`"]
        )
    seconds = sum(float(number) * _UNITS[unit] for number, unit in words)
    if seconds > _LONGEST:
        raise InputError(f"`{text}` is more than ten years", code="usage.duration", hints=["write it as `90s` or `7d`"])
    return timedelta(seconds=seconds)


def spell(seconds: float) -> str:
    """`1.2s`, `41s`, `6m12s`, `2h05m`, `3d04h`."""
    if seconds < _TENTHS_BELOW:
        return f"{max(seconds, 0):.1f}s"
    whole = round(seconds)
    if whole < _UNITS["m"]:
        return f"{whole}s"
    if whole < _UNITS["h"]:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < _UNITS["d"]:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def ago(at: datetime, now: datetime) -> str:
    """`12s ago`, `3h ago`, `5d ago`; `in 4m` for what is to come."""
    seconds = (now - at).total_seconds()
    size = abs(seconds)
    unit = next((unit for unit in "dhm" if size >= _UNITS[unit]), "s")
    words = f"{int(size // _UNITS[unit])}{unit}"
    return f"in {words}" if seconds < 0 else f"{words} ago"
