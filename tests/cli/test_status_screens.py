"""`aiops cluster status`, whole screens: this machine as a node, and one behind a port where nobody listens."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.cli.exit import exit_of
from aiops.layers.core.clock import SystemClock
from aiops.layers.core.event import EventStream
from aiops.layers.core.store import Store
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.run import Journal

Shown = Callable[..., str]
INVENTORY = """
workers:
  vars: {{aiops_cluster: lab-a}}
  hosts:
    here: {{ansible_connection: local}}
    away: {{ansible_host: 127.0.0.1, ansible_port: {port}, ansible_user: root}}
"""


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "inventory.yml").write_text(INVENTORY.format(port=port))


def deploy(home: Path, outcome: str) -> None:
    with Store.open(home, {}) as store:
        stream = EventStream("r-1121-193005-4f2", SystemClock())
        owner = Owner("ann", "ctl1", "boot", "pid:[1]", 77, 5, stream.run)
        with Journal.begin(store, stream, owner=owner, cluster="lab-a", command="x", exit_of=exit_of) as journal:
            stream.emit("node_finished", node="here", phase="base", outcome=outcome, seconds=1.0, reason="disk full")
            journal.end(1)


def test_before_any_deploy(shown: Shown) -> None:
    screen = shown("cluster", "status", "--on", "here")
    assert screen.startswith("exit: 0\n--- stdout\nlab-a · 1 node · nothing was deployed yet\n\nhere\tnew\t")
    assert "hint: 1 node not deployed yet: `aiops cluster deploy`" in screen


def test_a_node_that_does_not_answer(shown: Shown, tmp_path: Path) -> None:
    deploy(tmp_path / "home", "ok")
    screen = shown("cluster", "status")
    assert screen.startswith("exit: 3\n")
    rows = [line.split("\t") for line in answer(screen).splitlines() if "\t" in line]
    assert [row[:2] for row in rows] == [["here", "deployed"], ["away", "unreachable"], ["base", "ok"]]
    assert "away" in rows[1][-1]


def test_the_inventory_may_be_named_by_an_option(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").rename(tmp_path / "other.yml")
    assert shown("cluster", "status", "--on", "here", "-i", "other.yml").startswith("exit: 0\n")
    assert shown("cluster", "status", "--on", "here", "-i", "third.yml", "other.yml").startswith("exit: 2\n")


def test_a_failed_phase(shown: Shown, tmp_path: Path) -> None:
    deploy(tmp_path / "home", "failed")
    screen = shown("cluster", "status", "--on", "here")
    assert screen.startswith("exit: 4\n")
    assert "base: disk full" in answer(screen)
    assert "hint: why: `aiops run show r-1121-193005-4f2 --node here`" in screen


def test_a_deploy_that_was_cut_off_says_how_far_it_came_and_how_it_goes_on(shown: Shown, tmp_path: Path) -> None:
    with Store.open(tmp_path / "home", {}) as store:
        stream = EventStream("r-1", SystemClock())
        owner = Owner("ann", "ctl1", "boot", "pid:[1]", 77, 5, stream.run)
        with Journal.begin(store, stream, owner=owner, cluster="lab-a", command="x", exit_of=exit_of) as journal:
            stream.emit("phase_started", phase="base", nodes=["here"])
            journal.end(130)
    screen = shown("cluster", "status", "--on", "here")
    assert "it was cut off: it came to phase base on here, [SECONDS] after it began\n" in screen
    assert "hint: type it again, it goes on where it was: `x`\n" in screen


def test_a_deploy_that_is_running_is_said(shown: Shown, tmp_path: Path) -> None:
    with Store.open(tmp_path / "home", {}) as store:
        stream = EventStream("r-1", SystemClock())
        with Journal.begin(
            store, stream, owner=Owner.here("r-1"), cluster="lab-a", command="x", exit_of=exit_of
        ) as journal:
            screen = shown("cluster", "status", "--on", "here")
            journal.end(0)
    assert "\na deploy is running: run r-1 by " in screen
    assert "a deploy is running" not in shown("cluster", "status", "--on", "here")


def test_as_a_document(shown: Shown, tmp_path: Path) -> None:
    deploy(tmp_path / "home", "ok")
    document = json.loads(answer(shown("cluster", "status", "--json")))
    assert {node["node"]: node["state"] for node in document["nodes"]} == {"here": "deployed", "away": "unreachable"}
    assert document["last_run"]["id"] == "r-1121-193005-4f2"
    assert document["prometheus"] is None


def answer(screen: str) -> str:
    return screen.partition("--- stdout\n")[2].partition("--- stderr\n")[0]
