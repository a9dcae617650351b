"""One value of a vendor's tool, as text: what is absent or failed is None."""

import re

_ABSENT = frozenset({"", "n/a", "[n/a]", "na", "-", "--", "none", "null", "not found", "[not found]"}) | {
    "not supported",
    "[not supported]",
}
_YES, _NO = frozenset({"enabled", "yes", "on", "active", "1"}), frozenset({"disabled", "no", "off", "not active", "0"})
# 18 digits fit 64 bits; Python refuses to read numbers of thousands of digits.
_NUMBER = re.compile(r"(-?[0-9]{1,18}(?:\.[0-9]{1,18})?)(?:C|°C|℃|W|%)?$")
_WHOLE = re.compile(r"([0-9]{1,18})(?:x|%|[KMG]i?B|B)?$")
_UNIT = re.compile(r"[0-9.]+\s*([A-Za-z]+)")
_BUS = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])$")
_GENERATIONS = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
_COLDEST, _HOTTEST, _MOST_WATTS = -60, 200, 10_000  # of what can be true: beyond, a register was not filled
_BYTES = {"b": 1, "kb": 1 << 10, "kib": 1 << 10, "mb": 1 << 20, "mib": 1 << 20, "gb": 1 << 30, "gib": 1 << 30}


def is_error(value: str) -> bool:
    """Whether a cell tells of a failed reading, as opposed to a thing the device does not have."""
    lowered = value.lower()
    return lowered == "err!" or any(word in lowered for word in ("unknown error", "is lost", "permission", "reset req"))


def text(value: str) -> str | None:
    """The words of a cell, or None."""
    value = value.strip()
    lowered = value.lower()
    return None if lowered in _ABSENT or lowered.startswith("n/a ") or is_error(value) else value


def number(value: str) -> float | None:
    """The number at the head of `33 C`, `33C`, `41 ℃`, `70.06 W`, `98 %`, or None: no exponent, no `nan`."""
    match = _NUMBER.match(_head(value))
    return float(match[1]) if match else None


def whole(value: str) -> int | None:
    """The whole number at the head of `16x`, `81559 MiB`, `3`, or None."""
    match = _WHOLE.match(_head(value))
    return int(match[1]) if match else None


def celsius(value: str) -> float | None:
    """Degrees that a device can have: tools print 65535 or 32767 for a sensor that said nothing."""
    return _within(number(value), _COLDEST, _HOTTEST)


def watts(value: str) -> float | None:
    """Watts that a device can draw."""
    return _within(number(value), 0, _MOST_WATTS)


def percent(value: str) -> float | None:
    """A share, 0 to 100."""
    return _within(number(value), 0, 100)


def flag(value: str) -> bool | None:
    """Yes or no, in any of the tools' spellings, or None."""
    lowered = value.strip().lower()
    if lowered in _YES:
        return True
    return False if lowered in _NO else None


def bus(value: str) -> str | None:
    """`00000000:3B:00.0` and `3B:00.0` -> `0000:3b:00.0`; what stands behind it in the cell does not count."""
    match = _BUS.match(_head(value).lower())
    if match is None:
        return None
    return f"{(match[1] or '').lstrip('0').rjust(4, '0')}:{match[2]}"


def generation(value: str) -> int | None:
    """The PCIe generation of a lane's speed: `16 GT/s` -> 4, `32.0 GT/s PCIe` -> 5, or None."""
    speed = number(value)
    return _GENERATIONS.get(speed) if speed is not None else None


def lanes(value: str) -> int | None:
    """How many lanes a link has: `x16`, `X16`, `16x` and `16` are 16, or None."""
    return whole(value.strip().lower().removeprefix("x"))


def mebibytes(value: str, unit: str = "MiB") -> int | None:
    """MiB in `81559 MiB`, `196592 MB` or `64 GB`; the tools mean powers of two whatever they write.

    Args:
        value: The cell.
        unit: What a bare number is in.
    """
    amount = number(re.sub(r"(?<=[0-9])[KMG]?i?B$", "", _head(value)))
    told = _UNIT.match(value.strip())
    factor = _BYTES.get((told[1] if told else unit).lower())
    return None if amount is None or amount < 0 or factor is None else int(amount * factor) >> 20


def _within(amount: float | None, least: float, most: float) -> float | None:
    return amount if amount is not None and least <= amount <= most else None


def _head(value: str) -> str:
    words = value.split(maxsplit=1)
    return words[0] if words else ""
