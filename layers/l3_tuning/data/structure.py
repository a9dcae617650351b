"""Structure: what is wrong with a row by itself, without a tokenizer; and what makes two rows the same. Pure."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from .conversation import misplaced
from .encoding import text_flaws
from .fault import Flaw
from .row import Row, Turn
from .turns import unanswered


def flaws_of(row: Row) -> tuple[Flaw, ...]:
    """What is wrong with a row that could be read."""
    judges = {"chat": _chat, "prompt": _prompt, "preference": _preference, "text": _text}
    flaws = list(judges[row.form](row))
    for where, text in texts(row):
        flaws += (Flaw(flaw.kind, f"{where}: {flaw.reason}") for flaw in text_flaws(text))
    return tuple(flaws)


def texts(row: Row) -> Iterator[tuple[str, str]]:
    """All texts of a row, each with what to call it."""
    if row.form == "text":
        yield "text", row.text
    for called, turns in (("turn", row.turns), ("answer", row.answer), ("rejected", row.rejected)):
        for number, turn in enumerate(turns, 1):
            where = called if len(turns) == 1 and called != "turn" else f"{called} {number}"
            yield where, turn.content
            for call in turn.calls:
                yield from ((f"a call of {where}", text) for text in _strings(call["function"]["arguments"]))


def contents_of(row: Row) -> list[str]:
    """The same texts alone."""
    if row.form == "text":
        return [row.text]
    turns = (*row.turns, *row.answer, *row.rejected)
    if any(turn.calls for turn in turns):
        return [text for _, text in texts(row)]
    return [turn.content for turn in turns]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def identity(row: Row) -> bytes:
    """What two rows share exactly when they say the same: 16 bytes of a digest over all that is learnt."""
    import orjson

    if row.form == "text":
        said: Any = ("text", row.text)
    else:
        said = (row.form, *_said(row.turns))
        if row.form != "chat":
            said += (*_said(row.answer), *(_said(row.rejected) if row.form == "preference" else ()))
        if row.tools:
            said += (row.tools,)
    return hashlib.blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def _said(turns: Sequence[Turn]) -> tuple[Any, ...]:
    """Roles and contents; what few turns have beside only where one has it."""
    plain = ([turn.role for turn in turns], [turn.content for turn in turns])
    beside = [[list(turn.calls), turn.name, turn.call] for turn in turns]
    return (*plain, beside) if any(one != [[], None, None] for one in beside) else plain


def _chat(row: Row) -> Iterator[Flaw]:
    yield from _empty(row.turns, "", last="answer.empty")
    yield from _order(row.turns, "", ("assistant",))


def _prompt(row: Row) -> Iterator[Flaw]:
    yield from _empty(row.turns, "prompt", last="turn.empty")
    yield from _empty(row.answer, "answer", last="answer.empty")
    yield from _asked(row.turns, row.answer, "the answer")


def _preference(row: Row) -> Iterator[Flaw]:
    yield from _empty(row.turns, "prompt", last="turn.empty")
    for answer, called in ((row.answer, "chosen"), (row.rejected, "rejected")):
        if not answer:
            yield Flaw("answer.empty", f"`{called}` has nothing after the prompt")
        yield from _empty(answer, called, last="answer.empty")
    if row.answer == row.rejected:
        yield Flaw("preference.same", "`chosen` and `rejected` are the same")
    elif row.answer and row.rejected:
        yield from _asked(row.turns, row.answer, "`chosen`")
        yield from _asked(row.turns, row.rejected, "`rejected`")


def _text(row: Row) -> Iterator[Flaw]:
    if not row.text.strip():
        yield Flaw("text.empty", "there is nothing in it")


def _empty(turns: Sequence[Turn], part: str, last: str) -> Iterator[Flaw]:
    """Turns that say nothing. A tool may: many commands have no output."""
    for number, turn in enumerate(turns, 1):
        if not turn.calls and turn.role != "tool" and not turn.content.strip():
            kind = last if number == len(turns) and (turn.role == "assistant" or part) else "turn.empty"
            where = f"`{part}`" if part and len(turns) == 1 else f"turn {number}{f' of `{part}`' if part else ''}"
            yield Flaw(kind, f"{where} ({turn.role}) is empty")


def _order(turns: Sequence[Turn], before: str, last: Sequence[str]) -> Iterator[Flaw]:
    words = misplaced([turn.role for turn in turns], before=before, last=last)
    if words is not None:
        yield Flaw("role.order", words)
        return
    flaw = unanswered(turns)
    if flaw is not None:
        yield flaw


def _asked(turns: Sequence[Turn], answer: Sequence[Turn], called: str) -> Iterator[Flaw]:
    """A prompt and an answer to it."""
    words = misplaced([turn.role for turn in turns], last=("user", "tool"))
    if words is not None:
        yield Flaw("role.order", f"the prompt: {words}")
        return
    words = misplaced([turn.role for turn in answer], before=turns[-1].role)
    if words is not None:
        yield Flaw("role.order", f"{called}: {words}")
        return
    flaw = unanswered((*turns, *answer))
    if flaw is not None:
        yield flaw
