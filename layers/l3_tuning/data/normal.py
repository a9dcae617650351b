"""Normal form of a row's texts: three changes and no others, so that code inside a turn stays as it was. Pure.

1. Unicode NFC: `e` and a combining accent become `é`. What is composed is fixed for ever by Unicode's stability policy
   (https://www.unicode.org/policies/stability_policy.html) for every character that the Unicode of the running Python
   knows; Python 3.11, the oldest that aiops runs on, knows 14.0.
2. Line ends: CR LF and CR become LF.
3. Space around: blank lines before the first that says something, and all white space behind the last. The first line
   keeps its indentation where others follow, since it may be code; a single line loses it.

Nothing else is touched: tabs, runs of spaces, quotes, case, zero-width characters, tool calls and tool definitions.
"""

import re
import unicodedata
from dataclasses import replace

from .row import Row, Turn

_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)+")


def normal(text: str) -> str:
    """`text` in normal form; the normal form of that is itself."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.rstrip()
    if "\n" not in text:
        return text.lstrip()
    blank = _BLANK_LINES.match(text)
    if blank is not None:
        text = text[blank.end() :]
    return text if "\n" in text else text.lstrip()


def normal_row(row: Row) -> Row:
    """`row` with all its texts in normal form."""
    return replace(
        row,
        turns=_normal_turns(row.turns),
        answer=_normal_turns(row.answer),
        rejected=_normal_turns(row.rejected),
        text=normal(row.text),
    )


def _normal_turns(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    return tuple(replace(turn, content=normal(turn.content)) for turn in turns)
