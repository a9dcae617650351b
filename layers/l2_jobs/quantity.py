"""Quantities as people write them: spans of time (`7d`, `1h30m`) and amounts of memory (`64 GiB`, `64G`). Pure."""

import re
from math import inf

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGTP", 1)},
    **{letter: 1024**power for power, letter in enumerate("KMGTP", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGTP", 1)},
    "B": 1,
}
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
SPAN_PATTERN = rf"^(?:{_NUMBER}\s*[smhdw]\s*)+$"
MEMORY_PATTERN = rf"^{_NUMBER}\s*(?:{'|'.join(_BYTES)})$"
"""As JSON Schema has them; `seconds_of` and `bytes_of` read what fits these."""

_PART = re.compile(rf"({_NUMBER})\s*([smhdw])\s*")
_SPAN = re.compile(SPAN_PATTERN, re.ASCII)
_MEMORY = re.compile(rf"^({_NUMBER})\s*({'|'.join(_BYTES)})$", re.ASCII)
_LONGEST = 100 * 365 * 86_400


def seconds_of(text: str) -> float:
    """The seconds of a span: `90s`, `1h30m`, `1.5h`, `7d`.

    Raises:
        ValueError: It is none, has no unit, one unit twice, or is longer than a century.
    """
    if not _SPAN.match(text.strip()):
        raise ValueError("a span of time is written like 90s, 30m, 1h30m or 7d")
    parts = _PART.findall(text.strip())
    units = [unit for _, unit in parts]
    if len(set(units)) < len(units):
        raise ValueError("a span of time names each unit once, like 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise ValueError("a span of time is at most a century")
    return float(seconds)


def bytes_of(text: str) -> int:
    """The bytes of an amount of memory: `64 GiB` and `64G` by powers of 1024, `64 GB` by powers of 1000.

    Raises:
        ValueError: It is none, or has no unit.
    """
    found = _MEMORY.match(text.strip())
    if not found:
        raise ValueError("memory is written like 64 GiB, 64G (the same), 512 MiB or 1.5 TiB")
    return int(float(found[1]) * _BYTES[found[2]])


def span(seconds: float) -> str:
    """A span as `seconds_of` reads it, in whole units: `1h30m`, `7d`, `0s`; parts of a second as `0.5s`."""
    if seconds == inf:
        return "never"
    if seconds != int(seconds):
        return f"{seconds:g}s"
    words, left = "", int(seconds)
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _SECONDS[unit])
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def memory(count: int) -> str:
    """An amount of memory with a unit that makes it short: `64 GiB`."""
    for letter in "PTGMK":
        unit = f"{letter}iB"
        if count >= _BYTES[unit]:
            return f"{count / _BYTES[unit]:g} {unit}"
    return f"{count} B"
