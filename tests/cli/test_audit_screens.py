"""`aiops cluster audit`, whole screens, on an inventory without a head (the lock is in AIOPS_HOME then)."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.cli.exit import exit_of
from aiops.layers.core.clock import SystemClock
from aiops.layers.core.event import EventStream
from aiops.layers.core.store import Store
from aiops.layers.l1_cluster.lock import ClusterLock
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.run import Journal

Shown = Callable[..., str]
INVENTORY = """
workers:
  vars: {aiops_cluster: lab-a}
  hosts:
    gpu01: {ansible_connection: local}
    gpu02: {ansible_host: 192.0.2.2}
"""
BOB = Owner("bob", "ctl2", "boot", "pid:[1]", 8, 1, "r-1122-010000-b0b")


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text(INVENTORY)


@pytest.fixture
def lock(tmp_path: Path) -> ClusterLock:
    return ClusterLock.of(None, tmp_path / "home/clusters/lab-a/lock")


def a_run(tmp_path: Path, lock: ClusterLock, run: str = "r-1122-000000-a11", cluster: str = "lab-a") -> None:
    """A run that changed two files on each node."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    owner = Owner("ann", "ctl1", "boot", "pid:[1]", 7, 1, run)
    stream = EventStream(run, SystemClock())
    with (
        Store.open(home, {}) as store,
        Journal.begin(store, stream, owner=owner, cluster=cluster, command="aiops cluster deploy", exit_of=exit_of),
        lock.acquire(owner, "aiops cluster deploy"),
    ):
        for node in ("gpu01", "gpu02", "gone1"):
            for path in ("/etc/a", "/etc/b"):
                change = {"key": f"file:{path}", "action": "create", "found": "absent", "expected": "x"}
                stream.emit("resource_changed", f"{path} was absent", node=node, phase="base", **change)


def rows(screen: str) -> list[list[str]]:
    answer = screen.partition("--- stdout\n")[2].partition("--- stderr\n")[0]
    return [line.split("\t")[1:] for line in answer.splitlines()]


def test_nothing_was_done(shown: Shown) -> None:
    assert shown("cluster", "audit") == (
        "exit: 0\n--- stdout\n--- stderr\nnothing is known to have been changed on lab-a\n"
    )


def test_who_changed_what(shown: Shown, lock: ClusterLock, tmp_path: Path) -> None:
    a_run(tmp_path, lock)
    lock.acquire(BOB, "aiops cluster deploy inventory.yml").release()
    screen = shown("cluster", "audit")
    ours, theirs = rows(screen)
    assert ours == ["ann@ctl1", "r-1122-000000-a11", "gone1,gpu[01-02]", "base", "create /etc/a, /etc/b"]
    assert theirs == [
        "bob@ctl2",
        "r-1122-010000-b0b",
        "",
        "",
        "`aiops cluster deploy inventory.yml`, ended [TIME]; its journal is on ctl2",
    ]
    assert "hint: every change of a run: `aiops cluster audit --run r-1122-000000-a11`" in screen


def test_one_run_one_node_one_span(shown: Shown, lock: ClusterLock, tmp_path: Path) -> None:
    a_run(tmp_path, lock)
    lock.acquire(BOB).release()
    assert [row[-1] for row in rows(shown("cluster", "audit", "--run", "1122-0000"))] == [
        "/etc/a was absent",
        "/etc/b was absent",
    ]
    assert [row[2] for row in rows(shown("cluster", "audit", "--on", "gpu01"))] == ["gpu01", "gpu01", ""]
    assert [row[2] for row in rows(shown("cluster", "audit", "--on", "gone1"))][:2] == ["gone1", "gone1"]
    assert len(rows(shown("cluster", "audit", "--since", "1h"))) == 2
    assert shown("cluster", "audit", "--since", "0s").endswith("in the last 0s\n")


def test_json_has_every_change(shown: Shown, lock: ClusterLock, tmp_path: Path) -> None:
    a_run(tmp_path, lock)
    screen = shown("cluster", "audit", "--json")
    document = json.loads(screen.partition("--- stdout\n")[2].partition("--- stderr\n")[0])
    assert len(document["deeds"]) == 6
    assert document["deeds"][0]["change"]["key"] == "file:/etc/a"
    assert document["unknown"] is None


def test_a_lock_taken_away_by_hand_shows_who_did_it(shown: Shown, lock: ClusterLock) -> None:
    with lock.acquire(BOB):
        assert shown("cluster", "lock", "release", "--yes").startswith("exit: 0")
    by, run, *_, what = rows(shown("cluster", "audit"))[-1]
    assert by == f"{Owner.here('').user}@{Owner.here('').host}"
    assert run == ""
    assert what == "took the cluster lock away from bob on ctl2 (run r-1122-010000-b0b)"


def test_the_runs_of_a_renamed_cluster_are_its_own(shown: Shown, lock: ClusterLock, tmp_path: Path) -> None:
    """The lock remembers the runs, whatever the cluster was called then."""
    a_run(tmp_path, lock, cluster="old-name")
    assert rows(shown("cluster", "audit"))[0][3:] == ["base", "create /etc/a, /etc/b"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--since", "yesterday"), "exit: 2 `yesterday` is not a span of time"),
        (("--on", "gpu09"), "exit: 2 there is no node `gpu09`"),
        (("--run", "r-9"), "exit: 6 no run `r-9` has changed anything here"),
    ],
)
def test_mistakes(shown: Shown, lock: ClusterLock, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    a_run(tmp_path, lock)
    screen = shown("cluster", "audit", *words)
    assert screen.startswith(told[:7])
    assert told[8:] in screen
    assert "hint:" in screen


def test_a_head_that_cannot_be_asked_is_said_and_not_taken_for_silence(
    shown: Shown, lock: ClusterLock, tmp_path: Path
) -> None:
    a_run(tmp_path, lock)
    (tmp_path / "home/clusters/lab-a/lock/state.json").write_text("half a st")
    screen = shown("cluster", "audit")
    assert screen.startswith("exit: 3\n")
    assert len(rows(screen)) == 1
    assert "what was done from other machines is not known" in screen
