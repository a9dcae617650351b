"""Reports: what a check found, counted, with the first faults of each kind."""

from collections import Counter
from dataclasses import dataclass, field

from .fault import CATALOGUE, Fault, Flaw, Level
from .row import Form, Place


@dataclass
class Report:
    """What a check found.

    Attributes:
        level: Which level ran.
        most: Faults of each kind that are kept with their place; all are counted.
        form: Of the set; None where nobody could tell.
        files: By name how many rows each has.
        rows: All that were read, with faults or without.
        faulty: Rows with at least one fault that fails.
        counts: By kind how many.
        shown: By kind the first ones.
        lengths: By number of tokens how many rows have it; empty at the level `structure`.
        copies: By the first row of a kind how often it comes again.
        tokenizer: The digest of what counted tokens.
        template: The digest of the template.
        length: Tokens that a row may have.
        questions: Of the evaluation that was looked for; None for none.
        allowed: Kinds that do not fail it.
    """

    level: Level
    most: int = 5
    form: Form | None = None
    files: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    faulty: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    shown: dict[str, list[Fault]] = field(default_factory=dict)
    lengths: Counter[int] = field(default_factory=Counter)
    copies: Counter[int] = field(default_factory=Counter)
    tokenizer: str | None = None
    template: str | None = None
    length: int | None = None
    questions: int | None = None
    allowed: frozenset[str] = frozenset()

    def add(self, place: Place, flaw: Flaw) -> None:
        """One more fault."""
        self.counts[flaw.kind] += 1
        kept = self.shown.setdefault(flaw.kind, [])
        if len(kept) < self.most:
            kept.append(Fault(place, flaw.kind, flaw.reason))

    @property
    def kinds(self) -> tuple[str, ...]:
        """What was found, in the order of the catalogue."""
        return tuple(name for name in CATALOGUE if self.counts[name])

    def failing(self, kind: str) -> bool:
        """Whether a fault of this kind fails the check."""
        return CATALOGUE[kind].fails and kind not in self.allowed

    @property
    def failed(self) -> bool:
        """Whether there is a fault that is not allowed."""
        return any(self.failing(kind) for kind in self.kinds)

    @property
    def tokens(self) -> int:
        """All of them."""
        return sum(length * count for length, count in self.lengths.items())

    def quantile(self, part: float) -> int | None:
        """The length that `part` of the rows do not pass; None where none was measured."""
        left = part * self.lengths.total()
        for length in sorted(self.lengths):
            left -= self.lengths[length]
            if left <= 0:
                return length
        return None

    @property
    def multiplicity(self) -> dict[int, int]:
        """By how often a row is there, how many different rows are there so often; only those that come again."""
        return dict(sorted(Counter(again + 1 for again in self.copies.values()).items()))
