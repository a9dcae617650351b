"""Asks as documents: what is written is read again, and what anybody makes up is refused in words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.ask import Ask
from aiops.layers.l0_nodes.fact_reading import fact_asks
from aiops.layers.l0_nodes.vendor import vendors_of

WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=3).map(tuple)
ASKS = st.builds(
    Ask,
    st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True),
    argv=WORDS,
    paths=WORDS,
    timeout=st.floats(0.1, 100.0),
    max_bytes=st.integers(1, 1 << 24),
    scratch=st.booleans(),
    tail=st.booleans(),
    makers=WORDS,
    environment=st.dictionaries(st.sampled_from("AB"), st.just("{scratch}")).map(lambda one: tuple(one.items())),
    alone=st.booleans(),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(ASKS)
def test_an_ask_survives_its_document(ask: Ask) -> None:
    assert Ask.of(json.loads(json.dumps(ask.document()))) == ask


def test_those_of_facts_do() -> None:
    asks = fact_asks(vendors_of(Plugins()))
    assert tuple(Ask.of(one.document()) for one in asks) == asks


@given(JSON | st.dictionaries(st.sampled_from([*list(Ask("a").document()), "makers", "environment"]), JSON))
def test_whatever_else_is_refused_or_an_ask(document: Any) -> None:
    try:
        found = Ask.of(document)
    except InputError:
        return
    assert found.document()["name"] == document["name"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../../etc/cron.d/x"}, "is no name"),
        ({"name": None}, "`name` is NoneType"),
        ({"name": "a" * 101}, "is no name"),
        ({"argv": "rm -rf /"}, "`argv` is str"),
        ({"argv": ["df", 7]}, "int stands where a text should"),
        ({"argv": ["df", "a\0b"]}, "can be given"),
        ({"paths": ["/\ud800"]}, "can be given"),
        ({"environment": {"A": None}}, "NoneType stands"),
        ({"timeout": True}, "`timeout` is bool"),
        ({"timeout": float("nan")}, "no time"),
        ({"timeout": float("inf")}, "no time"),
        ({"timeout": 10**400}, "too large"),
        ({"max_bytes": -1}, "no room"),
        ({"max_bytes": 1.5}, "`max_bytes` is float"),
        ({"user": "root"}, "`user` is nothing"),
    ],
)
def test_what_is_wrong_with_it_is_said(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Ask.of({**Ask("plan.disk", ("df",)).document(), **change})
