"""What is recognised at once is what is read row by row, and nothing that has a flaw is recognised."""

import json
import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l3_tuning.data.encoding import STRANGE, strange_bytes, text_flaws
from aiops.layers.l3_tuning.data.form import read_row
from aiops.layers.l3_tuning.data.recognition import recogniser, row_of
from aiops.layers.l3_tuning.data.row import FORMS, Row
from aiops.layers.l3_tuning.data.structure import flaws_of, identity

from . import clean_rows
from .planting import CHAT, planted

_TEXTS = st.one_of(st.sampled_from(["", " ", "a", "b", "cafÃ©", "a\x07", "\ufffd", "\ufeff"]), st.text(max_size=12))
_ROLES = st.sampled_from(
    ["system", "user", "assistant", "human", "gpt", "tool", "developer", "function_call", "narrator"]
)
_ODD = st.one_of(st.none(), st.integers(), st.lists(st.integers(), max_size=2), st.booleans())
_TURN = st.one_of(
    st.fixed_dictionaries({"role": _ROLES, "content": _TEXTS}),
    st.fixed_dictionaries({"from": _ROLES, "value": _TEXTS}),
    st.fixed_dictionaries(
        {"role": st.one_of(_ROLES, _ODD), "content": st.one_of(_TEXTS, _ODD)}, optional={"weight": _ODD}
    ),
    _ODD,
)
_SAID = st.one_of(_TEXTS, st.lists(_TURN, max_size=4), _ODD)
_KEYS = (
    *(
        "messages",
        "conversations",
        "conversation",
        "prompt",
        "completion",
        "response",
        "instruction",
        "input",
        "output",
    ),
    *("question", "answer", "chosen", "rejected", "text", "system", "tools", "id"),
)
_RECORD = st.one_of(
    st.fixed_dictionaries({"messages": st.lists(_TURN, max_size=4)}),
    st.fixed_dictionaries({"prompt": _SAID, "completion": _SAID}),
    st.fixed_dictionaries({"prompt": _SAID, "chosen": _SAID, "rejected": _SAID}),
    st.dictionaries(st.sampled_from(_KEYS), _SAID, max_size=4),
    _ODD,
)


@settings(max_examples=1500, deadline=None)
@given(_RECORD, st.sampled_from(FORMS))
def test_what_is_recognised_has_no_flaw_and_the_same_identity(record: Any, form: Any) -> None:
    known = recogniser(form)(record, True)
    row = read_row(record, form)  # nothing that JSON can say makes it fail
    flaws = flaws_of(row) if isinstance(row, Row) else row
    if known is not None:
        assert isinstance(row, Row)
        assert flaws == ()
        assert known.identity == identity(row)
        assert row_of(known) == row


@pytest.mark.parametrize("form", clean_rows.FORMS)
def test_most_clean_rows_are_recognised(form: Any) -> None:
    rng = random.Random(1)  # noqa: S311 - drawn by a seed
    rows = [clean_rows.FORMS[form](rng, number) for number in range(200)]
    known = [recogniser(form)(row, True) for row in rows]
    assert sum(one is not None for one in known) > 40
    for row, one in zip(rows, known, strict=True):
        read = read_row(row, form)
        assert isinstance(read, Row)
        assert one is None or (one.identity, row_of(one)) == (identity(read), read)


@pytest.mark.parametrize("kind", CHAT)
def test_no_planted_fault_is_recognised(kind: str) -> None:
    rng = random.Random(2)  # noqa: S311 - drawn by a seed
    for number in range(50):
        try:
            record = orjson.loads(planted(rng, number, kind))
        except orjson.JSONDecodeError:
            continue
        row = read_row(record, "chat")
        if not isinstance(row, Row) or flaws_of(row):
            assert recogniser("chat")(record, True) is None


@settings(max_examples=1500, deadline=None)
@given(
    st.text(
        alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("Ãâ€™©é»…\x07\x7f\x85\ufffd\ufdd0\\b")),
        max_size=20,
    ),
    st.booleans(),
)
def test_bytes_that_are_not_strange_have_no_flaw_in_their_text(text: str, ascii_: bool) -> None:
    flaws = list(text_flaws(text))
    if flaws:
        assert STRANGE.search(text)
        assert strange_bytes(json.dumps({"text": text}, ensure_ascii=ascii_).encode())


@pytest.mark.parametrize(
    "text", ["Straße", "naïve café", "мир", "中文", "àéîõü ÀÉÎÕÜ", "€ £ ¥ §", "“quoted” \u2013 dash…", "👍🏽"]
)
def test_text_that_was_written_twice_is_found(text: str) -> None:
    once = text.encode().decode("cp1252", errors="ignore")
    latin = text.encode().decode("latin-1")
    assert list(text_flaws(text)) == []
    assert "encoding.mojibake" in {flaw.kind for garbled in (once, latin) for flaw in text_flaws(garbled)}
