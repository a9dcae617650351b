"""Rendering: kept rows are compared with an evaluation, masked, split, and become tokens. Shared by many."""

import json
from collections import Counter
from collections.abc import Callable

import orjson

from .evaluation_set import exam_of
from .identity import canonical, row_of
from .leak import Evaluation
from .masking import masked_row
from .minhash import Array
from .preparation import Preparation
from .refusal import REFUSED
from .row import Row
from .split import held_out
from .structure import contents_of
from .tokens import Encoded, Encoder, encoder, shortened
from .work import Removed, Work, chunk_file, pressed, removed_array, unpressed

_LEAKED = "asks what the evaluation asks"


def render(work: Work, rank: int, of: int, told: Callable[[int], None]) -> None:
    """The share `rank` of `of` shares.

    Raises:
        InputError: The evaluation has faults itself.
        FailedError: The file of an evaluation is not any more what was hashed.
    """
    preparation = work.preparation
    mine = [name for number, name in enumerate(work.chunks("examine")) if number % of == rank]
    encoding = encoder(preparation.base, preparation.plan.template, preparation.plan.loss)
    asked = exam_of(preparation) if mine else None
    for name in mine:
        if work.has("render", name):
            rows = len(work.load("render", name, "lines")[0])
        else:
            rows = _chunk(work, name, encoding, asked)
        told(rows)


def _chunk(work: Work, name: str, encoding: Encoder, asked: Evaluation | None) -> int:
    preparation = work.preparation
    lines, written = work.load("examine", name, "lines", "rows")
    of_train = chunk_file(name)[0] == "t"
    kept = work.load("judge", name, "kept")[0].tolist() if of_train else [True] * len(lines)
    counts: Counter[str] = Counter()
    rendered = _Rendered()
    stay = [
        (line, row_of(orjson.loads(one)))
        for line, one, stays in zip(lines.tolist(), unpressed(written), kept, strict=True)
        if stays
    ]
    # Before anything is masked, as a check sees it.
    leaks = asked.leaks([contents_of(row) for _, row in stay]) if asked is not None and of_train else {}
    rows: list[tuple[int, Row]] = []
    for number, (line, row) in enumerate(stay):
        if number in leaks:
            rendered.removed.append(Removed(line, "decontaminate", _LEAKED, str(leaks[number])))
        else:
            rows.append((line, masked_row(row, preparation.plan.mask, counts)))
    for (line, row), encoded in zip(rows, encoding.encoded([row for _, row in rows]), strict=True):
        got = _fitted(preparation, encoded, line)
        if isinstance(got, Removed):
            rendered.removed.append(got)
        else:
            out = not of_train or held_out(row, preparation.plan.held_out)
            rendered.add(line, row, got, held_out=out)
    work.save("render", name, **rendered.arrays(counts))
    return len(rendered.lines)


def _fitted(preparation: Preparation, encoded: Encoded | str, line: int) -> Encoded | Removed:
    """The tokens of a row at most `length` long, or why it is not learnt from."""
    if isinstance(encoded, str):
        return Removed(line, "check", f"template.error: {encoded}")
    length = preparation.plan.length
    if encoded.tokens > length:
        note = f"{encoded.tokens} tokens"
        if preparation.plan.long == "error":
            return Removed(line, REFUSED, f"longer than {length} tokens", note=note)
        if preparation.plan.long == "drop":
            return Removed(line, "length", f"longer than {length} tokens", note=note)
        cut = shortened(encoded, length)
        if cut is None:
            return Removed(line, "length", f"cut at {length} tokens, nothing of the answer is left", note=note)
        encoded = cut
    if not encoded.counted:
        return Removed(line, "check", "answer.empty: the loss counts none of its tokens")
    return encoded


class _Rendered:
    """What comes of a chunk."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.removed: list[Removed] = []
        self._written: list[bytes] = []
        self._sides: list[bool] = []
        self._sizes: list[list[int]] = []
        self._tokens: list[int] = []
        self._mask = bytearray()

    def add(self, line: int, row: Row, encoded: Encoded, *, held_out: bool) -> None:
        """One more row."""
        self.lines.append(line)
        self._written.append(canonical(row))
        self._sides.append(held_out)
        self._sizes.append([len(part) for part in encoded.parts])
        for part, mask in zip(encoded.parts, encoded.masks, strict=True):
            self._tokens += part
            self._mask += mask

    def arrays(self, masked: Counter[str]) -> dict[str, Array]:
        """All of it."""
        import numpy as np

        parts = len(self._sizes[0]) if self._sizes else 1
        return {
            "lines": np.array(self.lines, np.uint64),
            "rows": pressed(self._written),
            "held_out": np.array(self._sides, np.bool_),
            "sizes": np.array(self._sizes, np.int64).reshape(-1, parts),
            "tokens": np.array(self._tokens, np.uint32),
            "mask": np.frombuffer(bytes(self._mask), np.uint8),
            "removed": removed_array(self.removed),
            "masked": pressed([json.dumps(masked, sort_keys=True).encode()]),
        }
