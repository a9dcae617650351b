"""What is not looked at closely has nothing: screens of many texts at once never miss what one by one is found."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l3_tuning.data import word_runs
from aiops.layers.l3_tuning.data.leak import Evaluation, words_of
from aiops.layers.l3_tuning.data.personal import personal, suspects
from aiops.layers.l3_tuning.data.row import Place, Row

from .clean_rows import TEXTS
from .planting import CHAT, QUESTION, SHORT_QUESTION

WORDS = st.sampled_from(
    ["a", "B", "cd", "Straße", "STRASSE", "中文", "カ・タ", "x_y", "1", "É", "\u0345", "ﬃ", "İ", "𒀀𒀁"]
)
SPACES = st.sampled_from([" ", "  ", "\n", ", ", "_", "-", "\0", "\u3000", "…"])
TEXT = st.lists(st.tuples(WORDS, SPACES), max_size=14).map(lambda parts: "".join(word + space for word, space in parts))


def asking(*questions: str) -> Evaluation:
    evaluation = Evaluation()
    for number, question in enumerate(questions, 1):
        evaluation.add(Place("exam", number), Row("text", text=question))
    return evaluation


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3), st.lists(TEXT, max_size=6), st.data())
def test_every_text_that_leaked_is_suspected(asked: list[str], texts: list[str], data: st.DataObject) -> None:
    texts = [*texts, *(f"{data.draw(TEXT)}.{one.upper()} {data.draw(TEXT)}" for one in asked), *asked]
    random.Random(len(texts)).shuffle(texts)  # noqa: S311 - drawn by a seed
    evaluation = asking(*asked)
    leaked = {number for number, text in enumerate(texts) if evaluation.leaked([text])}
    assert leaked <= evaluation.suspects(texts)


def test_no_clean_text_is_suspected_of_a_leak() -> None:
    evaluation = asking(QUESTION, SHORT_QUESTION)
    texts = [*TEXTS, QUESTION.lower(), *TEXTS, f"He asked: {SHORT_QUESTION} Why?", "who was ada\n lovelace", *TEXTS]
    assert evaluation.suspects(texts) == {len(TEXTS), 2 * len(TEXTS) + 2}
    assert evaluation.suspects([text for text in texts if text.isascii()])
    assert evaluation.suspects([]) == evaluation.suspects(["", "\n"]) == set()


def test_a_question_that_comes_later_is_looked_for_too() -> None:
    evaluation = asking(QUESTION)
    assert evaluation.suspects([SHORT_QUESTION]) == set()
    evaluation.add(Place("exam", 2), Row("text", text=SHORT_QUESTION))
    assert evaluation.suspects([SHORT_QUESTION, QUESTION]) == {0, 1}


def test_texts_are_looked_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = asking(QUESTION, SHORT_QUESTION)
    texts = [TEXTS[0] * 9, QUESTION, "é" + TEXTS[1] * 9, SHORT_QUESTION, "", TEXTS[2], QUESTION]
    assert evaluation.suspects(texts) == {1, 3, 6}
    monkeypatch.setattr(word_runs, "_TOGETHER", 100)
    assert evaluation.suspects(texts) == {1, 3, 6}
    monkeypatch.setattr(word_runs, "_LONGEST", 200)
    assert evaluation.suspects(texts) == {0, 1, 2, 3, 6}


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_the_words_of_arrays_are_those_of_texts(one: str, other: str) -> None:
    evaluation = asking(one)
    words = words_of(one)
    if 0 < len(words) < word_runs.RUN:
        assert evaluation.suspects([other, f" {' '.join(words)}. "]) >= {1}
        assert (0 in evaluation.suspects([other])) == (words_of(other) == words)


@pytest.mark.parametrize("kind", [kind for kind in CHAT if kind.startswith("personal.")])
def test_every_text_with_personal_data_is_suspected(kind: str) -> None:
    rng = random.Random(8)  # noqa: S311 - drawn by a seed
    for number in range(200):
        turns = CHAT[kind](rng, number)
        assert isinstance(turns, list)
        texts = [*rng.sample(TEXTS, 3), *(str(turn["content"]) for turn in turns), *rng.sample(TEXTS, 3)]
        found = {place for place, text in enumerate(texts) if personal(text)}
        assert found
        assert found <= suspects(texts)
        assert all(0 in suspects([texts[place]]) for place in found)


PIECES = st.sampled_from(
    [
        *("jo.doe@acme.io", "@", "+49 151 2345 6789", "手机 13812345678", "4539 1488 0343 6467", "93.184.216.34"),
        *("2a00:1450:4001:82a::200e", "2a00::1:2", "DE44 5001 0517 5407 3249 31", "AKIA2E3QZ7XWPLMNBV4T", "1", "-"),
        *("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n", "é", " ", "\0", "\n", "(415) 555-2671", "٣٤٥٦٧٨٩٠"),
        "eyJhbGciOiJIUz.eyJzdWIiOiIxMj.SflKxwRJSMeKKF2QT4fwpM",
        *("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "xoxb-123456789012-abcdefghijkl"),
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=5).map("".join), max_size=6))
def test_nothing_personal_is_missed(texts: list[str]) -> None:
    assert {number for number, text in enumerate(texts) if personal(text)} <= suspects(texts)


def test_most_clean_texts_are_not_suspected() -> None:
    assert len(suspects(TEXTS)) < len(TEXTS) / 2
