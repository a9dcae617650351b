"""One judge of leaks: what a check tells of rows is what a preparation removes, for all rows and evaluations."""

import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.data import prepared_rows
from aiops.layers.l3_tuning.data.check import Wish, check
from aiops.layers.l3_tuning.data.evaluation_set import evaluation_of
from aiops.layers.l3_tuning.data.leak import Evaluation
from aiops.layers.l3_tuning.data.lesson import Reader
from aiops.layers.l3_tuning.data.normal import normal_row
from aiops.layers.l3_tuning.data.precheck import precheck
from aiops.layers.l3_tuning.data.preparation import preparation_of
from aiops.layers.l3_tuning.data.row import Place, Row, Turn
from aiops.layers.l3_tuning.data.source import sources
from aiops.layers.l3_tuning.data.structure import contents_of
from aiops.layers.l3_tuning.data.template import read_template
from aiops.layers.l3_tuning.data.tokenizer import read_tokenizer
from aiops.layers.l3_tuning.recipe import DataPlan

from .prepared_folder import prepare, write_rows
from .tiny_model import lay_model

MAIL = "ann.lee@corp.io"
CALL = {"id": "1", "type": "function", "function": {"name": "mail"}}
PUT = "Answer with one letter and nothing else please as shortly as ever you can"
"""How each question of an evaluation is put."""

ALLOWED = ("personal.email", "template.drops_text")
"""The template does not write what tools are called with."""

WORD = st.sampled_from(["a", "B", "node", "Nodes", "cafe\u0301", "caf\u00e9", "Straße", "中", MAIL, "K", "\u212a"])
SPACE = st.sampled_from([" ", ", ", "\r\n", "\n", "_", "\u3000"])


@st.composite
def said(draw: st.DrawFn, least: int, most: int) -> str:
    """A text of a few words again and again, so that many are alike."""
    return "".join(draw(WORD) + draw(SPACE) for _ in range(draw(st.integers(least, most))))


@st.composite
def shown(draw: st.DrawFn, questions: list[str]) -> str:
    """A text that may show a question: whole or in part, in another case, and inside of a longer one."""
    text = draw(said(1, 12))
    if draw(st.booleans()):
        words = draw(st.sampled_from(questions)).split()
        kept = words[draw(st.integers(0, 2)) : len(words) - draw(st.integers(0, 2))]
        text = f"{draw(said(0, 3))}{' '.join(kept).upper()} {draw(said(0, 3))}"
    return unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), text) + "."


def row_saying(form: str, number: int, parts: list[str]) -> dict[str, Any]:
    """A row that shows one of its parts in each place where something can be said."""
    asked, answer, system = parts
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    match form:
        case "text":
            return {"text": f"{number}; {' '.join(parts)}"}
        case "prompt":
            return {"prompt": asked, "completion": answer, "system": system}
        case "preference":
            return {"prompt": asked, "chosen": answer, "rejected": f"{system} {number}"}
    call = {**CALL, "function": {"name": "mail", "arguments": {"text": system}}}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    return {"messages": [turns[0], said, {"role": "tool", "content": f"{number}", "tool_call_id": "1"}, turns[1]]}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(lay_model(tmp_path_factory.mktemp("model")))


def told(base: str, file: Path, exam: Path) -> dict[int, str]:
    """What a check tells, by line."""
    tokenizer = read_tokenizer(Path(base))
    reader = Reader(tokenizer, read_template(tokenizer), None)
    report = check(sources([file]), Wish(reader=reader, evaluation=evaluation_of([exam]), most=10**6))
    found = report.shown.get("leak.evaluation", [])
    return {one.place.line: one.reason.split(":")[1].split()[0] for one in found}


def removed(base: str, file: Path, exam: Path, into: Path, **said: Any) -> dict[int, str]:
    """What a preparation removes, by line."""
    plan = DataPlan((str(file),), decontaminate=(str(exam),), duplicates="keep", long="truncate", **said)
    made = prepare(plan, base, into)
    found = list(prepared_rows.removed(into / made.digest))
    assert {one["step"] for one in found} <= {"decontaminate"}
    assert {one["line"] for one in prepared_rows.rows(into / made.digest)}.isdisjoint(one["line"] for one in found)
    return {one["line"]: one["of"].split(":")[1] for one in found}


@settings(max_examples=20, deadline=None)
@given(st.data(), st.sampled_from(["text", "prompt", "preference", "chat"]), st.sampled_from([(), ("email",)]))
def test_what_a_check_tells_is_what_a_preparation_removes(
    base: str, data: st.DataObject, form: str, mask: tuple[str, ...]
) -> None:
    questions = data.draw(st.lists(said(1, 14), min_size=1, max_size=4))
    parts = data.draw(st.lists(st.lists(shown(questions), min_size=3, max_size=3), max_size=6))
    rows = [row_saying(form, 0, ["quite", "other", "things"])]
    rows += [row_saying(form, number, one) for number, one in enumerate(parts, 1)]
    with TemporaryDirectory() as name:
        file = write_rows(Path(name) / "rows.jsonl", rows)
        exam = write_rows(Path(name) / "exam.jsonl", [{"text": one} for one in questions])
        gone = removed(base, file, exam, Path(name) / "data", mask=mask, allow=ALLOWED)
        assert gone == told(base, file, exam)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(["text", "chat"]))
def test_many_at_once_and_in_normal_form_are_judged_as_each_alone(data: st.DataObject, form: str) -> None:
    questions = data.draw(st.lists(said(1, 14), min_size=1, max_size=4))
    evaluation = Evaluation()
    for number, question in enumerate(questions, 1):
        evaluation.add(Place("exam", number), Row("text", text=question))
    rows = []
    for one in data.draw(st.lists(st.lists(shown(questions), min_size=1, max_size=3), max_size=6)):
        turns = tuple(Turn("user", text) for text in one)
        rows.append(Row("text", text=one[0]) if form == "text" else Row("chat", turns))
    alone = {number: place for number, row in enumerate(rows) if (place := evaluation.leaked(contents_of(row)))}
    assert evaluation.leaks([contents_of(row) for row in rows]) == alone
    assert evaluation.leaks([contents_of(normal_row(row)) for row in rows]) == alone


QUESTION = "Which node holds the lease while the old head is away?"
"""Eleven words: fewer than the runs of thirteen that others look for."""


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": f"Please tell me this: {QUESTION.lower()} I forgot.", "completion": "The third."},
        {"prompt": "And now?", "completion": f"You asked: {QUESTION}"},
        {"prompt": "And now?", "completion": "The third.", "system": f"Some will ask: {QUESTION}"},
        {"prompt": f"{MAIL} wants to know: {QUESTION}", "completion": "The third."},
    ],
)
def test_a_question_inside_of_something_longer_is_removed(tmp_path: Path, base: str, row: dict[str, Any]) -> None:
    other = {"prompt": "What is the capital of France, and of what is it the capital?", "completion": "Paris."}
    file = write_rows(tmp_path / "rows.jsonl", [other, row])
    exam = write_rows(tmp_path / "exam.jsonl", [{"prompt": QUESTION, "completion": "never mind"}])
    assert told(base, file, exam) == {2: "1"}
    assert removed(base, file, exam, tmp_path / "data", mask=("email",)) == {2: "1"}


def test_how_questions_are_put_gives_nothing_away(tmp_path: Path, base: str) -> None:
    exam = write_rows(
        tmp_path / "exam.jsonl",
        [{"prompt": f"{PUT} {one} node is it that holds the lease", "completion": "b"} for one in ("which", "what")],
    )
    rows = [{"prompt": f"{PUT} is water wet?", "completion": "a"}, {"prompt": f"{PUT}?", "completion": "Well."}]
    file = write_rows(tmp_path / "rows.jsonl", rows)
    assert removed(base, file, exam, tmp_path / "data") == told(base, file, exam) == {}


def test_of_several_questions_the_first_is_named() -> None:
    evaluation = Evaluation()
    for number in range(1, 30):
        evaluation.add(Place("exam", number), Row("text", text=f"{QUESTION} {number}"))
    assert evaluation.leaked([QUESTION]) == Place("exam", 1)
    assert evaluation.leaks([[""], ["", QUESTION], []]) == {1: Place("exam", 1)}


def test_an_evaluation_with_a_fault_is_refused_before_anything_is_made(tmp_path: Path, base: str) -> None:
    file = write_rows(tmp_path / "rows.jsonl", [{"prompt": "Who?", "completion": "You."}])
    exam = tmp_path / "exam.jsonl"
    exam.write_text('{"prompt": "Who?", "completion": "You."}\n{"prompt": 1}\n')
    plan = DataPlan((str(file),), decontaminate=(str(exam),))
    with pytest.raises(InputError, match=r"exam\.jsonl:2: ") as caught:
        prepare(plan, base, tmp_path / "data")
    assert caught.value.code == "data.evaluation"
    assert f"`aiops data check {exam}`" in caught.value.hints[0]
    assert not [one for one in (tmp_path / "data").iterdir() if one.suffix != ".lock"]


def test_files_of_an_evaluation_may_differ_in_format(tmp_path: Path, base: str) -> None:
    rows = [{"prompt": QUESTION, "completion": "b"}, {"text": "Who was Ada Lovelace?"}]
    files = [write_rows(tmp_path / f"{number}.jsonl", [row]) for number, row in enumerate(rows)]
    assert evaluation_of(files).questions == 2
    file = write_rows(tmp_path / "rows.jsonl", [{"prompt": "who was ada lovelace", "completion": "b"}])
    plan = DataPlan((str(file),), decontaminate=tuple(map(str, files)))
    (report,) = precheck(preparation_of(plan, base), lambda _: None)
    assert (report.counts["leak.evaluation"], report.failed) == (1, False)
