"""Runs of words: which of many texts may hold words in a row that are looked for. By arrays, all at once; pure.

A word is a polynomial of its characters modulo 2^64, and so is a run of its words (Karp and Rabin 1987, "Efficient
randomized pattern-matching algorithms"): differences of one running sum give all words, three doublings all runs of
eight. Equal words have equal numbers, so none is missed; the few texts that are named are then read word by word.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate, compress
from typing import Any, Final

Array = Any
"""An array of numpy, which is imported by whoever needs it."""

RUN: Final = 8
"""Words; a power of two."""

_UNSPACED: Final = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
"""A word; of scripts that put no space between words a character."""

_TOGETHER: Final = 1 << 19
"""Characters that are looked through at once: the arrays take about 60 bytes of each, and fit in a cache."""

_LONGEST: Final = 1 << 22
"""Characters of a text; a longer one is named unseen."""

_BASE: Final = 0x9E3779B97F4A7C15
_FACTOR: Final = 0xD1342543DE82EF95
"""Odd, so that they have an inverse: the golden ratio of 2^64, and a multiplier of Steele and Vigna 2021."""

_ASCII: Final = 128
_WHOLE: Final = 1 << 64
_SINGLE: Final = 2
"""Class of a character that is a word; 1 is one that words are made of, 0 any other."""


def folded(text: str) -> str:
    """Text without case. What is composed of two characters is one first, as a preparation writes it."""
    return unicodedata.normalize("NFC", text).casefold()


class WordRuns:
    """Words in a row that are looked for."""

    def __init__(self, long: Iterable[str], short: Iterable[Sequence[str]]) -> None:
        """Take what is looked for.

        Args:
            long: Words with a space between, `RUN` or more: each run of them, wherever it stands.
            short: Words, fewer: where they are a text alone.
        """
        import numpy as np

        by_length: dict[int, list[str]] = {}
        for words in short:
            by_length.setdefault(len(words), []).append(" ".join(words))
        self._sought = {
            length: _Few(np.concatenate([_joined(_words(part)[0], length)[::length] for part in _parts(texts)]))
            for length, texts in by_length.items()
        }
        # With runs from one into the next, which stand in no text but by chance: a text may be named in vain.
        runs = [_joined(_words(part)[0], RUN) for part in _parts(list(long))]
        self._runs = _Few(np.concatenate(runs)) if runs else None

    def within(self, texts: Sequence[str]) -> set[int]:
        """Numbers of texts that may hold one; of all others it is sure that they do not."""
        found = set()
        ascii_ = [text.isascii() for text in texts]
        for narrow in (True, False):  # apart: what is not of ASCII costs twice as much
            chosen = ascii_ if narrow else [not one for one in ascii_]
            numbers = list(compress(range(len(texts)), chosen))
            taken = 0
            for part in _parts(list(compress(texts, chosen))):
                if len(part[0]) > _LONGEST:
                    found.add(numbers[taken])
                else:
                    found.update(numbers[taken + one] for one in self._within(part, narrow=narrow))
                taken += len(part)
        return found

    def _within(self, texts: Sequence[str], *, narrow: bool) -> Iterator[int]:
        import numpy as np

        if not narrow:
            texts = [folded(text) for text in texts]
        numbers, starts = _words(texts)
        begins = np.fromiter(accumulate(map(len, texts), initial=0), np.int64, len(texts) + 1)
        begins += np.arange(len(begins))  # with what stands between two
        if self._runs is not None and len(numbers) >= RUN:
            hits = starts[self._runs.among(_joined(numbers, RUN))]
            holders: Array = np.searchsorted(begins, hits, "right") - 1
            yield from set(holders.tolist())
        if self._sought:
            first: Array = np.searchsorted(starts, begins)
            counts = np.diff(first)
            for length, sought in self._sought.items():
                some = np.flatnonzero(counts == length)
                if len(some):
                    yield from some[sought.among(_joined(numbers, length)[first[some]])].tolist()


class _Few:
    """Some numbers, to be looked for among many."""

    def __init__(self, numbers: Array) -> None:
        import numpy as np

        self._numbers: Array = np.unique(numbers)
        self._shift = np.uint64(64 - max(16, (16 * len(numbers)).bit_length()))
        self._marks: Array = np.zeros(1 << (64 - int(self._shift)), np.bool_)
        self._marks[numbers >> self._shift] = True

    def among(self, many: Array) -> Array:
        """Where they stand in `many`."""
        import numpy as np

        hits = np.flatnonzero(self._marks[many >> self._shift])
        places = np.searchsorted(self._numbers, many[hits])
        return hits[self._numbers[np.minimum(places, len(self._numbers) - 1)] == many[hits]]


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Texts that are looked through together."""
    if texts and sum(map(len, texts)) + len(texts) <= _TOGETHER:
        yield texts
        return
    begin = size = 0
    for number, text in enumerate(texts):
        size += len(text) + 1
        if size > _TOGETHER and number > begin:
            yield texts[begin:number]
            begin, size = number, len(text) + 1
    if begin < len(texts):
        yield texts[begin:]


def _words(texts: Sequence[str]) -> tuple[Array, Array]:
    """The number of each word of texts, and where it begins, as if they stood one character apart.

    Args:
        texts: Folded in case; or all of ASCII, whatever their case.
    """
    import numpy as np

    whole = "\n".join(texts) + "\n"
    narrow = whole.isascii()
    codes = (
        np.frombuffer(whole.lower().encode("ascii"), np.uint8)
        if narrow
        else np.frombuffer(whole.encode("utf-32-le"), np.dtype("<u4"))
    )
    kinds = _kinds(_ASCII if narrow else sys.maxunicode + 1)[codes]
    within = kinds == 1
    edges: Array = np.flatnonzero(within[1:] != within[:-1]) + 1
    if within[0]:
        edges = np.concatenate((np.zeros(1, edges.dtype), edges))
    starts, ends = edges[::2], edges[1::2]
    if not narrow:
        single = np.flatnonzero(kinds == _SINGLE)
        starts, ends = np.sort(np.concatenate((starts, single))), np.sort(np.concatenate((ends, single + 1)))
    powers, inverses = _powers((len(codes) - 1).bit_length())
    sums: Array = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(powers[: len(codes)] * codes, out=sums[1:])
    return _mixed((sums[ends] - sums[starts]) * inverses[starts]), starts


def _joined(numbers: Array, length: int) -> Array:
    """The number of each run of so many words, by its first."""
    import numpy as np

    if length & (length - 1):
        last = len(numbers) - length + 1
        joined = numbers[:last]
        for step in range(1, length):
            joined = joined * np.uint64(_FACTOR) + numbers[step : last + step]
        return _mixed(joined)
    size = 1
    while size < length:
        numbers = numbers[:-size] * np.uint64(pow(_FACTOR, size, _WHOLE)) + numbers[size:]
        size *= 2
    return _mixed(numbers)


def _mixed(numbers: Array) -> Array:
    """Numbers whose upper bits depend on all."""
    import numpy as np

    return (numbers ^ (numbers >> np.uint64(32))) * np.uint64(_FACTOR)


@cache
def _powers(bits: int) -> tuple[Array, Array]:
    """Powers of the base, and of its inverse."""
    import numpy as np

    found = []
    for base in (_BASE, pow(_BASE, -1, _WHOLE)):
        powers: Array = np.ones(1, np.uint64)
        while len(powers) < 1 << bits:
            powers = np.concatenate((powers, powers * np.uint64(pow(base, len(powers), _WHOLE))))
        found.append(powers)
    return found[0], found[1]


@cache
def _kinds(size: int) -> Array:
    """The class of each of the first characters."""
    import numpy as np

    codes: Array = np.arange(size, dtype="<u4")
    codes[0xD800:0xE000] = 0  # halves of pairs are no characters
    every = codes.tobytes().decode("utf-32-le")
    kinds: Array = np.zeros(size, np.uint8)
    for kind, pattern in ((1, WORD), (_SINGLE, re.compile(f"[{_UNSPACED}]+"))):
        for match in pattern.finditer(every):
            kinds[match.start() : match.end()] = kind
    return kinds
