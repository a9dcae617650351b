"""Words, for comparing texts: without case and punctuation, in scripts without spaces one character each. Pure."""

import re

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Chinese
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """The words of `text`, folded in case; of Chinese, Japanese, Thai, Lao, Khmer and Burmese each character.

    Numbers are words like others: two sums that differ in one figure are two.
    """
    return _WORD.findall(text.casefold())
