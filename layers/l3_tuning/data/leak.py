"""Leaks: rows of an evaluation that stand in the data that is learnt. Pure.

What a check tells and what a preparation removes is what this finds, row by row: there is no other judge. Both hand it
all texts of a row as they were read, in whatever normal form of Unicode.

A question of eight words or more has leaked where most of its runs of eight words stand in one text of a row: so it is
found in other punctuation, in other case, and inside of a longer text. The share is Llama 2's (arXiv 2307.09288, A.6:
dirty from 80 % of contaminated tokens, here of runs), and the run is GPT-2's 8, where GPT-3 has 13. A shorter one has
leaked where a whole text of a row is the same.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from .row import Place, Row
from .word_runs import RUN, WORD, WordRuns, folded

SHARE: Final = 0.8
"""Of the runs of a question, that stand in one text."""

_SPACES = "".join(chr(code) if chr(code).isalnum() else " " for code in range(128))
"""For text of ASCII alone the same, at a third of the price."""


def words_of(text: str) -> list[str]:
    """The words of a text without case and punctuation; the same before and after a preparation's normal form."""
    if text.isascii():
        return text.lower().translate(_SPACES).split()
    return WORD.findall(folded(text))


def questions_of(row: Row) -> tuple[str, ...]:
    """What an evaluation asks: what its users say, or all of a plain text."""
    if row.form == "text":
        return (row.text,)
    return tuple(turn.content for turn in row.turns if turn.role == "user")


@dataclass
class Evaluation:
    """The questions of an evaluation, to be looked for.

    Of runs only hashes of 64 bits are kept, since each process of a preparation has all: that four fifths of those of a
    question are met by chance does not happen.

    Attributes:
        questions: How many there are.
    """

    questions: int = 0
    _short: dict[tuple[str, ...], Place] = field(default_factory=dict)
    _first: dict[int, int] = field(default_factory=dict)  # by run the first question that has it
    _others: dict[int, list[int]] = field(default_factory=dict)  # and of few runs the others
    _long: list[tuple[Place, int, str]] = field(default_factory=list)  # with the number of its runs, and its words
    _sought: WordRuns | None = None

    def add(self, place: Place, row: Row) -> None:
        """Look for this row too."""
        for question in questions_of(row):
            words = words_of(question)
            if not words:
                continue
            self.questions += 1
            self._sought = None
            if len(words) < RUN:
                self._short.setdefault(tuple(words), place)
                continue
            number, runs = len(self._long), set(map(hash, _runs(words)))
            for run in runs:
                if self._first.setdefault(run, number) != number:
                    self._others.setdefault(run, []).append(number)
            self._long.append((place, len(runs), " ".join(words)))

    def suspects(self, texts: Sequence[str]) -> set[int]:
        """Numbers of the texts in which something may have leaked: in all others nothing has. Quick for many texts."""
        if self._sought is None:
            self._sought = WordRuns((words for _, _, words in self._long), self._short)
        return self._sought.within(texts)

    def leaks(self, rows: Sequence[Sequence[str]]) -> dict[int, Place]:
        """What `leaked` finds of many rows at once.

        Args:
            rows: All texts of each.

        Returns:
            By the number of a row that shows something, in their order, the row of the evaluation that it shows.
        """
        suspected = self.suspects([text for row in rows for text in row])
        ends = list(accumulate(map(len, rows))) if suspected else []
        found = {}
        for number in sorted({bisect_right(ends, text) for text in suspected}):
            place = self.leaked(rows[number])
            if place is not None:
                found[number] = place
        return found

    def leaked(self, texts: Iterable[str]) -> Place | None:
        """The row of the evaluation that stands in one of `texts`, of several the first; None where none does."""
        for text in texts:
            words = words_of(text)
            if len(words) < RUN:
                place = self._short.get(tuple(words))
                if place is not None:
                    return place
                continue
            place = self._counted(words)
            if place is not None:
                return place
        return None

    def _counted(self, words: Sequence[str]) -> Place | None:
        counted: Counter[int] = Counter()
        for run in set(map(hash, _runs(words))):
            if run in self._first:
                counted.update((self._first[run], *self._others.get(run, ())))
        whole = [number for number, count in counted.items() if count >= SHARE * self._long[number][1]]
        return self._long[min(whole)][0] if whole else None  # the first: in no order of hashes, so that bytes are equal


def _runs(words: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(RUN)), strict=False)
