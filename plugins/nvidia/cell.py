"""One value of `nvidia-smi`, as text: what is absent or failed is None."""

_ABSENT = frozenset({"", "n/a", "[n/a]", "not supported", "[not supported]", "not found", "[not found]", "none"})
_YES, _NO = frozenset({"enabled", "yes", "on", "active", "1"}), frozenset({"disabled", "no", "off", "not active", "0"})
_MAX_DIGITS = 18  # fits 64 bits; Python refuses to read numbers of thousands of digits


def is_error(value: str) -> bool:
    """Whether a cell tells of a failed reading, as opposed to a thing the device does not have."""
    lowered = value.lower()
    return lowered == "err!" or any(word in lowered for word in ("unknown error", "is lost", "permission", "reset req"))


def text(value: str) -> str | None:
    """The words of a cell, or None."""
    value = value.strip()
    return None if value.lower() in _ABSENT or is_error(value) else value


def number(value: str) -> float | None:
    """The number at the head of `33 C`, `70.06 W`, `98 %`, or None."""
    words = value.split()
    if not words or not _plain(words[0]):
        return None
    return float(words[0])


def whole(value: str) -> int | None:
    """The whole number at the head of `16x`, `81559 MiB`, `3`, or None."""
    words = value.split()
    word = words[0].removesuffix("x") if words else ""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= _MAX_DIGITS else None


def _plain(word: str) -> bool:
    """Whether a word is a plain decimal number: no exponent, no `nan`, no underscores."""
    whole, _, part = word.removeprefix("-").partition(".")
    digits = whole + part
    return bool(whole) and digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS


def flag(value: str) -> bool | None:
    """Yes or no, in any of the tool's spellings, or None."""
    lowered = value.strip().lower()
    if lowered in _YES:
        return True
    return False if lowered in _NO else None


def bus(value: str) -> str | None:
    """`00000000:3B:00.0` -> `0000:3b:00.0`."""
    domain, _, rest = value.strip().lower().partition(":")
    if not rest or not all(letter in "0123456789abcdef" for letter in domain):
        return None
    return f"{domain[-4:].rjust(4, '0')}:{rest}"
