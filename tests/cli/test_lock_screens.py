"""`aiops cluster lock`, whole screens, on an inventory without a head (the lock is in AIOPS_HOME then)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiops.layers.l1_cluster.lock import ClusterLock, Lock
from aiops.layers.l1_cluster.owner import Owner

Shown = Callable[..., str]
INVENTORY = """
workers:
  vars: {aiops_cluster: lab-a, aiops_repository: system}
  hosts:
    gpu01: {ansible_connection: local}
"""


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text(INVENTORY)


@pytest.fixture
def lock(tmp_path: Path) -> ClusterLock:
    return ClusterLock.of(None, tmp_path / "home/clusters/lab-a/lock")


@pytest.fixture
def held(lock: ClusterLock) -> Iterator[Lock]:
    with lock.acquire(Owner("ann", "ctl1", "boot", "pid:[1]", 77, 5, "r-1121-193005-4f2")) as taken:
        yield taken


def test_free(shown: Shown) -> None:
    place = "[TMP]/home/clusters/lab-a/lock"
    assert shown("cluster", "lock", "show") == (
        f"exit: 0\n--- stdout\n--- stderr\nthe cluster lock on `{place}` is free\n"
    )
    assert shown("cluster", "lock", "release") == (
        f"exit: 0\n--- stdout\n--- stderr\nthe cluster lock on `{place}` is free already\n"
    )
    assert json.loads(answer(shown("cluster", "lock", "show", "--json")))["holder"] is None


def test_held(shown: Shown, held: Lock) -> None:
    row = answer(shown("cluster", "lock", "show")).split("\t")
    assert row[:4] == ["ann", "ctl1", "77", "r-1121-193005-4f2"]
    holder = json.loads(answer(shown("cluster", "lock", "show", "--json")))["holder"]
    assert holder["epoch"] == held.epoch
    assert held.token not in json.dumps(holder)


def test_release_asks(shown: Shown, lock: ClusterLock, held: Lock) -> None:
    refused = shown("cluster", "lock", "release")
    assert refused.startswith("exit: 2\n")
    assert "Held by ann on ctl1 (run r-1121-193005-4f2, pid 77)" in refused
    assert "--yes" in refused
    assert shown("cluster", "lock", "release", terminal=True, typed="n\n").startswith("exit: 1\n")
    assert lock.show() is not None
    assert shown("cluster", "lock", "release", terminal=True, typed="y\n").startswith("exit: 0\n")
    assert lock.show() is None


def test_release_at_once(shown: Shown, lock: ClusterLock, held: Lock) -> None:
    screen = shown("cluster", "lock", "release", "--yes")
    assert screen.endswith("--- stderr\nreleased; it was held by ann on ctl1 (run r-1121-193005-4f2, pid 77)\n")
    assert lock.show() is None


def test_a_state_that_cannot_be_read(shown: Shown, lock: ClusterLock, tmp_path: Path) -> None:
    lock.acquire(Owner.here("r-1")).release()
    (tmp_path / "home/clusters/lab-a/lock/state.json").write_text("half a st")
    screen = shown("cluster", "lock", "show")
    assert screen.startswith("exit: 1\n")
    assert "`aiops cluster lock release`" in screen
    assert shown("cluster", "lock", "release", "--yes").startswith("exit: 0\n")
    assert lock.show() is None


def answer(screen: str) -> str:
    return screen.partition("--- stdout\n")[2].partition("--- stderr\n")[0]


def test_the_inventory_is_named_once_either_way(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").rename(tmp_path / "other.yml")
    for command in (("lock", "show"), ("lock", "release")):
        for words in (("-i", "other.yml"), ("other.yml",)):
            assert "clusters/lab-a/lock` is free" in shown("cluster", *command, *words)
        assert shown("cluster", *command, "other.yml", "-i", "third.yml").startswith("exit: 2\n")


def test_a_deploy_beside_another_is_told_who_holds_the_lock_and_changes_nothing(shown: Shown, held: Lock) -> None:
    screen = shown("cluster", "deploy", "--only", "base", "--yes")
    assert screen.startswith("exit: 5\n")
    assert "is held by ann on ctl1 (run r-1121-193005-4f2, pid 77) since [TIME], renewed " in screen
    assert "`aiops cluster lock release`" in screen
    assert json.loads(answer(shown("run", "list", "--json")))[0]["exit"] == 5
    held.guard()
