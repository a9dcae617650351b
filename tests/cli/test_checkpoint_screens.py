"""`aiops checkpoint list|verify|prune`, as one sees them."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.checkpoint.saves import NEW, OLD, age, lay, write_manifest

from aiops.cli.app import App
from aiops.cli.main import main
from aiops.layers.core.plugin import Plugins

from .conftest import Shown

PLUGINS = Plugins()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three checkpoints of which the newest is cut off."""
    lay("dcp", tmp_path / "runs")
    lay("dcp", tmp_path / "more")
    (tmp_path / "more" / "step-20").rename(tmp_path / "runs" / "step-30")
    cut = tmp_path / "runs" / "step-30" / "__1_0.distcp"
    cut.write_bytes(cut.read_bytes()[:1000])
    write_manifest(tmp_path / "runs" / "step-20", NEW, "dcp", 2)
    age(tmp_path, 3600)
    return tmp_path / "runs"


def _document(runs: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main(["checkpoint", *words, str(runs), "--json"], App({"AIOPS_HOME": str(runs / ".home")}))
    return code, json.loads(capsys.readouterr().out)


def test_list_shows_all_by_headers_alone(runs: Path, shown: Shown) -> None:
    said = shown("checkpoint", "list", "./runs", plugins=PLUGINS)
    rows = [line.split("\t")[:3] for line in said.splitlines() if "\tdcp\t" in line]
    assert rows == [["30", "bad", "dcp"], ["20", "whole", "dcp"], ["10", "good", "dcp"]]
    assert said.startswith("exit: 0")


def test_verify_says_which_are_bad_and_why(runs: Path, shown: Shown) -> None:
    said = shown("checkpoint", "verify", "./runs", plugins=PLUGINS)
    assert said.startswith("exit: 4")
    assert "__1_0.distcp has 1000 bytes; .metadata speaks of " in said
    assert "newest good: [TMP]/runs/step-20" in said
    assert (
        "hint: rename bad ones, so that nobody goes on from them: `aiops checkpoint verify ./runs --set-aside`" in said
    )


def test_verify_is_one_document(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = _document(runs, capsys, "verify")
    assert code == 4
    assert found["newest"] == str(runs / "step-20")
    assert [(one["step"], one["state"], one["level"]) for one in found["checkpoints"]] == [
        (30, "bad", 2),
        (20, "good", 2),
        (10, "good", 2),
    ]
    code, found = _document(runs, capsys, "verify", "--step", "10")
    assert (code, [one["step"] for one in found["checkpoints"]]) == (0, [OLD])


def test_bad_ones_are_set_aside_once_somebody_says_yes(runs: Path, shown: Shown) -> None:
    words = ("checkpoint", "verify", "./runs", "--set-aside")
    assert "add `--yes`" in shown(*words, plugins=PLUGINS)
    assert "nothing was changed" in shown(*words, plugins=PLUGINS, terminal=True, typed="n\n")
    assert (runs / "step-30").is_dir()
    said = shown(*words, "--yes", plugins=PLUGINS)
    assert "[TMP]/runs/step-30 is now [TMP]/runs/step-30.bad-[TIME]" in said
    assert not (runs / "step-30").exists()
    assert shown("checkpoint", "verify", "./runs", plugins=PLUGINS).startswith("exit: 0")


def test_prune_asks_and_leaves_what_it_cannot_judge(runs: Path, shown: Shown) -> None:
    lay("dcp", runs.parent / "old")
    (runs.parent / "old" / "step-10").rename(runs / "step-5")
    age(runs, 3600)
    dry = shown("checkpoint", "prune", "./runs", "--dry-run", plugins=PLUGINS)
    rows = [line.split("\t")[:2] for line in dry.splitlines() if line.count("\t") == 4]
    assert rows == [["stays", "20"], ["stays", "10"], ["goes", "5"], ["not judged", "30"]]
    assert "nothing was changed" in dry
    assert "add `--yes`" in shown("checkpoint", "prune", "./runs", plugins=PLUGINS)
    assert (runs / "step-5").is_dir()
    said = shown("checkpoint", "prune", "./runs", "--yes", plugins=PLUGINS)
    assert said.startswith("exit: 0")
    assert "1 deleted" in said
    assert sorted(one.name for one in runs.iterdir()) == ["step-10", "step-20", "step-30"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("list", "./nothing"), 6, "there is nothing at [TMP]/nothing"),
        (("list", "./empty"), 2, "there is no checkpoint at [TMP]/empty"),
        (("list", "llama-7"), 6, "there is no job `llama-7`"),
        (("list", "./runs", "--format", "hf-triner"), 2, "did you mean `hf-trainer`?"),
        (("verify", "./runs", "--level", "4"), 2, "there is no level 4"),
        (("verify", "./runs", "--step", "7"), 2, "there is no checkpoint of step 7 at [TMP]/runs"),
        (("prune", "./runs", "--keep", "1"), 2, "at least 2 good checkpoints are kept, not 1"),
        (("list", "./runs", "--on", "gpu01"), 2, "is not the absolute path of a folder on gpu01"),
    ],
)
def test_bad_input_changes_nothing(runs: Path, shown: Shown, words: tuple[str, ...], code: int, said: str) -> None:
    (runs.parent / "empty").mkdir()
    screen = shown("checkpoint", *words, plugins=PLUGINS)
    assert screen.startswith(f"exit: {code}\n")
    assert said in screen
    assert "hint: " in screen or "nothing at" in screen


def test_a_path_of_a_node_is_looked_at_there(runs: Path, shown: Shown) -> None:
    (runs.parent / "inventory.yml").write_text(
        "all:\n  children:\n    workers:\n      hosts:\n        gpu01: {ansible_connection: local}\n"
        "    head:\n      hosts:\n        gpu01:\n"
    )
    said = shown("checkpoint", "list", str(runs), "--on", "gpu01", plugins=PLUGINS)
    assert said.startswith("exit: 0"), said
    assert "step-20" in said
