"""Host patterns of an inventory, `gpu[01:16]` or `head:2222`, as Ansible expands them. Pure."""

import re
import string

_PORT = re.compile(r"^(?P<host>(?:[^:\[\]]|\[[^\]]*\])+):(?P<port>\d+)$")
_BRACKETED = re.compile(r"^\[(?P<host>[^\[\]]*(?:\[[^\]]*\][^\[\]]*)*)\]:(?P<port>\d+)$")
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_DASHED = re.compile(r"^(\w+)-(\w+)$")
_MOST = 100_000


def expand_pattern(pattern: str) -> tuple[tuple[str, ...], int | None]:
    """The names a pattern stands for, and its port.

    Raises:
        ValueError: The pattern is wrong, or stands for no host; the message says why and what to write.
    """
    host, port = pattern, None
    if match := _BRACKETED.match(pattern) or _PORT.match(pattern):
        host, port = match["host"], int(match["port"])
    elif pattern.endswith(":") and pattern.count(":") == 1:
        raise ValueError(f"`{pattern}` ends in `:` without a port")
    return tuple(_names(host, pattern)), port


def _names(text: str, pattern: str) -> list[str]:
    if "[" not in text:
        return [text]
    match = _RANGE.search(text)
    if match is None:
        raise ValueError(f"`{pattern}` has a `[` without its `]`")
    head, tail = text[: match.start()], text[match.end() :]
    names = [name for middle in _range(match[1], pattern) for name in _names(f"{head}{middle}{tail}", pattern)]
    if len(names) > _MOST:
        raise ValueError(f"`{pattern}` stands for more than {_MOST} hosts")
    return names


def _range(inside: str, pattern: str) -> list[str]:
    if dashed := _DASHED.match(inside):
        raise ValueError(f"`{pattern}`: a range is written `[{dashed[1]}:{dashed[2]}]` in an inventory")
    begin, colon, rest = inside.partition(":")
    end, _, step = rest.partition(":")
    if not colon:
        raise ValueError(f"`{pattern}`: a range is written `[01:16]`")
    if not end:
        raise ValueError(f"`{pattern}`: the range `[{inside}]` has no end")
    if step and not (step.isdigit() and int(step)):
        raise ValueError(f"`{pattern}`: the step of `[{inside}]` must be a number above 0")
    values = _values(begin or "0", end, int(step or 1))
    if values is None:
        raise ValueError(f"`{pattern}`: `[{inside}]` must run between two numbers of equal width or two letters")
    if not values:
        raise ValueError(f"`{pattern}`: the range `[{inside}]` is empty, its end comes before its begin")
    return values


def _values(begin: str, end: str, step: int) -> list[str] | None:
    letters = string.ascii_letters
    if len(begin) == len(end) == 1 and begin in letters and end in letters:
        return list(letters[letters.index(begin) : letters.index(end) + 1 : step])
    if not (begin.isascii() and begin.isdigit() and end.isascii() and end.isdigit()):
        return None
    width = len(begin) if begin[0] == "0" and len(begin) > 1 else 0
    if width and width != len(end):
        return None
    last = min(int(end), int(begin) + _MOST * step)
    return [str(number).zfill(width) for number in range(int(begin), last + 1, step)]
