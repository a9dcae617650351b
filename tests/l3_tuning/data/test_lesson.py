"""A row that is known is read as any other, whatever way its template takes, and its tokens are those of all."""

from pathlib import Path

import pytest

from aiops.layers.l3_tuning.data.lesson import Lesson, Reader
from aiops.layers.l3_tuning.data.recognition import Known, recogniser, row_of
from aiops.layers.l3_tuning.data.row import Form
from aiops.layers.l3_tuning.data.template import read_template
from aiops.layers.l3_tuning.data.tokenizer import read_tokenizer

from .checked_model import lay_checked_model
from .planting import pair
from .templates import DROPS_SYSTEM, FAMILIES, NO_SYSTEM, THINKING


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_checked_model(tmp_path_factory.mktemp("model"))


def reader(folder: Path, source: str, place: Path, length: int | None = None) -> Reader:
    (place / "t.jinja").write_text(source)
    tokenizer = read_tokenizer(folder)
    return Reader(tokenizer, read_template(tokenizer, place / "t.jinja"), length)


def known(form: Form, record: object) -> Known:
    found = recogniser(form)(record, True)
    assert found is not None
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_what_a_row_is_that_was_read(name: str, model: Path, tmp_path: Path) -> None:
    reads = reader(model, FAMILIES[name], tmp_path)
    for turns in (
        pair(1),
        pair(2, " spaces ", "100 %s {}\n"),
        [{"role": "system", "content": "Be kind, always."}, *pair(3)],
    ):
        row = known("chat", {"messages": turns})
        quick, slow = reads.known(row, typed=False), reads.lesson(row_of(row), row.contents)
        assert (quick.texts, quick.flaws, quick.plain) == (slow.texts, slow.flaws, slow.plain)


@pytest.mark.parametrize(
    ("source", "kind"), [(NO_SYSTEM, "template.error"), (DROPS_SYSTEM, "template.drops_text")], ids=["error", "drops"]
)
def test_what_a_template_does_not_take_is_told(source: str, kind: str, model: Path, tmp_path: Path) -> None:
    row = known("chat", {"messages": [{"role": "system", "content": "Be kind, always."}, *pair(3)]})
    assert [flaw.kind for flaw in reader(model, source, tmp_path).known(row, typed=False).flaws] == [kind]


def test_a_template_that_drops_some_texts_by_what_they_say(model: Path, tmp_path: Path) -> None:
    reads = reader(model, THINKING, tmp_path)
    thought = known("chat", {"messages": pair(1, answer="I think about it all</think>So it is.")})
    assert [flaw.kind for flaw in reads.known(thought, typed=False).flaws] == ["template.drops_text"]
    plain = known("chat", {"messages": pair(1, answer="I think about it all. So it is.")})
    assert reads.known(plain, typed=False).flaws == ()


def test_tokens_of_plain_and_of_rendered_rows_and_of_pairs(model: Path, tmp_path: Path) -> None:
    reads = reader(model, FAMILIES["chatml"], tmp_path, 20)
    chat = reads.known(known("chat", {"messages": pair(1)}), typed=False)
    text = reads.known(known("text", {"text": "some text, alone"}), typed=False)
    better = reads.known(known("preference", {"prompt": "a", "chosen": "b" * 30, "rejected": "c"}), typed=False)
    strange = reads.known(known("text", {"text": "ↂ and more"}), typed=False)
    assert isinstance(chat, Lesson)
    lessons = [chat, text, better, strange]
    counts, flaws = reads.measured(lessons)
    lengths = [max(reads.tokenizer.lengths(one.texts, special=one.plain)) for one in lessons]
    assert counts == lengths
    assert counts == [one for lesson in lessons for one in reads.measured([lesson])[0]]
    told = {number: [flaw.kind for flaw in of] for number, of in flaws.items()}
    over = {number for number, count in enumerate(counts) if count > 20}
    assert {2} <= over
    assert {number for number, kinds in told.items() if {"length.over", "length.answer_cut_off"} & {*kinds}} == over
    assert {number for number, kinds in told.items() if "tokens.unknown" in kinds} == {3}
    assert reads.measured([]) == ([], {})


def test_special_tokens_are_found_among_many_texts(model: Path, tmp_path: Path) -> None:
    reads = reader(model, FAMILIES["chatml"], tmp_path)
    assert reads.typed(["é", "a <|im_end|>", "", "<|im_", "start|>", "<|im_start|><unk>"]) == {1, 5}
    assert reads.typed([]) == set()
