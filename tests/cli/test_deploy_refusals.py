"""What `aiops cluster plan` and `deploy` refuse before anything is changed, and say so by exit code 2."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.cli.cluster.report import covered

Shown = Callable[..., str]
INVENTORY = """
workers:
  vars: {aiops_cluster: lab-a, aiops_repository: system}
  hosts:
    here: {ansible_connection: local}
"""


@pytest.fixture(autouse=True)
def phases(tmp_path: Path) -> Path:
    """An inventory of this machine, and one phase that wants a file in a folder of the test's."""
    (tmp_path / "inventory.yml").write_text(INVENTORY)
    folder = tmp_path / "phases" / "mark"
    folder.mkdir(parents=True)
    (folder / "phase.yml").write_text(f"phase: mark\nresources: [{{file: {tmp_path}/mark, content: x}}]\n")
    return folder.parent


@pytest.mark.parametrize("verb", [("plan",), ("deploy", "--yes")])
def test_an_operating_system_that_is_not_supported(
    shown: Shown, phases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    only = {("plan9", "4"): "Plan 9"}
    monkeypatch.setattr("aiops.layers.l1_cluster.preflight.SUPPORTED", only)
    screen = shown("cluster", *verb, "--phases", str(phases))
    assert screen.startswith("exit: 2\n")
    assert "error: 1 of 1 nodes run an operating system that is not supported; nothing was changed\n" in screen
    assert "[TMP]/inventory.yml: here: " in screen
    assert "hint: install one of: Plan 9\n" in screen
    assert not (tmp_path / "mark").exists()


def test_its_error_in_json(shown: Shown, phases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiops.layers.l1_cluster.preflight.SUPPORTED", {})
    screen = shown("cluster", "deploy", "--yes", "--json", "--phases", str(phases))
    document = json.loads(screen.partition("--- stdout\n")[2].partition("--- stderr")[0])
    assert document["error"]["code"] == "preflight.os"
    runs = shown("run", "list", "--json")
    assert '"failed"' in runs  # the journal is closed


@pytest.mark.parametrize("verb", ["plan", "deploy", "validate"])
def test_two_inventories(shown: Shown, tmp_path: Path, verb: str) -> None:
    (tmp_path / "other.yml").write_text(INVENTORY)
    screen = shown("cluster", verb, "-i", "inventory.yml", "other.yml")
    assert screen.startswith("exit: 2\n")
    assert "error: two inventories are named: other.yml and inventory.yml\n" in screen


@pytest.mark.parametrize("chosen", [("--only", ""), ("--from", ""), ("--only", "mark", "--from", "later")])
def test_no_phase_is_chosen(shown: Shown, phases: Path, tmp_path: Path, chosen: tuple[str, ...]) -> None:
    (phases / "later").mkdir()
    (phases / "later" / "phase.yml").write_text("phase: later\nafter: [mark]\nresources: []\n")
    screen = shown("cluster", "deploy", "--yes", "--phases", str(phases), *chosen)
    assert screen.startswith("exit: 2\n")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("phases_chosen", "nodes", "words"),
    [
        ([], [], "eyes is"),
        (["base"], ["gpu01"], "phase base on gpu01 of eyes is"),
        (["base"], ["gpu01", "gpu02"], "phase base on gpu[01-02] of eyes is"),
        (["base", "time"], [], "phases base, time of eyes are"),
        ([], ["gpu01"], "gpu01 of eyes is"),
        ([], ["gpu01", "gpu02"], "gpu[01-02] of eyes are"),
    ],
)
def test_what_was_covered_is_said(phases_chosen: list[str], nodes: list[str], words: str) -> None:
    assert covered("eyes", phases_chosen, nodes) == words
