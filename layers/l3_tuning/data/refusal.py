"""Refusal: rows because of which nothing is prepared at all, so that none is lost without a word."""

from collections import Counter
from collections.abc import Iterable

from aiops.layers.core.errors import InputError, Problem

from .fault import CATALOGUE
from .preparation import Preparation
from .work import Removed, Step, Work, chunk_file, removed_of

REFUSED = "refused"
"""The step of a row that is refused for its length; one that the check finds wrong is refused for its kind."""

_SHOWN = 5


def refused(preparation: Preparation, one: Removed) -> bool:
    """Whether nothing may be prepared because of a row."""
    return one.step == REFUSED or (one.step == "check" and kind_of(one) not in preparation.allow)


def kind_of(one: Removed) -> str:
    """Of what the check finds, its kind."""
    return one.reason.partition(":")[0]


def refuse(work: Work, steps: Iterable[Step]) -> None:
    """See whether what some steps have removed lets anything come of it.

    Raises:
        InputError: It does not; with the first places, and what can be done.
    """
    preparation = work.preparation
    problems: list[Problem] = []
    kinds: Counter[str] = Counter()
    for step in steps:
        for chunk in work.chunks(step):
            which, number = chunk_file(chunk)
            file = (preparation.train if which == "t" else preparation.evaluation)[number]
            for one in removed_of(work.load(step, chunk, "removed")[0]):
                if refused(preparation, one):
                    kinds["length" if one.step == REFUSED else kind_of(one)] += 1
                    words = f"{one.reason}, has {one.note}" if one.note else one.reason
                    problems += [Problem(words, file.path, one.line)] if len(problems) < _SHOWN else []
    if not kinds:
        return
    count = kinds.total()
    more = f"; the first {_SHOWN}:" if count > _SHOWN else ":"
    rows = "1 row cannot" if count == 1 else f"{count:,} rows cannot"
    raise InputError(f"{rows} be prepared{more}", code="data.refused", problems=problems, hints=_hints(kinds))


def _hints(kinds: Counter[str]) -> list[str]:
    hints = []
    if kinds.pop("length", 0):
        hints.append("cut longer rows, or leave them out: `--long truncate` or `--long drop`; of a recipe `data.long`")
    for kind, count in kinds.most_common(3):
        advice = f"{CATALOGUE[kind].advice}; or g" if kind in CATALOGUE else "g"
        allow = f"`--allow {kind}`; of a recipe `data.allow: [{kind}]`"
        hints.append(f"{kind} ({count:,}): {advice}o on in spite of it: {allow}")
    return hints
