"""Template: what the model is served with must render and tokenise as what it was trained on.

A model that was trained under one template and is served under another answers worse, and nothing says why. So rows of
the prepared data are rendered and tokenised again, with the tokenizer and the template that are about to be handed on,
and must become the very tokens that were learnt.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from .samples import Samples
from .work import RefusedError, Work

ROWS = 64
"""So many are compared, spread over the data."""

_DAY = date(2024, 7, 26)
"""Prepared data has this day wherever a template writes today's (`layers/l3_tuning/data/tokens.py`)."""


def text_of(work: Work) -> str | None:
    """The text of the recipe's own template; None for the base's."""
    return None if work.template is None else Path(work.template).read_text(encoding="utf-8")


def serving_tokenizer(work: Work) -> Any:
    """The tokenizer that is handed on: the base's, with the template that was trained with."""
    from .model import tokenizer_of

    tokenizer = tokenizer_of(Path(work.base))
    own = text_of(work)
    if own is not None:
        tokenizer.chat_template = own
    return tokenizer


def digest(tokenizer: Any) -> str | None:
    """sha256 of a tokenizer's template; None where it has none."""
    told = tokenizer.chat_template
    if told is None:
        return None
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def messages(turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Turns of a prepared row as templates take them."""
    names = {"calls": "tool_calls", "call": "tool_call_id"}
    return [{names.get(key, key): value for key, value in turn.items()} for turn in turns]


def rendered(tokenizer: Any, turns: Sequence[Mapping[str, Any]], tools: Any = None, *, ask: bool = False) -> list[int]:
    """A conversation as tokens, rendered as a whole and tokenised as one text, as whoever serves it does it."""
    text = tokenizer.apply_chat_template(
        messages(turns), tools=tools or None, tokenize=False, add_generation_prompt=ask, strftime_now=_DAY.strftime
    )
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def prepared_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of prepared data, in the order of its samples."""
    import zstandard

    with (folder / "rows.jsonl.zst").open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        rest = b""
        while block := stream.read(1 << 20):
            *lines, rest = (rest + block).split(b"\n")
            yield from (json.loads(line) for line in lines)
        if rest:
            yield json.loads(rest)


def compare(work: Work, tokenizer: Any) -> int:
    """Compare rows of the data with what a tokenizer and its template make of them; how many.

    Raises:
        RefusedError: One becomes other tokens, or there is none to compare.
    """
    if work.form == "text":
        return 0  # no template is used
    samples = Samples(Path(work.data), work.form, packed=work.packed)
    every = max(1, len(samples) // ROWS)
    compared = 0
    for line in prepared_rows(Path(work.data)):
        if line["sample"] % every:
            continue
        for learnt, turns in _pairs(samples, line):
            again = rendered(tokenizer, turns, line["row"].get("tools"))
            # Long rows may have been cut at the end, and preferences end with what is learnt of them.
            if not learnt or again[: len(learnt)] != learnt:
                raise RefusedError(_words(line, learnt, again))
            compared += 1
        if compared >= 2 * ROWS:
            break
    if not compared:
        raise RefusedError(f"{work.data} has no rows that the template could be compared with")
    return compared


def _pairs(samples: Samples, line: Mapping[str, Any]) -> Iterator[tuple[list[int], list[Any]]]:
    row = line["row"]
    sequences = samples.sequences(line["sample"])
    if row["form"] == "preference":
        for one, answer in zip(sequences, ("answer", "rejected"), strict=True):
            yield one.tokens.tolist(), row["turns"] + row[answer]
        return
    (whole,) = sequences
    tokens = whole.tokens
    if whole.segments is not None:
        tokens = tokens[whole.segments == line["segment"]]
    yield tokens.tolist(), row.get("turns", []) + row.get("answer", [])


def _words(line: Mapping[str, Any], learnt: Sequence[int], again: Sequence[int]) -> str:
    place = next((n for n, (one, other) in enumerate(zip(learnt, again, strict=False)) if one != other), len(again))
    return (
        f"{line['file']}:{line['line']}: the template or the tokenizer is not the one of the prepared data: from "
        f"token {place + 1} on it becomes others than were prepared ({list(learnt[place : place + 4])}, now "
        f"{list(again[place : place + 4])}). Nothing is handed on.\n\nhint: prepare the data with the template that "
        "the model is to be served with: `template:` below `data:` of the recipe"
    )
