"""`aiops cluster drift`, whole screens: this machine as a node, and one behind a port where nobody listens."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

Shown = Callable[..., str]
INVENTORY = """
workers:
  vars: {{aiops_cluster: lab-a, aiops_repository: system}}
  hosts:
    n1: {{ansible_connection: local}}
away:
  vars: {{aiops_cluster: lab-a, aiops_repository: system}}
  hosts:
    gone: {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_user: root}}
"""
PHASE = """
phase: own
resources:
  - file: {path}
    content: |
      expected
      same
"""


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "inventory.yml").write_text(INVENTORY.format(port=port))
    (tmp_path / "phases/own").mkdir(parents=True)
    (tmp_path / "phases/own/phase.yml").write_text(PHASE.format(path=tmp_path / "own.conf"))
    (tmp_path / "own.conf").write_text("expected\nsame\n")


@pytest.fixture
def drifted(shown: Shown, tmp_path: Path) -> Shown:
    """`aiops cluster drift WORDS` with the phase of this test."""

    def show(*words: str, terminal: bool = False) -> str:
        return shown("cluster", "drift", *words, "--phases", str(tmp_path / "phases"), terminal=terminal)

    return show


def answer(screen: str) -> str:
    return screen.partition("--- stdout\n")[2].partition("--- stderr\n")[0]


def test_a_node_as_wanted(drifted: Shown) -> None:
    screen = drifted("--on", "n1")
    assert screen.startswith("exit: 0\n--- stdout\n--- stderr\n")
    assert "lab-a · 1 of 2 nodes: no drift\n" in screen


def test_an_edited_file_with_its_lines_and_its_repair(drifted: Shown, tmp_path: Path) -> None:
    (tmp_path / "own.conf").write_text("found\nsame\n")
    words = ("inventory.yml", "--on", "n1", "--only", "own")
    screen = drifted(*words)
    assert screen.startswith("exit: 4\n")
    (row,) = [line.split("\t") for line in answer(screen).splitlines()]
    assert row[:2] == ["n1", "file:[TMP]/own.conf"]
    assert row[4] == "aiops cluster deploy [TMP]/inventory.yml --only own --on n1 --phases [TMP]/phases"

    piped = drifted(*words, "-v")
    assert answer(piped) == answer(screen)  # the rows stay rows
    differing = "n1: file:[TMP]/own.conf  (- expected, + found)\n  @@ -1,2 +1,2 @@\n  -expected\n  +found\n"
    assert differing in piped.partition("--- stderr\n")[2]

    screen = answer(drifted(*words, "-v", terminal=True))
    assert screen.startswith("lab-a · 1 of 2 nodes: 1 drifted\n\nNODES")
    assert differing in screen
    assert f"\nrepair\n  n1: `{row[4]}`\n" in screen


def test_a_node_that_does_not_answer_is_unknown(drifted: Shown) -> None:
    screen = drifted("--json")
    assert screen.startswith("exit: 3\n")
    document = json.loads(answer(screen))
    assert (document["drifted"], document["unknown"]) == ([], ["gone"])
    (finding,) = document["findings"]
    assert (finding["nodes"], finding["verdict"], finding["basis"]) == (["gone"], "unknown", "node")
    assert document["never_answered"] == ["gone"]


@pytest.mark.parametrize("only", ["", "nothing", "group,nothing"])
def test_what_is_no_phase_is_refused(drifted: Shown, only: str) -> None:
    screen = drifted("--only", only)
    assert screen.startswith("exit: 2\n")
    assert "hint: `group` may stand there too" in screen


def test_the_group_alone_needs_no_phase(drifted: Shown, tmp_path: Path) -> None:
    (tmp_path / "own.conf").unlink()
    assert drifted("--on", "n1", "--only", "group").startswith("exit: 0\n")


def test_a_repair_that_is_more_than_one_command_keeps_its_marks() -> None:
    from aiops.cli.cluster.drift import _bare

    assert [_bare(one) for one in ("`a b`", "`a` and `b`", "look: `a`", "", "`")] == [
        "a b",
        "`a` and `b`",
        "look: `a`",
        "",
        "`",
    ]


def test_what_a_node_has_sent_does_not_drive_the_terminal(drifted: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiops.cli.cluster import drift
    from aiops.layers.l1_cluster.drift import Drift, Report

    sent = "/etc/sudoers.d/\x1b]0;x\x07\x9b31m"
    found = Drift(("n1",), "drift", "sudoers", f"{sent} sha256 a", "none", repair=f"copy {sent} from n2")
    monkeypatch.setattr(drift, "_inspect", lambda *_, **__: (Report(("n1",), (found,)), False))
    for terminal in (True, False):
        screen = drifted("--on", "n1", "-v", terminal=terminal)
        assert "copy /etc/sudoers.d/ ]0;x  31m from n2" in screen
        assert not {"\x1b", "\x07", "\x9b"} & set(screen)
