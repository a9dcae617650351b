"""Filters: rows of which a look at their characters says that nothing can be learnt from them. Pure, of no language.

None is on unless asked for. Each has a bound that is taken where none is given. Those of repetition and of symbols are
of Rae et al. 2021 (Gopher, arXiv:2112.11446, appendix A.1.1), which were set for web pages; the two of length are ours.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from aiops.layers.core.errors import InputError

from .identity import texts
from .row import Row
from .words import words

_GRAM = 3
_CHARACTERS = 6
"""What three words are in scripts of which each character is taken for one."""

_OFTEN = 3
"""Times that something is said at least before it counts as repeated: in a short answer two are a quarter of it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One of them.

    Attributes:
        name: As one asks for it.
        bound: What is taken where none is given.
        says: What is removed, for the help and the docs; `{}` is the bound.
        measure: What is compared, of the row's texts.
        least: Whether the bound is the least allowed; else it is the most.
    """

    name: str
    bound: float
    says: str
    measure: Callable[[Sequence[str]], float]
    least: bool = False

    def removes(self, said: Sequence[str], bound: float) -> bool:
        """Whether a row that says so is removed."""
        value = self.measure(said)
        return value < bound if self.least else value > bound


def _characters(said: Sequence[str]) -> float:
    return sum(len(text) for text in said)


def _repeated_lines(said: Sequence[str]) -> float:
    lines = [line for text in said for line in map(str.strip, text.split("\n")) if line]
    return 1 - len(set(lines)) / len(lines) if lines else 0.0


def _repeated_words(said: Sequence[str]) -> float:
    grams: Counter[tuple[str, ...]] = Counter()
    total = 0
    for text in said:
        each = words(text)
        letters = sum(map(len, each))
        total += letters
        size = _CHARACTERS if letters < 2 * len(each) else _GRAM
        grams.update(zip(*(each[start:] for start in range(size)), strict=False))
    repeated = [times * sum(map(len, gram)) for gram, times in grams.items() if times >= _OFTEN]
    return max(repeated, default=0) / total if total else 0.0


def _symbols(said: Sequence[str]) -> float:
    each = [word for text in said for word in text.split()]
    return sum(not any(map(str.isalpha, word)) for word in each) / len(each) if each else 0.0


FILTERS: Mapping[str, Filter] = {
    one.name: one
    for one in (
        Filter("shortest", 16, "fewer than {} characters", _characters, least=True),
        Filter("longest", 200_000, "more than {} characters", _characters),
        Filter("repeated-lines", 0.3, "more than {} of its lines stood before", _repeated_lines),
        Filter("repeated-words", 0.18, "three words in a row make up more than {} of it", _repeated_words),
        Filter("symbols", 0.2, "more than {} of its words have no letter", _symbols),
    )
}


def chosen(asked: Iterable[str]) -> tuple[tuple[str, float], ...]:
    """Filters as a command line names them, `NAME` or `NAME=BOUND`, in the order of `FILTERS`.

    Raises:
        InputError: There is no such filter, or its bound is no number that it can be.
    """
    found: dict[str, float] = {}
    for one in asked:
        name, given, bound = one.partition("=")
        if name not in FILTERS:
            near = get_close_matches(name, FILTERS, n=1)
            raise InputError(
                f"there is no filter `{name}`",
                code="data.filter",
                hints=[f"did you mean `{near[0]}`?" if near else f"known are {', '.join(FILTERS)}"],
            )
        try:
            found[name] = float(bound) if given else FILTERS[name].bound
        except ValueError:
            found[name] = -1.0
        if not 0 <= found[name] < float("inf"):
            raise InputError(
                f"`{bound}` is not a bound of the filter `{name}`",
                code="data.filter",
                hints=[f"for example `{name}={FILTERS[name].bound:g}`"],
            )
    return tuple((name, found[name]) for name in FILTERS if name in found)


def reason(row: Row, filters: Sequence[tuple[str, float]]) -> str | None:
    """Why `row` is removed: the first filter that removes it, with its bound; None where it stays."""
    if not filters:
        return None
    said = tuple(texts(row))
    for name, bound in filters:
        if FILTERS[name].removes(said, bound):
            return f"{name}: {FILTERS[name].says.format(format(bound, 'g'))}"
    return None
