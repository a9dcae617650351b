"""The screens of `aiops lab` that need no hosts, and its page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.layers.l0_nodes.lab import kinds
from aiops.layers.l0_nodes.lab.machine import kernel_lacks

Shown = Callable[..., str]
PAGE = Path(__file__).parents[2] / "docs/lab.md"
FILESYSTEMS = "nodev\toverlay\nnodev\tcgroup2\n\text4\n"


def test_without_a_lab_there_is_nothing_to_show(shown: Shown) -> None:
    assert shown("lab", "status") == (
        "exit: 0\n--- stdout\n--- stderr\nthere is no lab\nhint: make one with `aiops lab up --nodes 2`\n"
    )
    assert shown("lab", "status", "--json") == "exit: 0\n--- stdout\n[]\n--- stderr\n"
    assert shown("lab", "down") == ("exit: 0\n--- stdout\n--- stderr\nthere is no lab `lab`: nothing to remove\n")


@pytest.mark.parametrize(
    "words", [("inventory",), ("fault", "gpu01", "frozen"), ("heal", "gpu01"), ("status", "--name", "x")]
)
def test_an_unknown_lab_is_6(shown: Shown, words: tuple[str, ...]) -> None:
    screen = shown("lab", *words)
    assert screen.startswith("exit: 6\n")
    assert "error: there is no lab `" in screen


def test_who_is_not_root_is_told_what_to_type(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    screen = shown("lab", "up")
    assert screen.startswith("exit: 2\n")
    assert "error: the lab needs root" in screen
    assert "hint: sudo -E " in screen


def test_another_system_is_told_so(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert "error: the lab needs Linux; this is darwin" in shown("lab", "up")


def test_missing_programs_are_named_with_their_packages(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda program, **_: None if program in {"nft", "systemd-nspawn"} else program)
    screen = shown("lab", "up")
    assert screen.startswith("exit: 2\n")
    assert "hint: sudo apt-get install nftables systemd-container" in screen


@pytest.mark.parametrize(
    "words",
    [
        ("--disk", "big"),
        ("--disk", "8"),
        ("--memory", "-1G"),
        ("--accelerator", "nvidia"),
        ("--accelerator", ":8"),
        ("--group", "a"),
        ("--group", "a=x"),
        ("--group", "=1"),
        ("--group", "a=1,"),
        ("--group", "a=1,nvidia:8,amd:8"),
        ("--group", "a=1,trixie,bookworm"),
        ("--group", "a=1,nvidia:x"),
        ("--group", "a=1", "--nodes", "2"),
        ("--group", "a=1", "--accelerator", "nvidia:8"),
    ],
)
def test_wrong_options_are_2(shown: Shown, words: tuple[str, ...]) -> None:
    screen = shown("lab", "up", *words)
    assert screen.startswith("exit: 2\n")
    assert "hint: for example" in screen


def test_kinds(shown: Shown) -> None:
    document = json.loads(shown("lab", "kinds", "--json").partition("--- stdout\n")[2].partition("--- stderr")[0])
    assert {"power-loss", "network-cut", "frozen", "disk-full", "xid", "device-lost"} <= {
        one["kind"] for one in document
    }


def test_the_page_lists_every_fault_in_the_words_of_the_program() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert [f"| `{kind.name}` | {kind.sentence} |" for kind in kinds()] == [row for row in rows if "`aiops" not in row]


@pytest.mark.parametrize(
    ("release", "filesystems", "loops", "lacks"),
    [
        ("6.1.0-18-amd64", FILESYSTEMS, True, None),
        ("5.10.0-26-amd64", FILESYSTEMS, True, "5.14"),
        ("6.1.0", FILESYSTEMS.replace("overlay", "nfs"), True, "overlay"),
        ("6.1.0", FILESYSTEMS, False, "loop devices"),
    ],
)
def test_what_a_kernel_lacks(release: str, filesystems: str, loops: bool, lacks: str | None) -> None:
    problem = kernel_lacks(release, filesystems, loops=loops)
    assert (problem is None) if lacks is None else (problem is not None and lacks in problem.message)
