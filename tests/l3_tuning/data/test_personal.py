"""Personal data is found where it stands, and what only looks like it is left alone."""

import random

import pytest

from aiops.layers.l3_tuning.data.personal import personal

from .clean_rows import TEXTS
from .planting import CHAT


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        ("write to jo.doe@acme.io.", "email", "jo.doe@acme.io"),
        ("<Anna_Schmidt+x@mail.uni-koeln.de>", "email", "Anna_Schmidt+x@mail.uni-koeln.de"),
        ("call +49 151 2345 6789 now", "phone", "+49 151 2345 6789"),
        ("(415) 555-2671", "phone", "(415) 555-2671"),
        ("手机：13812345678。", "phone", "13812345678"),  # noqa: RUF001 - as it is written there
        ("pay with 4539 1488 0343 6467, thanks", "card", "4539 1488 0343 6467"),
        ("3782-822463-10013", "card", "3782-822463-10013"),
        ("3782-822463-10014", "card", None),
        ("IBAN DE44 5001 0517 5407 3249 31", "iban", "DE44 5001 0517 5407 3249 31"),
        ("ip=93.184.216.34;", "ip", "93.184.216.34"),
        ("2a00:1450:4001:82a::200e is up", "ip", "2a00:1450:4001:82a::200e"),
        ("key AKIA2E3QZ7XWPLMNBV4T", "key", "AKIA2E3QZ7XWPLMNBV4T"),
    ],
)
def test_what_is_found(text: str, kind: str, what: str | None) -> None:
    found = [(one.kind, text[one.start : one.end]) for one in personal(text)]
    assert found == ([] if what is None else [(kind, what)])


@pytest.mark.parametrize("text", TEXTS)
def test_what_only_looks_like_it(text: str) -> None:
    assert personal(text) == []


@pytest.mark.parametrize("kind", [kind for kind in CHAT if kind.startswith("personal.")])
def test_each_that_is_planted_is_found_alone_whatever_stands_around(kind: str) -> None:
    rng = random.Random(5)  # noqa: S311 - drawn by a seed
    for number in range(100):
        turns = CHAT[kind](rng, number)
        assert isinstance(turns, list)
        text = "\n".join(turn["content"] for turn in turns)
        assert {f"personal.{one.kind}" for one in personal(text)} == {kind}
        padded = f"{rng.choice(TEXTS)}\n\n{text}\n\n{rng.choice(TEXTS)}"
        assert {f"personal.{one.kind}" for one in personal(padded)} == {kind}


def test_long_text_of_the_wrong_kind_takes_no_time() -> None:
    for text in (
        "a" * 200_000,
        "1 " * 100_000,
        "a." * 100_000 + "@",
        "@" * 100_000,
        "12:" * 60_000,
        "eyJ" * 50_000,
        "+1 " * 60_000,
    ):
        assert personal(text) == [] or text.startswith(("1 ", "+1"))
