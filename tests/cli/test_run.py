"""`aiops run`, whole screens."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.cli.exit import exit_of
from aiops.layers.core.event import EventStream
from aiops.layers.core.store import Store
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.run import Journal

Shown = Callable[..., str]


class Ticking:
    """A clock that goes on by one second with each look."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """A home with one run: gpu03 failed in base."""
    with Store.open(tmp_path / "home", {}) as store:
        stream = EventStream("r-1121-193005-4f2", Ticking())
        owner = Owner("ann", "ctl1", "boot", "pid:[1]", 77, 5, stream.run)
        with Journal.begin(
            store, stream, owner=owner, cluster="lab-a", command="aiops cluster deploy inventory.yml", exit_of=exit_of
        ) as journal:
            stream.emit("resource_changed", "package:htop", node="gpu01", phase="base", key="package:htop")
            for node in ("gpu01", "gpu02"):
                stream.emit("node_finished", node=node, phase="base", outcome="changed", seconds=2.0)
            stream.emit(
                "task_failed",
                "no space left on /var",
                node="gpu03",
                phase="base",
                task="Install packages",
                tail=["dpkg: error", "no space left on device"],
            )
            stream.emit("node_finished", node="gpu03", phase="base", outcome="failed", seconds=9.0, reason="no space")
            journal.end(1)
    return tmp_path / "home"


def test_nothing_yet(shown: Shown) -> None:
    assert shown("run", "list") == "exit: 0\n--- stdout\n--- stderr\nnothing was run yet\n"
    screen = shown("run", "show", "r-1")
    assert screen.startswith("exit: 6\n--- stdout\n--- stderr\nerror: there is no run `r-1`\n\nhint: ")


def test_list(shown: Shown, deployed: Path) -> None:
    assert shown("run", "list") == (
        "exit: 0\n--- stdout\n"
        "r-1121-193005-4f2\tlab-a\t[TIME]\t[SECONDS]\tfailed\t1\tann@ctl1\taiops cluster deploy inventory.yml\n"
        "--- stderr\n"
    )
    assert "RUN" in shown("run", "list", terminal=True)
    assert json.loads(answer(shown("run", "list", "--json")))[0]["exit"] == 1
    other = shown("run", "list", "--cluster", "other")
    assert other == "exit: 0\n--- stdout\n--- stderr\nnothing was run on `other`; there are runs of lab-a\n"


def test_an_id_is_never_broken(shown: Shown, deployed: Path) -> None:
    screen = shown("run", "list", terminal=True, environment={"COLUMNS": "62"})
    assert "\nr-1121-193005-4f2 " in screen


def test_what_was_cut_off_is_shown(shown: Shown, tmp_path: Path) -> None:
    with Store.open(tmp_path / "home", {}) as store:
        stream = EventStream("r-1", Ticking())
        owner = Owner("ann", "ctl1", "boot", "pid:[1]", 77, 5, stream.run)
        with Journal.begin(store, stream, owner=owner, cluster="lab-a", command="x", exit_of=exit_of) as journal:
            stream.emit("phase_started", phase="base", nodes=["gpu01", "gpu02"])
            stream.emit("node_finished", node="gpu01", phase="base", outcome="ok", seconds=1.0)
            journal.end(130)
    screen = shown("run", "show", "r-1")
    assert "base\tgpu02\tinterrupted\n" in screen
    assert "came to\tphase base on gpu02, [SECONDS] after it began\n" in screen
    assert screen.endswith("hint: type it again, it goes on where it was: `x`\n")
    came_to = json.loads(answer(shown("run", "show", "r-1", "--json")))["came_to"]
    assert (came_to["phase"], came_to["nodes"]) == ("base", ["gpu02"])


def test_show(shown: Shown, deployed: Path) -> None:
    screen = shown("run", "show", "r-1121")
    assert screen.startswith("exit: 0\n")
    assert "base\tgpu[01-02]\tchanged\t[SECONDS]\n" in screen
    assert "base\tgpu03\tfailed\t[SECONDS]\tno space\n" in screen
    assert (
        "gpu03: base: Install packages: no space left on /var\n  | dpkg: error\n  | no space left on device\n" in screen
    )
    assert "hint: everything of one node: `aiops run show r-1121-193005-4f2 --node gpu03`" in screen


def test_show_one_node(shown: Shown, deployed: Path) -> None:
    screen = shown("run", "show", "1121", "--node", "gpu01")
    assert "package:htop\tgpu01\tbase\n" in screen
    assert "gpu03" not in screen
    document = json.loads(answer(shown("run", "show", "1121", "--node", "gpu03", "--json")))
    assert [one["outcome"] for one in document["results"]] == ["failed"]
    assert document["failures"][0]["data"]["tail"][0] == "dpkg: error"


def test_show_a_node_that_was_not_there(shown: Shown, deployed: Path) -> None:
    screen = shown("run", "show", "1121", "--node", "gpu33")
    assert screen.startswith("exit: 2\n")
    assert "hint: did you mean `gpu03`?" in screen


@pytest.mark.parametrize("follow", [(), ("-f",)])
def test_events(shown: Shown, deployed: Path, follow: tuple[str, ...]) -> None:
    screen = shown("run", "events", "1121", "--node", "gpu03", *follow)
    lines = answer(screen).splitlines()
    assert [line.split("\t")[2] for line in lines] == ["task_failed", "node_finished"]
    whole = answer(shown("run", "events", "1121", "--json", *follow))
    found = [json.loads(line) for line in whole.splitlines()] if follow else json.loads(whole)
    assert [event["seq"] for event in found] == [1, 2, 3, 4, 5, 6, 7]


def answer(screen: str) -> str:
    return screen.partition("--- stdout\n")[2].partition("--- stderr\n")[0]
