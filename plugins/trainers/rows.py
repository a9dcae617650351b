"""Rows as the tools' own files have them: OpenAI's messages, which all of them read."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiops.layers.l3_tuning.data.row import Row, Turn
from aiops.layers.l3_tuning.run import Run
from aiops.layers.l3_tuning.trainer import Export

TRAIN = "rows/train.jsonl"
EVALUATION = "rows/evaluation.jsonl"


def exports(
    run: Run,
    writer: Callable[[Row], Mapping[str, Any]],
    refuse: Callable[[Row], str | None] | None = None,
) -> tuple[Export, ...]:
    """The rows that are learnt, and those that are held out where there are any, each as `writer` writes it."""
    learnt = Export(TRAIN, "train", writer, refuse)
    return (learnt,) if run.data.held_out is None else (learnt, Export(EVALUATION, "evaluation", writer, refuse))


def message(turn: Turn) -> dict[str, Any]:
    """A turn as OpenAI writes it; what it does not say is left out."""
    found: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.calls:
        found["tool_calls"] = [dict(call) for call in turn.calls]
    if turn.name is not None:
        found["name"] = turn.name
    if turn.call is not None:
        found["tool_call_id"] = turn.call
    return found


def messages(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """Turns as OpenAI writes them."""
    return [message(turn) for turn in turns]


def conversation(row: Row) -> dict[str, Any]:
    """A row that is learnt as one conversation, with what the model may call."""
    found: dict[str, Any] = {"messages": messages((*row.turns, *row.answer))}
    if row.tools:
        found["tools"] = [dict(tool) for tool in row.tools]
    return found


def text(row: Row) -> Mapping[str, Any]:
    """A row of plain text."""
    return {"text": row.text}
