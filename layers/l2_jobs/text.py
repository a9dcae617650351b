"""Text that came from a node: what a store, a screen and UTF-8 can hold of it. Pure."""

import re

_UNFIT = re.compile("[\x00\ud800-\udfff]")
"""NUL, which PostgreSQL refuses, and halves of pairs, which no encoding has: JSON and odd file names bring them."""


def plain(text: str, longest: int | None = None) -> str:
    """`text` with U+FFFD for what cannot be kept; at most `longest` letters."""
    return _UNFIT.sub("\ufffd", text[:longest])
