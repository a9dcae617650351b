"""Encoding: characters in text that show that it was read or written wrongly. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from .fault import Flaw

_CONTROLS = "\x00-\x08\x0b\x0e-\x1f\x7f-\x9f"
"""All control characters but tab, the ends of lines and the form feed, which divides source text into pages."""

_NONE = "\ufdd0-\ufdef\ufffe\uffff" + "".join(
    f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17)
)
"""Noncharacters (Unicode 23.7): never text."""

_TAILS = "".join(
    sorted({chr(byte) for byte in range(0x80, 0xC0)} | set(bytes(range(0x80, 0xC0)).decode("cp1252", errors="ignore")))
)
"""What the later bytes of a character of UTF-8 look like, read as Latin-1 or as Windows does."""

CONTROL: Final = re.compile(f"[{_CONTROLS}{_NONE}]")
_TWICE: Final = re.compile(f"(?:[\u00c2-\u00f4][{re.escape(_TAILS)}]+)+")
STRANGE: Final = re.compile(f"[{_CONTROLS}\ufffd{_NONE}]|[\u00c2-\u00f4][{re.escape(_TAILS)}]")
"""Text without a match has no flaw; one with a match may have one."""

RAW: Final = re.compile(
    rb"\\u(?:00[01][0-9a-fA-F]|00[7-9a-fA-F][0-9a-fA-F]|[fF][fFdD]|[dD][89abAB]|20|2[01]2|0[12][0-9a-fA-F]{2})|\\b"
)
"""Escapes of JSON that may stand for such a character."""

_PLAUSIBLE = frozenset("\xa0\xbb\xab\xb7\xb0\xba\xaa\x85\u2026\u2018\u2019\u201c\u201d\u2013\u2014\u2122")
"""What may follow a capital `Ã` in text that is right: `«IRMÃ»`."""

_CHANCES = 4
"""Different pairs that are no chance any more."""


def text_flaws(text: str) -> Iterator[Flaw]:
    """What is wrong with the characters of a text; each kind once, with the place of the first."""
    if not STRANGE.search(text):
        return
    place = text.find("\ufffd")
    if place >= 0:
        yield Flaw("encoding.replacement", f"character {place + 1} is U+FFFD, {text.count(chr(0xFFFD))} in all")
    match = CONTROL.search(text)
    if match is not None:
        yield Flaw("encoding.control", f"character {match.start() + 1} is U+{ord(match[0]):04X}")
    garbled = _garbled(text)
    if garbled is not None:
        yield Flaw("encoding.mojibake", f"character {garbled + 1} and the next are UTF-8 that was read as Latin-1")


def strange_bytes(raw: bytes) -> bool:
    """Whether lines of JSON may have such characters: quick, and true too often rather than too seldom."""
    if b"\x7f" in raw or RAW.search(raw):
        return True
    return (
        not raw.isascii() and (_RAW_CONTROL.search(raw) or _RAW_LOST.search(raw) or _RAW_TWICE.search(raw)) is not None
    )


_RAW_CONTROL = re.compile(rb"\xc2[\x80-\x9f]|[\xf0-\xf4][\x80-\xbf][\x8f\x9f\xaf\xbf]\xbf[\xbe\xbf]")
_RAW_LOST = re.compile(rb"\xef(?:\xbf[\xbd-\xbf]|\xb7[\x90-\xaf])")
_RAW_TWICE = re.compile(rb"\xc3[\x82-\xb4](?:\xc2[\x80-\xbf]|[\xc5\xc6\xcb]|\xe2(?:\x80|\x82\xac|\x84\xa2))")


def _garbled(text: str) -> int | None:
    """Where text begins that was UTF-8 and was taken for Latin-1; None where that is not sure.

    One pair may be right by chance (`«IRMÃ»`, `café…»`): it takes what nobody writes, two in a row, or several.
    """
    chances: dict[str, int] = {}
    for match in _TWICE.finditer(text):
        sure = _is_sure(match[0])
        if sure:
            return match.start()
        if sure is not None:
            chances.setdefault(match[0], match.start())
            if len(chances) >= _CHANCES:
                return min(chances.values())
    return None


def _is_sure(run: str) -> bool | None:
    """Whether nobody writes such letters; None where they are not UTF-8 at all."""
    byte = b"".join(_byte(character) for character in run)
    try:
        decoded = byte.decode()
    except UnicodeDecodeError as error:
        decoded = byte[: error.start].decode()
    if not decoded:
        return None
    lead = byte[0]
    if lead == 0xC3:  # noqa: PLR2004 - a Latin letter
        return len(decoded) > 1 or run[1] not in _PLAUSIBLE
    return len(decoded) > 1 or run.startswith("â€") or lead >= 0xF0  # noqa: PLR2004 - quotes and dashes; emoji


def _byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1", errors="replace")
