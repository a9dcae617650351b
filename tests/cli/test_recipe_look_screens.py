"""Nodes that a plan asks through a controller, by the probe's real program on this machine, and where none can."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_job_screens import House
from tests.cli.test_recipe_screens import document, lay_recipe
from tests.support.fake_transport import FakeTransport

from aiops.cli.recipe import looking
from aiops.layers.core.clock import SystemClock
from aiops.layers.core.command import Command
from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l2_jobs.controller import desk
from aiops.layers.l2_jobs.controller.visitor import away
from aiops.layers.l2_jobs.survey import Surveyor

Shown = Callable[..., str]

INVENTORY = "all:\n  hosts:\n    {name}: {{ansible_connection: local}}\n  vars: {{aiops_cluster: {cluster}}}\n"
PLAN = ("recipe", "plan", "recipe.yml", "--json")


class Nodes:
    """Two nodes, which are this machine."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent: set[str] = set()

    def surveyor(self) -> Surveyor:
        return Surveyor(
            Fleet(self._connect, width=1), {"gpu01": Node("gpu01"), "gpu02": Node("gpu02")}, SystemClock(), -1
        )

    def _connect(self, node: Node) -> Transport:
        def answer(command: Command) -> tuple[int, bytes, bytes]:
            self.asked.append(node.name)
            if node.name in self.silent:
                raise UnreachableError(f"{node.name} did not answer within 10 s", code="ssh.timeout")
            words = [sys.executable, *command.argv[1:]]
            done = subprocess.run(words, input=command.stdin, capture_output=True, check=False)
            return done.returncode, done.stdout, done.stderr

        return FakeTransport(node, {"python3": answer})


@pytest.fixture
def there() -> Nodes:
    return Nodes()


@pytest.fixture(autouse=True)
def house(tmp_path: Path, there: Nodes) -> Iterator[House]:
    made = House(tmp_path / "home", there.surveyor())
    yield made
    made.door.close()
    made.rig.store.close()


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay_recipe(tmp_path, monkeypatch)
    return tmp_path


def remarks(plan: Any) -> dict[str, tuple[str, str]]:
    return {one["subject"]: (one["state"], one["words"]) for one in plan["remarks"]}


@pytest.mark.parametrize("words", [PLAN, ("train", "recipe.yml", "--dry-run", "--json")])
def test_without_an_inventory_the_controller_asks_all_its_nodes(
    shown: Shown, there: Nodes, words: tuple[str, ...]
) -> None:
    found = document(shown(*words))
    found = found.get("plan", found)
    assert there.asked == ["gpu01", "gpu02"], "one of them by a second question"
    assert found["nodes"] == ["gpu01", "gpu02"]
    assert found["memory"]["limit"] > 1 << 28
    assert remarks(found)["base"][0] == "ok"
    assert remarks(found)["ports"][0] == "ok"
    assert "nodes" not in remarks(found)


def test_who_does_not_answer_it_is_silent_and_a_run_begins_all_the_same(shown: Shown, there: Nodes) -> None:
    there.silent = {"gpu02"}
    screen = shown(*PLAN)
    assert screen.startswith("exit: 3\n")
    assert remarks(document(screen))["nodes"] == ("unknown", "gpu02: gpu02 did not answer within 10 s")
    screen = shown("train", "recipe.yml", "--detach")
    assert screen.startswith("exit: 0\n--- stdout\nsleep-1\n"), screen
    assert "✗ nodes         2   1 failed" in screen


def test_nodes_that_the_recipe_names(shown: Shown, there: Nodes) -> None:
    document(shown(*PLAN, "--set", "placement.only=gpu02"))
    assert there.asked == ["gpu02"]
    screen = shown(*PLAN, "--set", "placement.only=head")
    assert screen.startswith("exit: 2\n")
    assert document(screen)["error"]["code"] == "plan.nodes"


def test_an_older_controller_is_no_failure(shown: Shown, there: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "VERBS", set(desk.VERBS) - {"survey"})
    screen = shown(*PLAN)
    assert screen.startswith("exit: 3\n")
    why = "none could be asked: the controller knows no `survey`"
    assert remarks(document(screen))["nodes"] == ("unknown", why)
    screen = shown("train", "recipe.yml", "--detach")
    assert screen.startswith("exit: 0\n--- stdout\nsleep-1\n"), screen
    assert there.asked == []


def test_who_may_reach_nodes_asks_them_where_an_older_controller_does_not(
    shown: Shown, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "VERBS", set(desk.VERBS) - {"survey"})
    (written / "inventory.yml").write_text(INVENTORY.format(name="here", cluster="lab-a"))
    assert document(shown(*PLAN))["nodes"] == ["here"]


def test_a_controller_that_is_away_is_no_failure(shown: Shown, written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def knock(_aiops: Any) -> None:
        raise away(Path("/run/aiops/controller.sock"), "its service has been stopped")

    monkeypatch.setattr(looking, "knock", knock)
    screen = shown(*PLAN)
    assert screen.startswith("exit: 3\n")
    assert "its service has been stopped" in remarks(document(screen))["nodes"][1]
    (written / "inventory.yml").write_text(INVENTORY.format(name="here", cluster="lab-a"))
    assert document(shown(*PLAN))["nodes"] == ["here"]


@pytest.mark.parametrize(("cluster", "nodes"), [("lab-a", ["gpu01", "gpu02"]), ("other", ["here"])])
def test_the_inventory_of_another_cluster_is_asked_by_ourselves(
    shown: Shown, written: Path, cluster: str, nodes: list[str]
) -> None:
    (written / "inventory.yml").write_text(INVENTORY.format(name="here", cluster=cluster))
    assert document(shown(*PLAN, "-i", "inventory.yml"))["nodes"] == nodes
