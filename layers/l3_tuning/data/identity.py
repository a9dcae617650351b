"""What a row is, in bytes: one way to write it, so that equal rows have equal digests on any machine. Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from .row import Form, Row, Turn

WIDTH = 16
"""Bytes of a row's digest: by the birthday bound two of 10^12 rows collide with a chance of 10^-15."""


def document(row: Row) -> dict[str, Any]:
    """`row` as JSON-ready values; what is empty is left out."""
    written: dict[str, Any] = {"form": row.form}
    for name, turns in (("turns", row.turns), ("answer", row.answer), ("rejected", row.rejected)):
        if turns:
            written[name] = [_turn_document(turn) for turn in turns]
    if row.text:
        written["text"] = row.text
    if row.tools:
        written["tools"] = [dict(tool) for tool in row.tools]
    return written


def row_of(written: Mapping[str, Any]) -> Row:
    """The row that `document` wrote."""
    form: Form = written["form"]
    return Row(
        form,
        _turns(written.get("turns", ())),
        _turns(written.get("answer", ())),
        _turns(written.get("rejected", ())),
        written.get("text", ""),
        tuple(written.get("tools", ())),
    )


def canonical(row: Row) -> bytes:
    """`row` as JSON in UTF-8, keys sorted, no space between."""
    return orjson.dumps(document(row), option=orjson.OPT_SORT_KEYS)


def digest(written: bytes) -> bytes:
    """The first `WIDTH` bytes of the sha256 of a row in canonical form."""
    return hashlib.sha256(written).digest()[:WIDTH]


def spoken(row: Row) -> Iterator[Turn]:
    """Its turns that are its own: all but those of the system, which whole data sets share word for word."""
    for turn in (*row.turns, *row.answer, *row.rejected):
        if turn.role != "system":
            yield turn


def texts(row: Row) -> Iterator[str]:
    """What it says itself: the text, or the contents of its turns without those of the system."""
    if row.form == "text":
        yield row.text
    else:
        yield from (turn.content for turn in spoken(row))


def question(row: Row) -> str:
    """What is asked: of text all of it, of a chat the first turn of the user, else the user's turns before the answer.

    Rows with one question and several answers share it, so that all of them are on one side of a split.
    """
    if row.form == "text":
        return row.text
    asked = [turn.content for turn in row.turns if turn.role == "user"]
    return "\n\n".join(asked[:1] if row.form == "chat" else asked)


def _turn_document(turn: Turn) -> dict[str, Any]:
    written: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.calls:
        written["calls"] = [dict(call) for call in turn.calls]
    if turn.name is not None:
        written["name"] = turn.name
    if turn.call is not None:
        written["call"] = turn.call
    return written


def _turns(written: Any) -> tuple[Turn, ...]:
    return tuple(
        Turn(one["role"], one["content"], tuple(one.get("calls", ())), one.get("name"), one.get("call"))
        for one in written
    )
