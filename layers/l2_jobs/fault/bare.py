"""A pattern without its numbers: what it asks of a line from which all digits were taken."""

import re
from functools import lru_cache

_TOKEN = re.compile(
    r"(?P<around>\(\?(?:<?[=!]))|(?P<group>\(\?P<\w+>|\(\?:)|(?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<escape>\\.)|(?P<sign>.)",
    re.DOTALL,
)
_TIMES = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\})\??")
_WIDE = frozenset({r"\w", r"\S", r"\D", r"\W"})


@lru_cache(maxsize=4096)
def bare(pattern: str) -> str:
    """A pattern that is found in a line without its digits, if `pattern` is found in the line.

    Digits are dropped; what may be a digit may be absent; what looks around is not asked for. So where it is not found,
    `pattern` is in no line that differs in numbers alone.
    """
    found: list[str] = []
    at = 0
    while match := _TOKEN.match(pattern, at):
        at = match.end()
        if match["around"]:
            at = _closing(pattern, at)
            continue
        if match["group"]:
            found.append("(?:")
            continue
        piece = match[0]
        times = _TIMES.match(pattern, at)
        if times and piece not in "(|":
            at = times.end()
        kept, may_be_digit = _judged(piece)
        if kept:
            found.append(piece + (_relaxed(times) if may_be_digit else times[0] if times else ""))
    return "".join(found)


def _judged(piece: str) -> tuple[bool, bool]:
    """Whether a piece stays, and whether it may stand for a digit."""
    if piece.isdecimal() or piece in (r"\d", r"\b", r"\B", "$"):
        return False, False
    if piece.startswith("["):
        inside = piece[1:-1]
        if re.fullmatch(r"(?:\\d|[\d-])+", inside):
            return False, False
        return True, True
    return True, piece in _WIDE or piece == "."


def _relaxed(times: re.Match[str] | None) -> str:
    """How often something may stand that may have been a digit: down to never."""
    if times is None:
        return "?"
    return "?" if times[0] == "?" else "*" if times[0][0] in "*+" else re.sub(r"\{\d+", "{0", times[0])


def _closing(pattern: str, at: int) -> int:
    """Behind the bracket that closes the group that is open at `at`."""
    depth = 1
    while depth:
        match = _TOKEN.match(pattern, at)
        if match is None:
            break
        at = match.end()
        if match["around"] or match["group"] or match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
    return at
