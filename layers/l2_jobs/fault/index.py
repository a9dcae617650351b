"""Which signs a line may have, found quickly: by the pieces of text that their patterns cannot do without."""

import re
from collections.abc import Iterable, Sequence

from .bare import bare
from .signature import Level, Signature, compiled

_GRAM = 4
_MOST = 50_000
LONGEST_SHAPE = 1000
"""Longer lines are not remembered, so that memory is bounded."""
DIGITS = b"0123456789"
_NO_DIGITS = str.maketrans("", "", DIGITS.decode() + "█▉▊▋▌▍▎▏")

PROGRAM = Signature(
    "program.exception", "user_code", Level.PROGRAM, "error|exception|interrupt|traceback|iteration|exit"
)
"""Any exception that ends a traceback, or stands at the start of a message, and has no meaning of its own."""


class Index:
    """The catalogue, ordered for looking. Remembers what lines of one shape (but for their numbers) may be signs of."""

    def __init__(self, signatures: Sequence[Signature]) -> None:
        self.order = {one.id: number for number, one in enumerate(signatures)}
        self.clearing = frozenset(name for one in signatures for name in one.cleared_by)
        self._by_gram: dict[str, list[tuple[str, Signature]]] = {}
        self._short: dict[str, list[Signature]] = {}
        for one in (*signatures, PROGRAM):
            for word in one.words:
                if len(word) < _GRAM:
                    self._short.setdefault(word, []).append(one)
        # Words of three letters stand alone: `inf`, not `info`.
        shorts = "|".join(re.escape(word) for word in sorted(self._short))
        self._shorts = re.compile(f"(?<![a-z])({shorts})(?=s?(?![a-z]))" if shorts else r"(?!)")
        self._grams((*signatures, PROGRAM))
        self._known: dict[str, list[Signature]] = {}

    def candidates(self, line: str) -> list[Signature]:
        """The signs whose pieces are in `line` (in lower case), in the order of the catalogue."""
        shape = line.translate(_NO_DIGITS)
        known = self._known.get(shape)
        if known is None:
            known = self._look(shape)
            self._remember(shape, known)
        return known

    def remembered(self, line: str) -> list[Signature] | None:
        """What `candidates` gave for a line of this shape before, less what was excluded; None where it is new."""
        return self._known.get(line.translate(_NO_DIGITS))

    def exclude(self, line: str, one: Signature) -> bool:
        """Remember that lines of the shape of `line`, in which `one` was not found, never have it; whether so.

        Only where numbers cannot matter: without its own, the sign is not in the bare shape either.
        """
        shape = line.translate(_NO_DIGITS)
        if compiled(bare(one.pattern)).search(shape):
            return False
        if shape in self._known:
            self._known[shape] = [other for other in self._known[shape] if other is not one]
        return True

    def _remember(self, shape: str, known: list[Signature]) -> None:
        if len(shape) > LONGEST_SHAPE:
            return
        if len(self._known) >= _MOST:  # a log without shape: what is remembered helps no more
            self._known.clear()
        self._known[shape] = known

    def _look(self, shape: str) -> list[Signature]:
        found: dict[str, Signature] = {}
        for short in self._shorts.findall(shape):
            found.update((one.id, one) for one in self._short[short])
        for gram in {shape[at : at + _GRAM] for at in range(len(shape) - _GRAM + 1)} & self._by_gram.keys():
            for word, one in self._by_gram[gram]:
                if one.id not in found and word in shape:
                    found[one.id] = one
        return sorted(found.values(), key=lambda one: self.order.get(one.id, len(self.order)))

    def _grams(self, signatures: Iterable[Signature]) -> None:
        """Put each longer word under the one of its pieces that fewest words have."""
        words = [(word, one) for one in signatures for word in one.words if len(word) >= _GRAM]
        often: dict[str, int] = {}
        for word, _ in words:
            for at in range(len(word) - _GRAM + 1):
                gram = word[at : at + _GRAM]
                often[gram] = often.get(gram, 0) + 1
        for word, one in words:
            pieces = [word[at : at + _GRAM] for at in range(len(word) - _GRAM + 1)]
            self._by_gram.setdefault(min(pieces, key=lambda piece: often[piece]), []).append((word, one))
