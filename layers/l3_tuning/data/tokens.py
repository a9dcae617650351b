"""Tokens: a row as the tokens that a model reads, and which of them the loss counts.

A row is rendered as a whole and tokenised as one text, as it will be when the model is served; only of preferences the
prompt is tokenised by itself, since two answers share it. A token is counted where all of its characters are to be
learnt. The token that ends a turn is among these; the line break that many templates put behind it is not, since nobody
samples on from there.

Templates that write today's date get `DAY`: what is trained on must not depend on when it was prepared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from .row import Row
from .template import RefusedError, Template, read_template
from .tokenizer import Tokenizer, read_tokenizer

Loss = Literal["answer", "all"]
DAY: Final = date(2024, 7, 26)
"""What Llama 3's own templates write where nobody tells them the day."""

BATCH: Final = 64
"""Rows that are tokenised together: some tens of MiB, whatever their number."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as tokens.

    Attributes:
        parts: One; of a preference three: prompt, chosen, rejected.
        masks: For each token of each part 1 where the loss counts it.
    """

    parts: tuple[Sequence[int], ...]
    masks: tuple[bytes, ...]

    @property
    def tokens(self) -> int:
        """Of the longest sequence that a model reads of it."""
        sizes = [len(part) for part in self.parts]
        return sizes[0] + max(sizes[1:], default=0)

    @property
    def counted(self) -> int:
        """Tokens that the loss counts."""
        return sum(map(sum, self.masks))


class _Piece(NamedTuple):
    """A text that is tokenised by itself, and the characters of it to learn."""

    text: str
    spans: tuple[tuple[int, int], ...]


class Encoder:
    """Encodes rows for one model."""

    def __init__(self, tokenizer: Tokenizer, template: Template | None, loss: Loss) -> None:
        """Prepare to encode.

        Args:
            tokenizer: Of the model.
            template: Of its chats; None where all rows are text.
            loss: What is counted.
        """
        self._tokenizer = tokenizer
        self._template = None if template is None else _dated(template)
        self._loss = loss
        self._special = {tokenizer.inner.token_to_id(text) for text in tokenizer.special}

    def encoded(self, rows: Sequence[Row]) -> list[Encoded | str]:
        """The tokens of each row, or why there are none."""
        found: list[Encoded | str] = []
        for start in range(0, len(rows), BATCH):
            found += self._batch(rows[start : start + BATCH])
        return found

    def _batch(self, rows: Sequence[Row]) -> list[Encoded | str]:
        pieces = [self._pieces(row) for row in rows]
        flat = [piece for of_row in pieces if not isinstance(of_row, str) for piece in of_row]
        text = any(row.form == "text" for row in rows)
        tokens = iter(self._tokenizer.encoded([piece.text for piece in flat], special=text))
        found: list[Encoded | str] = []
        for row, of_row in zip(rows, pieces, strict=True):
            if isinstance(of_row, str):
                found.append(of_row)
                continue
            parts, masks = [], []
            for piece in of_row:
                one = next(tokens)
                ids, mask = list(one.ids), self._mask(one.ids, one.offsets, piece, every=text)
                if text and self._tokenizer.eos is not None and ids[-1:] != [self._tokenizer.eos]:
                    ids.append(self._tokenizer.eos)
                    mask += b"\1"
                parts.append(ids)
                masks.append(mask)
            if row.form == "preference":
                self._end_answers(parts, masks)
            found.append(Encoded(tuple(parts), tuple(masks)))
        return found

    def _pieces(self, row: Row) -> tuple[_Piece, ...] | str:
        if row.form == "text":
            return (_Piece(row.text, ()),)
        if self._template is None:
            return "the base has no chat template"
        try:
            rendered = self._template.rendered(row)
        except RefusedError as error:
            return str(error)
        if row.form != "preference":
            return tuple(_Piece(one.text, one.spans) for one in rendered)
        chosen, rejected = rendered
        prompts = [one.text[: one.spans[0][0]] for one in rendered]
        if prompts[0] != prompts[1]:
            return "the template writes the prompt otherwise for another answer"
        answers = [one.text[len(prompts[0]) :] for one in (chosen, rejected)]
        return (_Piece(prompts[0], ()), *(_Piece(one, ((0, len(one)),)) for one in answers))

    def _mask(self, ids: Sequence[int], offsets: Sequence[tuple[int, int]], piece: _Piece, *, every: bool) -> bytes:
        import numpy as np

        if every or (self._loss == "all" and piece.spans):
            return b"\1" * len(ids)
        if not piece.spans or not ids:
            return bytes(len(ids))
        places = np.asarray(offsets, np.int64).reshape(-1, 2)
        starts, ends = places[:, 0], places[:, 1]
        mask: Any = np.zeros(len(ids), np.uint8)
        for begin, end in piece.spans:
            inside = np.flatnonzero((starts >= begin) & (ends <= end) & (ends > starts))
            mask[self._learnt(inside.tolist(), ids, offsets, piece.text)] = 1
        return bytes(mask)

    def _learnt(
        self, inside: list[int], ids: Sequence[int], offsets: Sequence[tuple[int, int]], text: str
    ) -> list[int]:
        """Some tokens without the space behind the last special one of them."""
        last = len(inside)
        while last and ids[inside[last - 1]] not in self._special:
            start, end = offsets[inside[last - 1]]
            if text[start:end].strip():
                return inside
            last -= 1
        return inside[:last] or inside

    def _end_answers(self, parts: list[list[int]], masks: list[bytes]) -> None:
        """Answers of preferences end with what is learnt of them."""
        for number in (1, 2):
            end = masks[number].rfind(b"\1") + 1
            parts[number], masks[number] = parts[number][:end], masks[number][:end]


def encoder(base: str, template: str | None, loss: Loss) -> Encoder:
    """The encoder of a model.

    Args:
        base: Its folder.
        template: A file with another chat template; None for its own.
        loss: What is counted.

    Raises:
        InputError: It has no tokenizer, or its template cannot be read.
    """
    tokenizer = read_tokenizer(Path(base))
    return Encoder(tokenizer, read_template(tokenizer, None if template is None else Path(template)), loss)


def _dated(template: Template) -> Template:
    """The template on `DAY`."""
    named: dict[str, Any] = {**template.named, "strftime_now": DAY.strftime}
    return replace(template, named=named)


def shortened(encoded: Encoded, length: int) -> Encoded | None:
    """`encoded` cut at `length` tokens, from the end; None where nothing that is learnt is left. Pure."""
    prompt, *answers = encoded.parts
    if not answers:
        cut = Encoded((prompt[:length],), (encoded.masks[0][:length],))
        return cut if cut.counted else None
    rest = length - len(prompt)
    if rest <= 0:
        return None
    masks = (encoded.masks[0], *(mask[:rest] for mask in encoded.masks[1:]))
    return Encoded((prompt, *(part[:rest] for part in answers)), masks)
