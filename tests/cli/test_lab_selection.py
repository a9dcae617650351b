"""Which hosts `aiops lab fault` and `aiops lab heal` take; the hosts are only written down, none is there."""

from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from aiops.layers.l0_nodes.lab import Lab, LabSpec, Simulated
from aiops.layers.l0_nodes.lab.state import plan_lab, write_state

Shown = Callable[..., str]


@pytest.fixture
def touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were touched, in their order."""
    folder = tmp_path / "home/labs/lab"
    folder.mkdir(parents=True)
    spec = LabSpec(nodes=2, accelerator=Simulated("nvidia", 1))
    write_state(folder, plan_lab(spec, folder, IPv4Network("10.98.0.0/24"), Path, "today"))
    hosts: list[str] = []

    def fault(_: Lab, node: str, kind: str, **order: object) -> None:
        hosts.append(node)

    def heal(_: Lab, node: str, kind: str | None = None) -> tuple[str, ...]:
        hosts.append(node)
        return ()

    monkeypatch.setattr(Lab, "fault", fault)
    monkeypatch.setattr(Lab, "heal", heal)
    return hosts


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("gpu[01-02]", ["gpu01", "gpu02"]),
        ("@workers", ["gpu01", "gpu02"]),
        ("@all", ["head", "gpu01", "gpu02"]),
        ("@all,!gpu01", ["head", "gpu02"]),
    ],
)
def test_hosts_are_named_singly_or_by_the_labs_groups(
    shown: Shown, touched: list[str], text: str, hosts: list[str]
) -> None:
    assert shown("lab", "heal", text).startswith("exit: 0\n")
    assert touched == hosts
    assert shown("lab", "fault", text, "reboot").startswith("exit: 0\n")
    assert touched == hosts * 2


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("@nodes", 2, "there is no group `nodes`"),
        ("", 2, "no host is named"),
        ("gpu01,nope", 6, "has no host `nope`"),
        ("@workers,nope", 2, "there is no node `nope`"),
    ],
)
def test_nothing_is_touched_when_a_name_is_unknown(
    shown: Shown, touched: list[str], text: str, code: int, words: str
) -> None:
    for command in (("heal", text), ("fault", text, "reboot")):
        screen = shown("lab", *command)
        assert screen.startswith(f"exit: {code}\n")
        assert words in screen
    assert touched == []
