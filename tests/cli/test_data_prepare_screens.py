"""`aiops data prepare|show`, as one sees them."""

import json
from pathlib import Path

import pytest
from tests.l3_tuning.data.prepared_folder import asked, write_rows
from tests.l3_tuning.data.tiny_model import lay_model

from aiops.cli.app import App
from aiops.cli.main import main

from .conftest import Shown

PREPARE = ("data", "prepare", "facts.jsonl", "--base", "model", "--into", "data")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """Rows, one of them twice, and a base."""
    lay_model(tmp_path / "model")
    rows = [{"prompt": "What is the capital of France?", "completion": "Paris."}, *map(asked, range(19)), asked(3)]
    write_rows(tmp_path / "facts.jsonl", rows)
    return tmp_path


def _digest(folder: Path) -> str:
    (one,) = (folder / "data").iterdir()
    return one.name


def test_prepare_says_what_came_of_it(folder: Path, shown: Shown) -> None:
    said = shown(*PREPARE)
    digest = _digest(folder)
    assert said.startswith(
        f"exit: 0\n--- stdout\nfolder\t[TMP]/data/{digest}\nrows\t20\tprompt\nsamples\t20\ta row each\n"
    )
    assert "removed: duplicates\t1\tequals an earlier row\nfrom\t21\tfacts.jsonl\n" in said
    assert [line.split()[1] for line in said.splitlines() if "✓" in line] == [
        "hash",
        "check",
        "read",
        "duplicates",
        "tokens",
        "write",
    ]
    assert f"`aiops data show data/{digest} 1`" in said
    again = shown(*PREPARE)
    assert "it was prepared already; nothing was changed" in again
    assert "tokens  " not in again


def test_rows_are_not_counted_by_chunks_of_whoever_works_apart(folder: Path, shown: Shown) -> None:
    said = shown(*PREPARE, "--jobs", "2")
    assert "4,096" not in said
    assert "✓ read          21 rows" in said


def test_prepare_is_one_document(folder: Path, shown: Shown) -> None:
    said = shown(*PREPARE, "--json", "--packing")
    document = json.loads(said.partition("--- stdout\n")[2].partition("--- stderr")[0])
    assert document["folder"] == f"[TMP]/data/{_digest(folder)}"
    assert (document["rows"], document["packed"], document["found"]) == (20, True, False)
    assert document["lineage"]["removed"] == {"duplicates": {"equals an earlier row": 1}}
    assert said.endswith("--- stderr\n")


def test_a_dry_run_writes_nothing(folder: Path, shown: Shown) -> None:
    said = shown(*PREPARE, "--dry-run")
    assert "1 file would be prepared; nothing was changed" in said
    assert not (folder / "data").exists()
    shown(*PREPARE)
    assert f"[TMP]/data/{_digest(folder)}\n--- stderr\n" in shown(*PREPARE, "--dry-run")
    assert "it is prepared already" in shown(*PREPARE, "--dry-run")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--long", "cut"), 2, "`--long` is one of error, truncate, drop, not `cut`"),
        (("--duplicates", "nere"), 2, "did you mean `--duplicates near`?"),
        (("--mask", "email,fone"), 2, "did you mean `--mask phone`?"),
        (("--filter", "symbol"), 2, "did you mean `symbols`?"),
        (("--allow", "json.brokn"), 2, "did you mean `--allow json.broken`?"),
        (("--allow", "role"), 2, "did you mean `--allow role.order`?"),
        (("--engine", "spark"), 2, "there is no engine `spark` for data"),
        (("--length", "0"), 2, "a sample of 0 tokens holds nothing"),
        (("--held-out", "2"), 2, "2 of the rows cannot be held out"),
        (("--held-out", "0.1", "--evaluation", "facts.jsonl"), 2, "leave out `--held-out` or `--evaluation`"),
        (("--length", "60"), 2, "[TMP]/facts.jsonl:2: length.answer_cut_off: "),
        (("--decontaminate", "exam.jsonl"), 2, "there is no [TMP]/exam.jsonl"),
        (("--base", "nowhere"), 2, "[TMP]/nowhere has no tokenizer.json"),
        (("--into", "facts.jsonl"), 2, "`--into facts.jsonl` cannot be written: is no folder"),
        (("--into", "facts.jsonl/x"), 2, "`--into facts.jsonl/x` cannot be written: [TMP]/facts.jsonl is no folder"),
        (("--decontaminate", "facts.jsonl"), 2, "no row is left to train on"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_comes_of_it(
    folder: Path, shown: Shown, words: tuple[str, ...], code: int, said: str
) -> None:
    screen = shown(*PREPARE, *words)
    assert screen.startswith(f"exit: {code}\n--- stdout\n--- stderr\n")
    assert said in screen
    assert not list((folder / "data").glob("[0-9a-f]*/manifest.json"))


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_rows_is_told_as_empty(folder: Path, shown: Shown, content: str) -> None:
    (folder / "facts.jsonl").write_text(content)
    said = shown(*PREPARE)
    assert said.startswith("exit: 2\n")
    assert "error: [TMP]/facts.jsonl is empty: it has no rows\n" in said


def test_show_tells_what_is_there_and_how_long_it_is(folder: Path, shown: Shown) -> None:
    shown(*PREPARE)
    digest = _digest(folder)
    for where in ("data", f"data/{digest}", f"data/{digest[:6]}"):
        assert f"folder\t[TMP]/data/{digest}\nrows\t20\tprompt\n" in shown("data", "show", where)
    seen = shown("data", "show", "data", "--verify", terminal=True)
    assert seen.startswith(f"exit: 0\n--- stdout\n[TMP]/data/{digest}\n")
    assert "tokens of a sample\n" in seen
    assert "█" in seen
    assert "verify        5 files" in seen


def test_a_row_is_shown_with_what_is_learnt_of_it(shown: Shown) -> None:
    shown(*PREPARE)
    said = shown("data", "show", "data", "1", "--base", "model")
    assert "row 1 · facts.jsonl:1 · sample 0 · " in said
    assert "What is the capital of France?<|im_end|>\n<|im_start|>assistant\n[Paris.<|im_end|>]\n" in said
    assert "row 2 · facts.jsonl:2" in shown("data", "show", "data", "2")
    assert "rows are numbered from 1 to 20" in shown("data", "show", "data", "21")


@pytest.mark.parametrize("name", ["tokens.bin", "mask.bin", "samples.bin", "rows.jsonl.zst"])
def test_a_row_of_a_damaged_folder_is_an_error_that_says_what_to_type(folder: Path, shown: Shown, name: str) -> None:
    shown(*PREPARE)
    digest = _digest(folder)
    (folder / "data" / digest / name).write_bytes(b"")
    said = shown("data", "show", "data", "1")
    assert said.startswith(f"exit: 1\n--- stdout\n--- stderr\nerror: [TMP]/data/{digest}/{name} has 0 bytes, not ")
    assert f"`aiops data show [TMP]/data/{digest} --verify`" in said
    assert f"`rm -r [TMP]/data/{digest}`, and prepare it again" in said


def test_removed_rows_are_listed(shown: Shown) -> None:
    shown(*PREPARE)
    said = shown("data", "show", "data", "--removed")
    assert "facts.jsonl\t21\tduplicates\tequals an earlier row\tfacts.jsonl:5\n" in said
    document = json.loads(
        shown("data", "show", "data", "--removed", "--json").partition("--- stdout\n")[2].partition("---")[0]
    )
    assert [(one["line"], one["of"]) for one in document] == [(21, "facts.jsonl:5")]


def test_what_is_not_prepared_or_damaged_is_told(folder: Path, shown: Shown) -> None:
    assert shown("data", "show", "data").startswith("exit: 6")
    shown(*PREPARE)
    tokens = folder / "data" / _digest(folder) / "tokens.bin"
    tokens.write_bytes(bytes(len(tokens.read_bytes())))
    said = shown("data", "show", "data", "--verify")
    assert said.startswith("exit: 1")
    assert "tokens.bin is not what was written" in said
    shown(*PREPARE, "--packing")
    assert "there are 2 prepared folders at [TMP]/data" in shown("data", "show", "data")


def test_another_base_is_refused_for_showing_tokens(folder: Path, shown: Shown) -> None:
    shown(*PREPARE)
    lay_model(folder / "other", vocabulary=390)
    assert "has another tokenizer than the one that made these tokens" in shown(
        "data", "show", "data", "1", "--base", "other"
    )


def test_a_row_for_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = App({"AIOPS_HOME": str(folder / "home")}, working_folder=folder)
    assert main([*PREPARE, "-q"], app) == 0
    capsys.readouterr()
    assert main(["data", "show", "data", "1", "--json"], App({}, working_folder=folder)) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["file"], said["line"], len(said["tokens"][0])) == ("facts.jsonl", 1, len(said["learnt"][0]))
