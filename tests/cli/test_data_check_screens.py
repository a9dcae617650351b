"""`aiops data check`, as one sees it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.l3_tuning.data.checked_model import lay_checked_model
from tests.l3_tuning.data.planting import QUESTION, line, pair

from .conftest import Shown

EMAIL = "jo.doe@acme-works.io"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    lines = [line({"messages": pair(number)}) for number in range(30)]
    lines[3] = b"{broken"
    lines[9] = lines[10] = lines[8]
    lines[20] = line({"messages": pair(20, f"mail {EMAIL}")})
    lines[21] = line({"messages": pair(21, answer="again " * 500)})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_bytes(b"\n".join(lines))
    lay_checked_model(tmp_path / "model")
    return tmp_path


def document(said: str) -> Any:
    return json.loads(said.partition("--- stdout\n")[2].partition("--- stderr")[0])


def test_structure_names_file_line_and_reason_and_says_what_it_did_not_look_at(rows: Path, shown: Shown) -> None:
    said = re.sub(r" +\[SECONDS\]", " [SECONDS]", shown("data", "check", "data"))
    assert said == (
        "exit: 1\n--- stdout\n"
        "json.broken\t1\tdata/a.jsonl:4\tcolumn 2: unexpected character, expected a string key\n"
        "duplicate.exact\t2\tdata/a.jsonl:10\tis the same as data/a.jsonl:9\n"
        "duplicate.exact\t2\tdata/a.jsonl:11\tis the same as data/a.jsonl:9\n"
        "--- stderr\n"
        "  ✗ check         30 rows of 1 file, structure [SECONDS]\n"
        "\n"
        "json.broken: the line is no JSON; write rows with a JSON library, one on a line\n"
        "duplicate.exact: the same row came before; `aiops data prepare` removes it\n"
        "\n"
        "30 rows of chat, 3 with faults; level structure\n"
        "not checked: template, tokens, lengths, personal data, leaks\n"
        "hint: name the model that is to learn, to check these too: `aiops data check data --base DIR`\n"
    )


def test_full_finds_more_and_never_tells_what_is_personal(rows: Path, shown: Shown) -> None:
    words = ("data", "check", "data", "--base", "model", "--length", "100", "--html", "page.html")
    said = shown(*words)
    assert said.startswith("exit: 1")
    assert "personal.email\t1\tdata/a.jsonl:21\tturn 1: characters 6 to 25" in said
    assert "length.over\t1\tdata/a.jsonl:22\thas " in said
    assert "level full\n" in said
    page = (rows / "page.html").read_text()
    found = document(shown(*words, "--json"))
    assert {one["kind"]: one["count"] for one in found["faults"]} == {
        "json.broken": 1,
        "duplicate.exact": 2,
        "length.over": 1,
        "personal.email": 1,
    }
    assert (found["level"], found["rows"], found["faulty"], found["copies"]) == ("full", 30, 5, {"3": 1})
    assert found["tokens"]["rows"]["longest"] > 100
    for told in (said, page, json.dumps(found)):
        assert EMAIL not in told


@pytest.mark.parametrize(
    ("name", "words", "hint"),
    [
        ("nope/x.html", "there is no folder nope", "`mkdir -p nope`"),
        ("data/a.jsonl/x.html", "data/a.jsonl is no folder", "`--html FILE`"),
        ("data", "is a folder", "`--html data/FILE`"),
    ],
)
def test_a_page_that_cannot_be_written_is_told_before_the_check(
    rows: Path, shown: Shown, name: str, words: str, hint: str
) -> None:
    said = shown("data", "check", "data", "--html", name)
    assert said.startswith(f"exit: 2\n--- stdout\n--- stderr\nerror: `--html {name}` cannot be written: {words}\n")
    assert hint in said
    assert "✗ check" not in said
    assert sorted(one.name for one in rows.iterdir()) == ["data", "model"]


def test_one_row_is_no_rows(rows: Path, shown: Shown) -> None:
    (rows / "one.jsonl").write_bytes(line({"messages": pair(1)}))
    assert "1 row of 1 file, structure" in shown("data", "check", "one.jsonl")


def test_the_page_has_plots_and_nothing_from_elsewhere(rows: Path, shown: Shown) -> None:
    (rows / "data" / "<b>.jsonl").write_bytes(b"{")
    shown("data", "check", "data", "--base", "model", "--length", "100", "--html", "page.html")
    page = (rows / "page.html").read_text()
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert "<b>.jsonl" not in page
    assert "&lt;b&gt;.jsonl" in page
    assert "class=over" in page


def test_a_terminal_shows_each_kind_once_and_counts_the_rest(rows: Path, shown: Shown) -> None:
    said = shown("data", "check", "data", "--max-shown", "1", terminal=True)
    assert "KIND" in said
    assert said.count("\nduplicate.exact ") == 1
    assert "and 1 more" in said


def test_a_clean_set_ends_well(rows: Path, shown: Shown) -> None:
    (rows / "data" / "a.jsonl").write_bytes(line({"messages": pair(1)}))
    said = shown("data", "check", "./data", "--base", "model")
    assert said.startswith("exit: 0\n--- stdout\n--- stderr\n")
    assert "1 row of chat, 0 with faults; level full" in said


def test_kinds_that_are_allowed_are_told_and_do_not_fail(rows: Path, shown: Shown) -> None:
    said = shown("data", "check", "data", "--allow", "json.broken", "--allow", "duplicate.exact")
    assert said.startswith("exit: 0")
    assert "duplicate.exact (allowed): " in said


def test_an_evaluation_that_leaks(rows: Path, shown: Shown) -> None:
    (rows / "exam.jsonl").write_bytes(line({"prompt": QUESTION, "completion": "gpu07"}))
    (rows / "data" / "a.jsonl").write_bytes(line({"messages": pair(1, QUESTION)}))
    said = shown("data", "check", "data", "--base", "model", "--against", "exam.jsonl")
    assert "leak.evaluation\t1\tdata/a.jsonl:1\tasks what exam.jsonl:1 asks" in said


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("nowhere",), "there is no nowhere", "name a file"),
        (("empty",), "there is no file of data at empty", "known endings"),
        (("data", "--allow", "turn.emty"), "there is no kind of fault `turn.emty`", "--allow turn.empty"),
        (("data", "--format", "alpaca"), "one of auto, chat, prompt, preference, text, not `alpaca`", "--format auto"),
        (("data", "--level", "deep"), "`--level` is one of structure, full, not `deep`", "--level structure"),
        (("data", "--level", "full"), "level full needs", "--base DIR"),
        (("data", "--length", "5"), "--length is only looked at on level full", "--base DIR"),
        (("data", "--base", "model", "--level", "structure", "--against", "x"), "--against is only", "leave out"),
        (("data", "--base", "empty"), "has no tokenizer.json", "config.json"),
        (("data", "--base", "model", "--template", "none.jinja"), "none.jinja cannot be read", ""),
        (("data", "--base", "model", "--against", "data"), "data/a.jsonl:4: column 2", "aiops data check data/a.jsonl"),
    ],
)
def test_what_cannot_be_done_is_said_and_ends_with_2(
    words: tuple[str, ...], error: str, hint: str, rows: Path, shown: Shown
) -> None:
    (rows / "empty").mkdir()
    said = shown("data", "check", *words)
    assert said.startswith("exit: 2\n--- stdout\n--- stderr\nerror: ")
    assert error in said
    assert hint in said


@pytest.mark.parametrize("option", [("--allow", "turn.emty"), ("--format", "alpaca")])
def test_a_wrong_word_has_one_code_in_check_and_prepare(option: tuple[str, str], rows: Path, shown: Shown) -> None:
    asked = (("data", "check", "data"), ("data", "prepare", "data", "--base", "model", "--into", "p"))
    told = [document(shown(*words, *option, "--json"))["error"] for words in asked]
    assert [one["code"] for one in told] == ["usage.value"] * 2
    assert told[0] == told[1]
