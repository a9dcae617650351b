"""A check finds every planted fault by file and line, and nothing in clean sets."""

import bz2
import gc
import gzip
import json
import lzma
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.data.check import Wish, check
from aiops.layers.l3_tuning.data.evaluation_set import evaluation_of
from aiops.layers.l3_tuning.data.fault import CATALOGUE
from aiops.layers.l3_tuning.data.leak import words_of
from aiops.layers.l3_tuning.data.lesson import Reader
from aiops.layers.l3_tuning.data.report import Report
from aiops.layers.l3_tuning.data.source import sources
from aiops.layers.l3_tuning.data.template import read_template
from aiops.layers.l3_tuning.data.tokenizer import read_tokenizer

from .checked_model import lay_checked_model
from .clean_rows import FORMS, chat
from .planting import CHAT, LENGTH, QUESTION, SHORT_QUESTION, line, pair, planted
from .templates import DROPS_SYSTEM, NO_SYSTEM

MOST = 10**6
ELSEWHERE = {
    *("file.empty", "file.unreadable", "compression.broken", "row.huge", "csv.broken", "encoding.wide"),
    *("form.unknown", "text.empty", "preference.same", "preference.prompt"),
    *("duplicate.exact", "duplicate.conflicting", "template.error", "template.drops_text"),
}
"""Kinds that tests of their own plant."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_checked_model(tmp_path_factory.mktemp("model"))


def reader(folder: Path, template: Path | None = None, length: int | None = LENGTH) -> Reader:
    tokenizer = read_tokenizer(folder)
    return Reader(tokenizer, read_template(tokenizer, template), length)


def found(report: Report) -> set[tuple[str, int, str]]:
    return {(Path(one.place.file).name, one.place.line, kind) for kind in report.kinds for one in report.shown[kind]}


def write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(one + b"\n" for one in lines))
    return path


def evaluation(tmp_path: Path) -> Path:
    rows = [{"prompt": QUESTION, "completion": "gpu07"}, {"prompt": SHORT_QUESTION, "completion": "A mathematician"}]
    return write(tmp_path / "exam" / "exam.jsonl", [line(row) for row in rows])


def test_every_kind_is_planted_somewhere() -> None:
    assert set(CHAT) | ELSEWHERE == set(CATALOGUE)
    assert not set(CHAT) & ELSEWHERE
    assert len(CATALOGUE) >= 20


@pytest.mark.parametrize("seed", range(6))
def test_every_planted_fault_is_found_where_it_stands_and_nothing_else(seed: int, tmp_path: Path, model: Path) -> None:
    rng = random.Random(seed)  # noqa: S311 - drawn by a seed
    (tmp_path / "exam").mkdir()
    (tmp_path / "set").mkdir()
    expected = set()
    for name in ("a.jsonl", "b.jsonl"):
        lines = [line(chat(rng, number)) for number in range(200)]
        if name == "b.jsonl":
            lines = [line(chat(rng, 1000 + number)) for number in range(200)]
        kinds = [*CHAT] * 3
        for at, kind in zip(rng.sample(range(1, 200), len(kinds)), kinds, strict=True):
            lines[at] = planted(rng, seed * 10000 + at + (500 if name == "b.jsonl" else 0), kind)
            expected.add((name, at + 1, kind))
        write(tmp_path / "set" / name, lines)
    wish = Wish(reader=reader(model), evaluation=evaluation_of([evaluation(tmp_path)]), most=MOST)
    report = check(sources([tmp_path / "set"]), wish)
    assert found(report) == expected
    assert report.failed
    assert report.rows == 400

    structure = check(sources([tmp_path / "set"]), Wish(most=MOST))
    assert found(structure) == {one for one in expected if CATALOGUE[one[2]].level == "structure"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ascii_", [False, True])
def test_a_clean_set_has_no_fault_at_either_level(form: str, ascii_: bool, tmp_path: Path, model: Path) -> None:
    rng = random.Random(7)  # noqa: S311 - drawn by a seed
    rows = [FORMS[form](rng, number) for number in range(300)]
    (tmp_path / "exam").mkdir()
    exam = evaluation_of([evaluation(tmp_path)])
    path = write(tmp_path / "set.jsonl", [json.dumps(row, ensure_ascii=ascii_).encode() for row in rows])
    for wish in (Wish(), Wish(reader=reader(model, length=2000), evaluation=exam)):
        report = check(sources([path]), wish)
        assert {kind: report.shown[kind] for kind in report.kinds} == {}
        assert (report.form, report.rows, report.faulty, report.failed) == (form, 300, 0, False)


@pytest.mark.parametrize("form", FORMS)
def test_the_layout_of_a_file_changes_nothing(form: str, tmp_path: Path, model: Path) -> None:
    import pyarrow as pa
    import zstandard
    from pyarrow import parquet

    rng = random.Random(3)  # noqa: S311 - drawn by a seed
    rows = [FORMS[form](rng, number) for number in range(50)]
    rows = [row for row in rows if row.keys() == rows[0].keys()]
    rows = [row for row in rows if [type(one) for one in row.values()] == [type(one) for one in rows[0].values()]]
    if form == "chat":
        rows = [{"messages": pair(number)} for number in range(20)]
    content = b"".join(line(row) + b"\r\n" for row in rows)
    paths = {
        "a.jsonl": b"\xef\xbb\xbf" + content,
        "a.jsonl.gz": gzip.compress(content[: content.index(b"\n") + 1])
        + gzip.compress(content[content.index(b"\n") + 1 :]),
        "a.jsonl.zst": zstandard.compress(content),
        "a.jsonl.bz2": bz2.compress(content),
        "a.jsonl.xz": lzma.compress(content),
        "a.json": line(rows),
        "b.json": line({"data": rows}),
        "c.json": content,
    }
    for name, packed in paths.items():
        (tmp_path / name).write_bytes(packed)
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name in (*paths, "a.parquet"):
        report = check(sources([tmp_path / name]), Wish(reader=reader(model, length=2000)))
        assert (report.form, report.rows, report.kinds) == (form, len(rows), ()), name


def test_duplicates_name_the_first_in_whatever_file_and_shape(tmp_path: Path, model: Path) -> None:
    one = {"messages": pair(1)}
    same = {
        "conversations": [
            {"from": "human", "value": pair(1)[0]["content"]},
            {"from": "gpt", "value": pair(1)[1]["content"]},
        ]
    }
    write(tmp_path / "a.jsonl", [line({"messages": pair(0)}), line(one), line({**one, "id": 7})])
    (tmp_path / "b.json").write_bytes(line([same, {"messages": pair(1, answer="No.")}]))
    for wish in (Wish(), Wish(reader=reader(model))):
        report = check(sources([tmp_path / "a.jsonl", tmp_path / "b.json"]), wish)
        told = {("a.jsonl", 3, "duplicate.exact"), ("b.json", 1, "duplicate.exact")}
        if wish.reader is not None:
            told.add(("b.json", 2, "duplicate.conflicting"))
        assert found(report) == told
        assert {fault.reason for fault in report.shown["duplicate.exact"]} == {f"is the same as {tmp_path}/a.jsonl:2"}
        assert report.multiplicity == {3: 1}
        assert report.faulty == 2


def test_another_answer_alone_does_not_fail(tmp_path: Path, model: Path) -> None:
    path = write(tmp_path / "a.jsonl", [line({"messages": pair(1)}), line({"messages": pair(1, answer="No.")})])
    report = check(sources([path]), Wish(reader=reader(model)))
    assert report.kinds == ("duplicate.conflicting",)
    assert not report.failed


@pytest.mark.parametrize(
    ("template", "kind"), [(NO_SYSTEM, "template.error"), (DROPS_SYSTEM, "template.drops_text")], ids=["error", "drops"]
)
def test_a_template_that_does_not_take_a_system_turn(template: str, kind: str, tmp_path: Path, model: Path) -> None:
    (tmp_path / "t.jinja").write_text(template)
    lines = [line({"messages": pair(number)}) for number in range(20)]
    lines[7] = line({"messages": [{"role": "system", "content": "user"}, *pair(7)]})
    lines[12] = line({"messages": [{"role": "system", "content": "Answer as a pirate would."}, *pair(12)]})
    path = write(tmp_path / "a.jsonl", lines)
    report = check(sources([path]), Wish(reader=reader(model, tmp_path / "t.jinja")))
    assert found(report) == {("a.jsonl", 8, kind), ("a.jsonl", 13, kind)}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    content = b"".join(line({"messages": pair(number)}) + b"\n" for number in range(2000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content)[:-100])
    (tmp_path / "b.jsonl.xz").write_bytes(b"no xz at all")
    (tmp_path / "c.jsonl").write_bytes(b"")
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    (tmp_path / "e.jsonl").write_bytes("x".encode("utf-16"))
    report = check(sources([tmp_path]), Wish(most=MOST))
    kinds = {(name, kind) for name, _, kind in found(report)}
    assert kinds == {
        ("a.jsonl.gz", "compression.broken"),
        ("b.jsonl.xz", "compression.broken"),
        ("c.jsonl", "file.empty"),
        ("d.parquet", "file.unreadable"),
        ("e.jsonl", "encoding.wide"),
    }
    cut = next(one.place.line for one in report.shown["compression.broken"])
    assert 1 < cut <= 2000
    assert report.files[str(tmp_path / "a.jsonl.gz")] == cut


def test_a_line_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiops.layers.l3_tuning.data.stream.HUGE", 2 * 1024 * 1024)
    path = write(
        tmp_path / "a.jsonl", [line({"messages": pair(1)}), line({"messages": pair(2, answer="x" * 5_000_000)})]
    )
    assert found(check(sources([path]), Wish())) == {("a.jsonl", 2, "row.huge")}


def test_csv(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'prompt,completion\na,"b\nb"\n"c",d\nonly one\n"e"f,g\nh,\xff\ni,\n')
    expected = {
        ("a.csv", 5, "csv.broken"),
        ("a.csv", 6, "csv.broken"),
        ("a.csv", 7, "encoding.utf8"),
        ("a.csv", 8, "answer.empty"),
    }
    assert found(check(sources([path]), Wish())) == expected
    path.write_text(
        'messages\n"[{""role"": ""user"", ""content"": ""a""}, {""role"": ""assistant"", ""content"": ""b""}]"\n'
    )
    assert check(sources([path]), Wish(reader=reader(model))).kinds == ()


def test_the_other_forms_have_faults_of_their_own(tmp_path: Path) -> None:
    asks = {"role": "user", "content": "a"}
    answers = [{"role": "assistant", "content": text} for text in "xy"]
    rows: list[tuple[str, Any, str | None]] = [
        ("text", {"text": " \n"}, "text.empty"),
        ("preference", {"prompt": "a", "chosen": "b", "rejected": "b"}, "preference.same"),
        (
            "preference",
            {"prompt": "other", "chosen": [asks, answers[0]], "rejected": [asks, answers[1]]},
            "preference.prompt",
        ),
        (
            "preference",
            {"chosen": [asks, answers[0]], "rejected": [{**asks, "content": "b"}, answers[1]]},
            "preference.prompt",
        ),
        ("preference", {"prompt": "a", "chosen": [asks], "rejected": [asks, answers[0]]}, "answer.empty"),
        ("prompt", {"prompt": "a", "completion": " "}, "answer.empty"),
        ("prompt", {"prompt": "", "completion": "b"}, "turn.empty"),
        ("prompt", {"prompt": [asks, answers[0]], "completion": "b"}, "role.order"),
    ]
    for form, row, kind in rows:
        report = check(sources([write(tmp_path / "a.jsonl", [line(row)])]), Wish(form=form))  # type: ignore[arg-type]
        assert report.kinds == (kind,), row
    path = write(tmp_path / "a.jsonl", [line({"foo": 1}), line({"bar": "x"})])
    assert check(sources([path]), Wish()).counts == {"form.unknown": 2}


def test_a_kind_that_is_allowed_is_told_and_does_not_fail(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [line({"messages": pair(1)})] * 2)
    report = check(sources([path]), Wish(allowed=frozenset({"duplicate.exact"})))
    assert (report.counts["duplicate.exact"], report.failed, report.faulty) == (1, False, 0)


def test_a_leaked_short_question_is_found_alone_and_not_within(tmp_path: Path, model: Path) -> None:
    (tmp_path / "exam").mkdir()
    exam = evaluation_of([evaluation(tmp_path)])
    lines = [
        line({"messages": pair(1, "who was ada lovelace")}),
        line({"messages": pair(2, f"He asked: {SHORT_QUESTION} Why?")}),
    ]
    report = check(sources([write(tmp_path / "a.jsonl", lines)]), Wish(reader=reader(model), evaluation=exam))
    assert found(report) == {("a.jsonl", 1, "leak.evaluation")}
    assert report.questions == 2


def test_nothing_selected_and_conversations_without_a_template(tmp_path: Path, model: Path) -> None:
    with pytest.raises(InputError, match="no file of data"):
        sources([tmp_path])
    with pytest.raises(InputError, match="is no file of data that is known"):
        sources([write(tmp_path / "a.bin", [b"x"])])
    bare = lay_checked_model(tmp_path / "bare", None)
    path = write(tmp_path / "a.jsonl", [line({"messages": pair(1)})])
    with pytest.raises(InputError, match="no chat template"):
        check(sources([path]), Wish(reader=reader(bare)))
    with pytest.raises(InputError, match=r"json"):
        evaluation_of([write(tmp_path / "b.jsonl", [b"{"])])


def test_words_of_ascii_are_those_of_any_text() -> None:
    text = "Don't SHOUT: snake_case, a-b; x=1.5e3 (it's) 2nd\tline\n\"quoted\" ~^`|"
    assert words_of(text) == words_of(f"{text} é")[:-1]


def test_a_check_leaves_the_process_as_it_was(tmp_path: Path, model: Path) -> None:
    before = (gc.get_threshold(), sys.getswitchinterval())
    path = write(tmp_path / "a.jsonl", [line({"messages": pair(number)}) for number in range(9)])
    during = []

    def told(_rows: int, size: int) -> None:
        during.append((gc.get_threshold(), sys.getswitchinterval()) if size else before)
        if len(during) > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(sources([path] * 2), Wish(reader=reader(model)), told)
    assert before not in during[:1]
    assert (gc.get_threshold(), sys.getswitchinterval()) == before
