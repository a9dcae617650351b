"""Contamination: rows that show what an evaluation asks. Pure.

Two signs. A row holds thirteen words in a row that stand in the evaluation: what GPT-3 removed from its training data
by (Brown et al. 2020, arXiv:2005.14165, appendix C), and others after it. Or it asks the very question, however short.
 An n-gram that more than ten rows of the evaluation share is how they are put, not what they ask, and counts for
nothing, as GPT-3 passed over those of more than ten training documents.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .identity import question, texts
from .row import Place, Row
from .words import words

GRAM = 13
COMMON = 10
_KEY = 8


@dataclass(frozen=True, slots=True)
class Exam:
    """What an evaluation asks.

    Attributes:
        grams: Where each hashed run of `GRAM` words stands.
        questions: Where each hashed question stands.
    """

    grams: Mapping[bytes, Place] = field(default_factory=dict, hash=False)
    questions: Mapping[bytes, Place] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A row shows what an evaluation asks.

    Attributes:
        where: The evaluation's row.
        reason: Which sign it was.
    """

    where: Place
    reason: str


def exam(rows: Iterable[tuple[Place, Row]]) -> Exam:
    """What the rows of an evaluation ask."""
    grams: dict[bytes, Place] = {}
    questions: dict[bytes, Place] = {}
    times: Counter[bytes] = Counter()
    for place, row in rows:
        mine = set(_grams(row))
        times.update(mine)
        for gram in mine:
            grams.setdefault(gram, place)
        asked = _question(row)
        if asked is not None:
            questions.setdefault(asked, place)
    return Exam({gram: place for gram, place in grams.items() if times[gram] <= COMMON}, questions)


def contaminated(row: Row, by: Exam) -> Found | None:
    """What of an evaluation `row` shows; None for nothing."""
    if not by.questions and not by.grams:
        return None
    asked = _question(row)
    if asked is not None and asked in by.questions:
        return Found(by.questions[asked], "asks the same question")
    for gram in _grams(row):
        if gram in by.grams:
            return Found(by.grams[gram], f"shares {GRAM} words in a row")
    return None


def _grams(row: Row) -> Iterator[bytes]:
    for text in texts(row):
        each = words(text)
        for start in range(len(each) - GRAM + 1):
            yield _key(each[start : start + GRAM])


def _question(row: Row) -> bytes | None:
    asked = words(question(row))
    return _key(asked) if asked else None


def _key(of: list[str]) -> bytes:
    return hashlib.blake2b(" ".join(of).encode(), digest_size=_KEY).digest()
