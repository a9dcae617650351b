"""Recognition: rows that have surely no flaw, at a fraction of the price of reading them. Pure.

A record that is recognised has none of the flaws that `form.read_row` and `structure.flaws_of` would tell, and the same
identity; of one that is not, nothing is said: it is read. Whoever changes those changes this, and a property test
compares them.
"""

import hashlib
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final, NamedTuple

import orjson

from .conversation import misplaced
from .encoding import STRANGE
from .form import CHATS, PAIRS
from .row import Form, Row, Turn
from .turns import ROLES


class Known(NamedTuple):
    """A record that has surely no flaw.

    Attributes:
        identity: As `structure.identity` of its row.
        form: Of the row.
        roles: Of all turns, those of the answers last; none of a plain text.
        contents: What each says; or the plain text.
    """

    identity: bytes
    form: Form
    roles: tuple[str, ...]
    contents: tuple[str, ...]


Recognise = Callable[[Any, bool], Known | None]
"""What is known of a record; None for a doubt. The second argument: whether its characters are searched too."""

_OPENAI: Final = itemgetter("role", "content")
_SHAREGPT: Final = itemgetter("from", "value")
_BESIDE: Final = frozenset({"system", "tools"})
_PLAIN: Final = frozenset({"system", "user", "assistant"})
_ORDERS: Final = 4096
"""Sequences of roles that are remembered; a set has few."""


def recogniser(form: Form) -> Recognise:
    """What recognises rows of a form; it remembers the orders of roles that it met."""
    kinds: dict[Form, Callable[[], Recognise]] = {
        "chat": _Chat,
        "prompt": _Prompt,
        "preference": _Preference,
        "text": _Text,
    }
    return kinds[form]()


def _identity(said: Any) -> bytes:
    return hashlib.blake2b(orjson.dumps(said), digest_size=16).digest()


def row_of(known: Known) -> Row:
    """The row that `form.read_row` would read."""
    if known.form == "text":
        return Row("text", text=known.contents[0])
    turns = tuple(Turn(role, content) for role, content in zip(known.roles, known.contents, strict=True))
    if known.form == "chat":
        return Row("chat", turns)
    return Row(known.form, turns[:1], turns[1:2], turns[2:])


class _Chat:
    """Conversations of nothing but texts, in an order that is right."""

    def __init__(self) -> None:
        self._orders: dict[tuple[str, ...], tuple[str, ...] | None] = {}

    def __call__(self, record: Any, careful: bool) -> Known | None:  # noqa: PLR0911 - each way out is a doubt
        try:
            turns = record.get("messages")
            if turns is None:
                turns = record.get("conversations")
            if len(record) != 1 and (not _BESIDE.isdisjoint(record) or sum(key in record for key in CHATS) != 1):
                return None
            try:
                given, contents = zip(*map(_OPENAI, turns), strict=False)
            except KeyError:
                given, contents = zip(*map(_SHAREGPT, turns), strict=False)
            if sum(map(len, turns)) != 2 * len(turns) or turns.__class__ is not list:
                return None
            roles = self._orders.get(given)
            if roles is None:
                roles = self._learnt(given)
                if roles is None:
                    return None
            if "" in contents or True in map(str.isspace, contents):
                return None
            if careful and STRANGE.search("".join(contents)):
                return None
        except (AttributeError, KeyError, TypeError, ValueError):  # another shape: it is read, and told in words
            return None
        return Known(_identity(("chat", roles, contents)), "chat", roles, contents)

    def _learnt(self, given: tuple[str, ...]) -> tuple[str, ...] | None:
        roles = tuple(ROLES[role] for role in given)
        if not _PLAIN.issuperset(roles) or "function_call" in given or misplaced(roles) is not None:
            return None
        if len(self._orders) < _ORDERS:
            self._orders[given] = roles
        return roles


class _Prompt:
    """Two texts."""

    def __init__(self) -> None:
        self._keys = frozenset(key for pair in PAIRS for key in pair) | _BESIDE
        self._pair = PAIRS[0]

    def __call__(self, record: Any, careful: bool) -> Known | None:
        if record.__class__ is not dict:
            return None
        named = self._keys & record.keys()
        if len(named) != 2:  # noqa: PLR2004 - a pair
            return None
        pair = self._pair
        if not named.issuperset(pair):
            pair = next((one for one in PAIRS if named.issuperset(one)), pair)
            self._pair = pair
        prompt, answer = record.get(pair[0]), record.get(pair[1])
        if not isinstance(prompt, str) or not isinstance(answer, str) or not _speaks(prompt) or not _speaks(answer):
            return None
        if pair[0] == "instruction" and record.get("input"):
            return None
        if careful and STRANGE.search(f"{prompt} {answer}"):
            return None
        identity = _identity(("prompt", ("user",), (prompt,), ("assistant",), (answer,)))
        return Known(identity, "prompt", ("user", "assistant"), (prompt, answer))


class _Preference:
    """Three texts, two of them different."""

    def __call__(self, record: Any, careful: bool) -> Known | None:
        if record.__class__ is not dict or not _BESIDE.isdisjoint(record):
            return None
        prompt, chosen, rejected = record.get("prompt"), record.get("chosen"), record.get("rejected")
        if not isinstance(prompt, str) or not isinstance(chosen, str) or not isinstance(rejected, str):
            return None
        if not (_speaks(prompt) and _speaks(chosen) and _speaks(rejected)) or chosen == rejected:
            return None
        if careful and STRANGE.search(f"{prompt} {chosen} {rejected}"):
            return None
        assistant = ("assistant",)
        identity = _identity(("preference", ("user",), (prompt,), assistant, (chosen,), assistant, (rejected,)))
        return Known(identity, "preference", ("user", "assistant", "assistant"), (prompt, chosen, rejected))


class _Text:
    """One text."""

    def __call__(self, record: Any, careful: bool) -> Known | None:
        text = record.get("text") if record.__class__ is dict else None
        if not isinstance(text, str) or not _speaks(text) or (careful and STRANGE.search(text)):
            return None
        return Known(_identity(("text", text)), "text", (), (text,))


def _speaks(text: str) -> bool:
    return bool(text) and not text.isspace()
