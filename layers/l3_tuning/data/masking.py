"""Masking: personal data in a row is replaced by the name of its kind, `[EMAIL]`. Pure."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from .personal import personal
from .row import Row, Turn


def masked_row(row: Row, kinds: Collection[str], counts: Counter[str]) -> Row:
    """`row` with all personal data of `kinds` masked: in texts, and in what tools are called with.

    Args:
        row: A row.
        kinds: Names of kinds.
        counts: Where each that is masked is counted.
    """
    if not kinds:
        return row
    return replace(
        row,
        turns=_turns(row.turns, kinds, counts),
        answer=_turns(row.answer, kinds, counts),
        rejected=_turns(row.rejected, kinds, counts),
        text=_text(row.text, kinds, counts),
    )


def _turns(turns: tuple[Turn, ...], kinds: Collection[str], counts: Counter[str]) -> tuple[Turn, ...]:
    return tuple(
        replace(
            turn,
            content=_text(turn.content, kinds, counts),
            calls=tuple(_call(call, kinds, counts) for call in turn.calls),
        )
        for turn in turns
    )


def _text(text: str, kinds: Collection[str], counts: Counter[str]) -> str:
    found = [one for one in personal(text) if one.kind in kinds] if text else []
    for one in reversed(found):  # from behind, so that places before stay right
        counts[one.kind] += 1
        text = f"{text[: one.start]}[{one.kind.upper()}]{text[one.end :]}"
    return text


def _call(value: Any, kinds: Collection[str], counts: Counter[str]) -> Any:
    """A call with its values masked; arguments that were JSON stay JSON."""
    if isinstance(value, Mapping):
        return {key: _call(one, kinds, counts) for key, one in value.items()}
    if isinstance(value, list):
        return [_call(one, kinds, counts) for one in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        said = _text(str(value), kinds, counts)
        return value if said == str(value) else said
    return _argument(value, kinds, counts) if isinstance(value, str) else value


def _argument(value: str, kinds: Collection[str], counts: Counter[str]) -> str:
    try:
        inner = json.loads(value)
    except ValueError:
        inner = None
    if not isinstance(inner, dict | list):
        return _text(value, kinds, counts)
    hidden = _call(inner, kinds, counts)
    return value if hidden == inner else json.dumps(hidden, ensure_ascii=False)
