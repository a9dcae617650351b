"""The pure parts of preparing: what they change, what they find, and what holds for all rows there can be."""

import json
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.data.duplicate import exact, near
from aiops.layers.l3_tuning.data.filter import FILTERS, chosen, reason
from aiops.layers.l3_tuning.data.identity import canonical, digest, row_of
from aiops.layers.l3_tuning.data.masking import masked_row
from aiops.layers.l3_tuning.data.minhash import BANDS, bands, candidates, shingles, similarity
from aiops.layers.l3_tuning.data.normal import normal, normal_row
from aiops.layers.l3_tuning.data.packing import packed, windows
from aiops.layers.l3_tuning.data.row import Row, Turn
from aiops.layers.l3_tuning.data.split import held_out
from aiops.layers.l3_tuning.data.words import words

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TURNS = st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), TEXT), max_size=4).map(tuple)
ROWS = st.one_of(
    st.builds(lambda text: Row("text", text=text), TEXT),
    st.builds(lambda turns: Row("chat", turns), TURNS),
    st.builds(lambda turns, answer: Row("prompt", turns, answer), TURNS, TURNS),
    st.builds(lambda turns, answer, other: Row("preference", turns, answer, other), TURNS, TURNS, TURNS),
)


def prompt(asked: str, answer: str = "Yes.", system: str = "") -> Row:
    turns = (Turn("system", system),) if system else ()
    return Row("prompt", (*turns, Turn("user", asked)), (Turn("assistant", answer),))


# What a row is


@given(ROWS)
def test_a_row_comes_back_from_its_canonical_form(row: Row) -> None:
    written = canonical(row)
    assert row_of(json.loads(written)) == row
    assert canonical(row_of(json.loads(written))) == written
    assert len(digest(written)) == 16


def test_calls_and_names_are_part_of_a_row() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"b": 1, "a": 2}}}
    row = Row("chat", (Turn("assistant", "", (call,)), Turn("tool", "3", name="f", call="1")), tools=({"type": "f"},))
    back = row_of(json.loads(canonical(row)))
    assert canonical(back) == canonical(row)
    assert (back.turns[0].calls, back.turns[1].call, back.tools) == ((call,), "1", ({"type": "f"},))


# Normal form


@pytest.mark.parametrize(
    ("given_text", "wanted"),
    [
        ("caf\u0065\u0301", "café"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("  said \n", "said"),
        ("\n \t\n    def f():\n        return 1\n\n", "    def f():\n        return 1"),
        ("a\n\n  b\t\t c", "a\n\n  b\t\t c"),
        ("\u200bzero \u00a0width", "\u200bzero \u00a0width"),
        ("\ufb01ne ½", "\ufb01ne ½"),
        (" \n ", ""),
    ],
)
def test_normal_form_changes_these_and_nothing_else(given_text: str, wanted: str) -> None:
    assert normal(given_text) == wanted


@given(TEXT)
def test_normal_form_of_normal_form_is_itself(text: str) -> None:
    assert normal(normal(text)) == normal(text)


@given(st.text("ab\n \tdef():#", max_size=80))
def test_code_within_a_text_is_untouched(code: str) -> None:
    assert normal(f"x\n{code}\nx") == f"x\n{code}\nx"


# Filters


def test_filters_are_off_until_asked_for() -> None:
    assert reason(prompt("", ""), ()) is None
    assert chosen([]) == ()


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("shortest", "Too short.", "This is long enough to be kept."),
        ("longest", "word " * 60_000, "word " * 100),
        ("repeated-lines", "one line\n" * 5, "one\ntwo\nthree\nfour\none"),
        ("repeated-words", "buy it now " * 20, "each of these words is said but once in all of this"),
        ("symbols", "word ### --- *** !!! ??? word", "a table | with a few | columns is fine"),
    ],
)
def test_each_filter_removes_what_it_says_and_keeps_the_rest(name: str, bad: str, good: str) -> None:
    filters = chosen([name])
    assert filters == ((name, FILTERS[name].bound),)
    assert (reason(Row("text", text=bad), filters) or "").startswith(f"{name}: ")
    assert reason(Row("text", text=good), filters) is None
    assert reason(Row("text", text=""), chosen(["repeated-lines", "repeated-words", "symbols"])) is None


def test_filters_of_no_language_keep_chinese() -> None:
    assert (
        reason(Row("text", text="集群有十六个节点, 每个节点有八个加速器, 它们共享一个网络。"), chosen(list(FILTERS)))
        is None
    )


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("shortes", "did you mean `shortest`?"),
        ("symbols=many", "for example `symbols=0.2`"),
        ("symbols=-1", "symbols="),
    ],
)
def test_a_wrong_filter_is_told(asked: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        chosen([asked])
    assert hint in caught.value.hints[0]


# Duplicates


@given(st.lists(st.integers(0, 5), max_size=40))
def test_exact_duplicates_are_all_but_the_first(values: list[int]) -> None:
    digests = np.array([[value, value * 7] for value in values], np.uint64).reshape(-1, 2)
    assert exact(digests).tolist() == [
        -1 if values.index(value) == place else values.index(value) for place, value in enumerate(values)
    ]


def test_words_are_folded_and_scripts_without_spaces_are_taken_apart() -> None:
    assert words("The CAT, naïve: 3.14!") == ["the", "cat", "naïve", "3", "14"]
    assert words("集群 has 八 nodes") == ["集", "群", "has", "八", "nodes"]


def _similar(rows: list[Row]) -> dict[int, tuple[int, float]]:
    of, ends = shingles(rows)
    starts = [0, *ends.tolist()]
    keys = bands(of, ends)
    groups = candidates((keys[:, band] for band in range(BANDS)), np.ones(len(rows), np.bool_))
    return near(groups, lambda row: of[starts[row] : starts[row + 1]])


def test_shingles_do_not_depend_on_which_rows_are_hashed_together() -> None:
    dice = Random(3)  # noqa: S311
    rows = [
        prompt(" ".join(dice.choices("abcdefgh", k=dice.randint(0, 12))), dice.choice(["", "a b", "集群有十六个节点"]))
        for _ in range(60)
    ]
    of, ends = shingles(rows)
    keys = bands(of, ends)
    starts = [0, *ends.tolist()]
    for number, row in enumerate(rows):
        alone, end = shingles([row])
        assert alone.tolist() == of[starts[number] : starts[number + 1]].tolist() == sorted(set(alone.tolist()))
        assert bands(alone, end)[0].tolist() == keys[number].tolist()


def test_similarity_is_that_of_the_shingles() -> None:
    one, other = "a b c d e f g h i j", "a b c d e f g h i k"
    of, ends = shingles([Row("text", text=one), Row("text", text=other)])
    assert similarity(of[: ends[0]], of[ends[0] :]) == 5 / 7


def test_a_shared_system_prompt_makes_no_duplicates() -> None:
    system = "You are a helpful assistant of the cluster and answer shortly, in full sentences, and never lie. " * 20
    rows = [prompt(f"What is the {word}?", f"It is {word}.", system) for word in ("fabric", "queue", "lease", "fence")]
    assert _similar(rows) == {}


def test_sums_that_differ_in_a_figure_are_no_duplicates() -> None:
    assert _similar([prompt(f"What is {n} + {n + 1}?", f"It is {2 * n + 1}.") for n in range(100)]) == {}


def planted(seed: int, rows: int, changed: float) -> tuple[list[Row], int]:
    """Rows of random words, and behind them a copy of each with so many of its words changed."""
    dice = Random(seed)  # noqa: S311
    lexicon = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(3, 9))) for _ in range(5000)]
    texts = [dice.choices(lexicon, k=dice.randint(80, 200)) for _ in range(rows)]
    copies = []
    for text in texts:
        copy = list(text)
        for place in dice.sample(range(len(copy)), max(round(changed * len(copy)), 1)):
            copy[place] = dice.choice(lexicon)
        copies.append(copy)
    return [Row("text", text=" ".join(text)) for text in (*texts, *copies)], rows


def test_planted_near_duplicates_are_found_and_no_others() -> None:
    rows, count = planted(1, 300, 0.01)
    found = _similar(rows)
    assert all(row >= count and other == row - count for row, (other, _) in found.items())
    assert len(found) >= 0.97 * count  # 1 of 100 words changed is 5 of about 100 shingles: a similarity of about 0.91
    rows, count = planted(2, 300, 0.2)
    assert _similar(rows) == {}


def test_what_is_removed_resembles_something_that_stays() -> None:
    dice = Random(5)  # noqa: S311
    text = [f"w{dice.randrange(9999)}" for _ in range(150)]
    rows = []
    for _ in range(60):  # each differs from the one before in one word: a chain
        text[dice.randrange(len(text))] = f"w{dice.randrange(9999)}"
        rows.append(Row("text", text=" ".join(text)))
    removed = _similar(rows)
    of, ends = shingles(rows)
    starts = [0, *ends.tolist()]
    sets = [of[starts[row] : starts[row + 1]] for row in range(len(rows))]
    assert 0 < len(removed) < len(rows) - 1
    for row, (other, alike) in removed.items():
        assert other not in removed
        assert other < row
        assert alike == similarity(sets[row], sets[other]) >= 0.8


# Masking


@pytest.mark.parametrize("kind", ["email", "ip"])
@given(before=TEXT, after=TEXT)
@settings(max_examples=50)
def test_masking_twice_is_masking_once(kind: str, before: str, after: str) -> None:
    row = Row("text", text=f"{before} jane.doe@corp-mail.com 8.9.101.43 {after}")
    once = masked_row(row, [kind], Counter())
    again: Counter[str] = Counter()
    assert masked_row(once, [kind], again) == once
    assert not again


def test_only_the_kinds_asked_for_are_masked_and_counted() -> None:
    row = prompt("Ask jane.doe@corp-mail.com at 8.9.101.43.", "Done: jane.doe@corp-mail.com, j.roe@corp-mail.com")
    counts: Counter[str] = Counter()
    masked = masked_row(row, ["email"], counts)
    assert masked == prompt("Ask [EMAIL] at 8.9.101.43.", "Done: [EMAIL], [EMAIL]")
    assert counts == {"email": 3}
    assert masked_row(row, [], counts) is row


def test_arguments_of_calls_are_masked_and_stay_json() -> None:
    def row(arguments: Any) -> Row:
        call = {"id": "1", "type": "function", "function": {"name": "send", "arguments": arguments}}
        return Row("chat", (Turn("user", "x"), Turn("assistant", "", (call,))))

    for arguments in ('{"to": "jane.doe@corp-mail.com", "card": 4539148803436467}', {"to": "jane.doe@corp-mail.com"}):
        masked = masked_row(row(arguments), ["email", "card"], Counter())
        said = masked.turns[1].calls[0]["function"]["arguments"]
        said = json.loads(said) if isinstance(said, str) else said
        assert said["to"] == "[EMAIL]"
        assert said.get("card", "[CARD]") == "[CARD]"


# Split


def test_a_split_depends_on_the_question_alone() -> None:
    rows = [prompt(f"Question {n}?", f"Answer {n}.") for n in range(4000)]
    out = [held_out(row, 0.05) for row in rows]
    assert 150 < sum(out) < 250
    for row, side in zip(rows, out, strict=True):
        assert held_out(replace(row, answer=(Turn("assistant", "Another answer."),)), 0.05) == side
        assert not side or held_out(row, 0.06)
    assert not any(held_out(row, 0.0) for row in rows)


# Packing


@given(st.lists(st.integers(1, 64), max_size=200), st.integers(64, 200))
def test_packing_loses_and_splits_nothing(lengths: list[int], length: int) -> None:
    samples = packed(lengths, length)
    assert sorted(row for rows in samples for row in rows) == list(range(len(lengths)))
    assert all(0 < sum(lengths[row] for row in rows) <= length for rows in samples)
    assert all(rows == sorted(rows) for rows in samples)
    assert samples == sorted(samples)
    assert len(samples) <= 1.23 * -(-sum(lengths) // length) + 1 or max(lengths) > length // 3


@given(st.lists(st.integers(1, 64), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_packing_is_as_tight_in_any_order(lengths: list[int], dice: Random) -> None:
    shuffled = list(lengths)
    dice.shuffle(shuffled)
    rooms = [sorted(sum(of[row] for row in rows) for rows in packed(of, 64)) for of in (lengths, shuffled)]
    assert rooms[0] == rooms[1]


def test_packing_fits_best() -> None:
    assert packed([50, 30, 20, 45, 5], 100) == [[0, 3, 4], [1, 2]]
    with pytest.raises(ValueError, match="do not fit"):
        packed([101], 100)
    with pytest.raises(ValueError, match="do not fit"):
        packed([0, 1], 100)
    assert packed([], 100) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=50))
def test_windows_are_bounded_and_leave_nothing_out(sizes: list[tuple[int, int]]) -> None:
    counts = windows(sizes, rows=20, tokens=200)
    assert sum(counts) == len(sizes)
    rest = iter(sizes)
    for count in counts:
        window = [next(rest) for _ in range(count)]
        assert sum(rows for rows, _ in window) <= 20
        assert sum(tokens for _, tokens in window) <= 200


@given(ROWS)
def test_normal_rows_stay_what_they_are(row: Row) -> None:
    normal_ = normal_row(row)
    assert normal_row(normal_) == normal_
    assert (normal_.form, len(normal_.turns), normal_.tools) == (row.form, len(row.turns), row.tools)
