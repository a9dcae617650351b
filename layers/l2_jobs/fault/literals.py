"""Which pieces of text a regular expression cannot do without, so that lines without them need not be searched."""

import re
from collections.abc import Iterator
from functools import lru_cache

_SHORTEST = 3
_ENOUGH = 6
_COMMON = re.compile(
    r"\W*(?:time|loss|rank|with|read|grad|norm|port|link|load|node|open|over|api|find|proc|wall|low|by|gpus?|ret|bad|"
    r"step|steps|epoch|worker|workers|model|data|train|training|image|device|batch|job|task|file|has|is|was|of|to|"
    r"token|tokens|checkpoint|dataset|weights?|state|size|rate|from|for|run|process|iter|iteration|info|error|warning)"
    r"\W*$"
)
"""Words that healthy logs are full of: another piece of the same pattern is looked for, if there is one."""

_SPACES = {"s": "", "w": "", "S": "", "D": "", "W": ""}
_NOTHING = frozenset("bBAZd")


@lru_cache(maxsize=4096)
def literals(pattern: str) -> frozenset[str]:
    """Pieces of which each match of `pattern` has at least one; empty where there are none of three letters or more.

    The pieces are of the line without its digits, so that lines that differ in numbers alone have the same: what a
    pattern says of digits takes no room.

    Of a sequence the best part counts, of alternatives all; what may be absent counts for nothing. Written for the
    patterns of the catalogue: in lower case, without back references and inline flags.

    Args:
        pattern: A regular expression that compiles.
    """
    found = _Reader(pattern).alternatives()
    return found if all(len(one) >= _SHORTEST for one in found) else frozenset()


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    def alternatives(self) -> frozenset[str]:
        """Up to the end of the group: the pieces of all branches; empty where one branch has none."""
        branches = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._sequence())
        return frozenset().union(*branches) if all(branches) else frozenset()

    def _sequence(self) -> frozenset[str]:
        found: list[frozenset[str]] = []
        run = ""
        for piece in self._pieces():
            if isinstance(piece, str) and piece:
                run += piece
                continue
            if run:
                found.append(frozenset({run}))
                run = ""
            if isinstance(piece, frozenset) and piece:
                found.append(piece)
        if run:
            found.append(frozenset({run}))
        return max(found, key=_worth, default=frozenset())

    def _pieces(self) -> Iterator[str | frozenset[str]]:
        """Texts that follow each other, groups, and an empty text where anything may stand."""
        while (sign := self._peek()) and sign not in "|)":
            piece: str | frozenset[str] | None = self._atom()
            if piece is None:  # it takes no room: what is before and behind stands side by side
                self._times()
                continue
            least, fixed = self._times()
            if least == 0:
                yield ""
                continue
            yield piece
            if not fixed:
                yield ""

    def _atom(self) -> str | frozenset[str] | None:
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._class()
        if sign == "\\":
            escaped = self._next()
            return None if escaped in _NOTHING else _SPACES.get(escaped, {"n": "\n", "t": "\t"}.get(escaped, escaped))
        if sign in "^$" or sign.isdecimal():
            return None
        return "" if sign == "." else sign

    def _group(self) -> frozenset[str] | None:
        around = False
        if self._peek() == "?":
            self._at += 1
            kind = self._next()
            if kind == "P":
                self._at = self._text.index(">", self._at) + 1
            elif kind == "<":
                self._at += 1  # = or !
                around = True
            elif kind in "=!":
                around = True
        begun = self._at
        inside = self.alternatives()
        numbers = not self._text[begun : self._at].strip("0123456789|")
        self._next()  # the closing bracket
        return None if around or numbers else inside

    def _class(self) -> str | None:
        first = self._at
        negative = self._peek() == "^"
        if negative:
            self._at += 1
        begun = self._at
        while self._peek() != "]" or self._at == begun:
            self._at += 2 if self._peek() == "\\" else 1
        inside = self._text[first : self._at]
        self._at += 1
        if not negative and inside.replace("-", "").isdecimal():
            return None
        return inside if len(inside) == 1 and not negative else ""

    def _times(self) -> tuple[int, bool]:
        """How often at least, and whether exactly once."""
        sign = self._peek()
        if sign in ("?", "*", "+"):
            self._at += 1
            least = 1 if sign == "+" else 0
        elif sign == "{" and self._text[self._at + 1 : self._at + 2].isdecimal():
            end = self._text.index("}", self._at)
            least = int(self._text[self._at + 1 : end].split(",")[0])
            self._at = end + 1
        else:
            return 1, True
        if self._peek() in ("?", "+"):
            self._at += 1
        return least, False

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._text[self._at - 1 : self._at]


def _worth(pieces: frozenset[str]) -> tuple[int, int]:
    """The longer the shortest piece the better, up to a length at which the number of pieces counts."""
    shortest = min(2 if _COMMON.match(one) else len(one) for one in pieces)
    return (shortest if shortest < _SHORTEST else min(shortest, _ENOUGH)), -len(pieces)
