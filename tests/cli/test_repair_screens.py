"""`aiops node repair` and what goes with it: whole screens, with this machine as a node that nobody gives work."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.store import Store
from aiops.layers.l1_cluster.health.episode import Episode
from aiops.layers.l1_cluster.health.history import HealthHistory, Recalled
from aiops.layers.l1_cluster.health.node_state import NodeState, StateChange
from aiops.layers.l1_cluster.health.register import Register
from aiops.layers.l1_cluster.health.settling import Settled

Shown = Callable[..., str]
NOW = datetime.now(tz=UTC)
INVENTORY = """
workers:
  vars: {aiops_cluster: lab-a}
  hosts:
    n1: {ansible_connection: local}
"""


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text(INVENTORY)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "home", {}) as opened:
        yield opened


def become(store: Store, *states: NodeState, cause: str = "x") -> None:
    before: NodeState = "ready"
    for number, after in enumerate(states):
        at = NOW - timedelta(minutes=len(states) - number)
        Register(store, "lab-a").enter([StateChange("n1", at, before, after, cause, "", "bob on head", "r-1")])
        before = after


def find(store: Store, **more: Any) -> None:
    fresh: dict[str, Any] = {"action": "reboot", **more}
    episode = Episode("n1", "gpu.count", "", "critical", "7 of 8 GPUs", NOW, NOW, **fresh)
    HealthHistory(store, "lab-a").keep(
        Settled(began=(episode,)), Recalled(), at=NOW, verdicts={"n1": "critical"}, counters={}, boot_ids={}
    )


def states(store: Store) -> list[str]:
    return [one.after for one in Register(store, "lab-a").changes(NOW - timedelta(days=1))]


def test_a_node_in_service_is_not_touched(shown: Shown) -> None:
    screen = shown("node", "repair", "n1", "--yes")
    assert screen.startswith("exit: 1\n")
    assert "n1\t-\tit is in service (new)\n" in screen
    assert "hint: first `aiops node drain n1 --reason TEXT`" in screen


def test_nothing_to_repair_is_no_failure(shown: Shown, store: Store) -> None:
    become(store, "draining", "drained")
    screen = shown("node", "repair", "n1")
    assert screen.startswith("exit: 0\n")
    assert "n1\t-\tnothing is to be repaired\n" in screen
    assert "hint: give it back: `aiops node resume n1`" in screen


def test_the_machine_that_aiops_runs_on_is_never_rebooted(shown: Shown, store: Store) -> None:
    become(store, "draining", "drained")
    find(store)
    for words in ((), ("--action", "reboot")):
        screen = shown("node", "repair", "n1", "--yes", *words)
        assert screen.startswith("exit: 1\n")
        assert "it needs a reboot, and aiops runs on it" in screen
    assert states(store) == ["draining", "drained"]


def test_a_dry_run_changes_nothing_and_tells_all(shown: Shown, store: Store) -> None:
    become(store, "draining", "drained")
    find(store, action="service")
    screen = shown("node", "repair", "n1", "--dry-run", "--json")
    assert screen.startswith("exit: 0\n")
    (told,) = json.loads(screen.partition("--- stdout\n")[2].partition("--- stderr\n")[0])["nodes"]
    assert told == {
        "node": "n1",
        "step": "service",
        "why": "gpu.count: 7 of 8 GPUs",
        "finding": "gpu.count",
        "passed_over": [],
        "resumed": False,
        "outcome": None,
        "what": None,
        "hint": None,
    }
    assert states(store) == ["draining", "drained"]


def test_without_a_terminal_nothing_is_asked_and_nothing_done(shown: Shown, store: Store) -> None:
    become(store, "draining", "drained")
    find(store, action="service")
    screen = shown("node", "repair", "n1")
    assert screen.startswith("exit: 2\n")
    assert "hint: say yes beforehand: add `--yes`" in screen
    asked = shown("node", "repair", "n1", terminal=True, typed="n\n")
    assert asked.startswith("exit: 1\n")
    assert "n1: service: gpu.count: 7 of 8 GPUs" in asked
    assert states(store) == ["draining", "drained"]


def test_who_is_out_for_service_comes_back_by_a_person_alone(shown: Shown, store: Store) -> None:
    become(store, "draining", "drained")
    screen = shown("node", "repair", "n1", "--action", "service", "--yes")
    assert screen.startswith("exit: 0\n")
    assert "n1\tservice\trma\tit is for service: a person wants it\n" in screen
    assert states(store)[-1] == "rma"
    assert "\trma\n" in shown("node", "list")
    assert "rma: service: a person wants it" in shown("node", "show", "n1")
    again = shown("node", "repair", "n1", "--yes")
    assert again.startswith("exit: 1\n")
    assert "it is out for service" in again
    unasked = shown("node", "resume", "n1")
    assert unasked.startswith("exit: 2\n")
    assert "n1 is out for service (rma) since" in unasked
    assert states(store)[-1] == "rma"
    back = shown("node", "resume", "n1", "--yes")
    assert back.startswith("exit: 0\n")
    assert states(store)[-2:] == ["drained", "ready"]


def test_a_node_whose_repair_was_cut_off_is_not_given_back(shown: Shown, store: Store) -> None:
    become(store, "draining", "drained", "repairing", cause="reboot: gpu.count: 7 of 8 GPUs")
    screen = shown("node", "resume", "n1")
    assert screen.startswith("exit: 5\n")
    assert "n1 is repairing, so it cannot become ready" in screen
    assert "`aiops node repair n1`" in screen


@pytest.mark.parametrize(
    ("words", "told"),
    [(("n99",), "n99"), (("n1", "--action", "magic"), "magic"), (("n1,!n1",), "select"), ((), "NODES")],
)
def test_wrong_words_change_nothing(shown: Shown, words: tuple[str, ...], told: str) -> None:
    screen = shown("node", "repair", *words)
    assert screen.startswith("exit: 2\n")
    assert told in screen
