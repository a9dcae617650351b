"""Parity: what a tuned model is served with must render and tokenise as what it was trained on.

A model that was trained under one template and is served under another answers worse, and nothing says why. So rows of
the prepared data are rendered and tokenised again with the tokenizer and the template that are about to be handed on,
and must become the very tokens that were prepared.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiops.layers.core.errors import FailedError, InputError

from .data.identity import row_of
from .data.prepared_rows import Kept, spread
from .data.template import Template, read_template
from .data.tokenizer import FILE, read_tokenizer
from .data.tokens import Encoded, Encoder
from .recipe import Loss

ROWS: Final = 64
"""So many are compared, spread over the data."""


@dataclass(frozen=True, slots=True)
class Parity:
    """What was compared.

    Attributes:
        template: sha256 of the chat template; None where there is none.
        rows: That became the same tokens.
    """

    template: str | None
    rows: int


def parity(model: Path, data: Path, loss: Loss) -> Parity | None:
    """Compare rows of prepared data with what a model's own tokenizer and template make of them.

    Args:
        model: The folder that is handed on.
        data: The prepared data.
        loss: What was counted.

    Returns:
        What was compared; None where the folder has no tokenizer, as that of a bare adapter.

    Raises:
        FailedError: A row becomes other tokens (`artefact.template`).
    """
    if not (model / FILE).is_file():
        return None
    try:
        tokenizer = read_tokenizer(model)
        template = read_template(tokenizer)
    except InputError as error:
        raise _otherwise(error.message) from error
    encoder = Encoder(tokenizer, template, loss)
    rows = 0
    for kept in spread(data, ROWS):
        (again,) = encoder.encoded([row_of(kept.row)])
        _require_same(kept, again)
        rows += 1
    return Parity(_digest(template), rows)


def _require_same(kept: Kept, again: Encoded | str) -> None:
    place = f"{kept.file}:{kept.line}"
    if isinstance(again, str):
        raise _otherwise(f"{place}: {again}")
    for learnt, now in zip(kept.parts, again.parts, strict=True):
        before = learnt.tolist()
        # Long rows may have been cut at their end.
        if list(now[: len(before)]) != before:
            at = next((n for n, (one, other) in enumerate(zip(before, now, strict=False)) if one != other), len(now))
            told = f"{before[at : at + 4]}, now {list(now[at : at + 4])}"
            raise _otherwise(f"{place}: from token {at + 1} on it becomes others than were prepared ({told})")


def _otherwise(words: str) -> FailedError:
    return FailedError(
        f"the tokenizer or the template of the tuned model is not that of the prepared data: {words}; nothing is "
        "handed on",
        code="artefact.template",
        hints=["prepare the data with what the model is served with: `data.template`, or the base's own"],
    )


def _digest(template: Template | None) -> str | None:
    """As the shipped trainer says it: over what transformers calls `chat_template`, a text or several by name."""
    if template is None:
        return None
    said = dict(template.sources)
    whole = said["default"] if list(said) == ["default"] else said
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
