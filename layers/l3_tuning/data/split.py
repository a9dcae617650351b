"""Split: which rows are held out. It depends on what a row asks and on nothing else. Pure."""

import hashlib

from .identity import question
from .row import Row
from .words import words

_SPACE = 1 << 64


def held_out(row: Row, part: float) -> bool:
    """Whether `row` is held out.

    Its question's words, without case and punctuation, are hashed to a number of [0, 1) that is compared with `part`.
    So a row stays on its side when others come, go or move; rows with one question are on one side; and what a part
    holds out, a larger one holds out too.
    """
    if part <= 0:
        return False
    hashed = hashlib.sha256(b"aiops split\0" + " ".join(words(question(row))).encode()).digest()
    return int.from_bytes(hashed[:8], "big") < part * _SPACE
