"""`aiops cluster plan` and `deploy` where no node answers, and what a deploy shows while it runs."""

import io
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiops.cli.cluster.deployment import DECLINED, Deployment
from aiops.cli.cluster.progress import Progress
from aiops.cli.cluster.report import plan_lines
from aiops.cli.cluster.wish import Wish
from aiops.cli.screen import Screen
from aiops.layers.core.clock import SystemClock
from aiops.layers.core.event import EventStream
from aiops.layers.l1_cluster.change import Change
from aiops.layers.l1_cluster.doors import Deployed
from aiops.layers.l1_cluster.ledger import Ledger
from aiops.layers.l1_cluster.plan import PhasePlan, Plan

Shown = Callable[..., str]
PHASE = "phase: base\nresources: [{file: /nonexistent/x, content: x}]\n"


@pytest.fixture
def phases(tmp_path: Path) -> Path:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    away = [f"{{ansible_host: 127.0.0.{number}, ansible_port: {port}, ansible_user: root}}" for number in (1, 2)]
    (tmp_path / "inventory.yml").write_text(
        f"workers:\n  vars: {{aiops_repository: system}}\n  hosts: {{a1: {away[0]}, a2: {away[1]}}}\n"
    )
    (tmp_path / "phases" / "base").mkdir(parents=True)
    (tmp_path / "phases" / "base" / "phase.yml").write_text(PHASE)
    return tmp_path / "phases"


def test_a_plan_of_nodes_that_do_not_answer_says_that_nothing_is_known(shown: Shown, phases: Path) -> None:
    screen = shown("cluster", "plan", "--phases", str(phases))
    assert screen.startswith("exit: 3\n--- stdout\nPlan: nothing is known of 2 nodes\n")


@pytest.mark.parametrize(("verb", "code"), [("plan", 3), ("deploy", 1)])
def test_a_failure_in_json_has_its_error(shown: Shown, phases: Path, verb: str, code: int) -> None:
    screen = shown("cluster", verb, "--phases", str(phases), "--json", *(["--yes"] if verb == "deploy" else []))
    assert screen.startswith(f"exit: {code}\n")
    document = json.loads(screen.partition("--- stdout\n")[2].partition("--- stderr")[0])
    assert document["error"]["code"] == "deploy.failed"
    assert "a1" in repr(document["error"])
    assert document["error"]["hint"]
    assert document["plan"]["unknown"] == ["a1", "a2"]
    assert {one["node"] for one in document["failures"]} == {"a1", "a2"}


def test_declining_is_an_error_in_json_and_success_is_none() -> None:
    deployment = object.__new__(Deployment)
    deployment._command = "aiops cluster deploy x"
    deployment._wish = Wish(None)
    error = deployment._error(Deployed(Plan((), ()), Ledger(), declined=True))
    assert error is not None
    assert error.code == DECLINED
    assert deployment._error(Deployed(Plan((), ()), Ledger())) is None


def test_an_interrupted_deploy_says_how_it_goes_on(shown: Shown, phases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aiops.layers.l1_cluster.deploy.deploy", cut)
    screen = shown("cluster", "deploy", "--yes", "--phases", str(phases))
    assert screen.startswith("exit: 130\n")
    assert "error: interrupted\n\nhint: see how far run r-" in screen
    again = "aiops cluster deploy [TMP]/inventory.yml --phases [TMP]/phases"
    assert f"hint: type it again, it goes on where it was: `{again}`\n" in screen


def test_a_head_that_does_not_answer_is_a_failure(shown: Shown, phases: Path, tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_text(path.read_text() + "head: {hosts: {a1: }}\n")
    screen = shown("cluster", "deploy", "--yes", "--phases", str(phases))
    assert screen.startswith("exit: 1\n")
    assert "error: the head `a1` keeps the cluster's lock and does not answer, so nothing can be changed: " in screen
    assert "`aiops node ssh -i [TMP]/inventory.yml a1`" in screen


def test_a_plan_is_wrapped_between_words_and_hangs() -> None:
    changes = tuple(Change(f"package:some-{number}", "install", "installed", "absent") for number in range(3))
    plan = Plan((PhasePlan("base", "Base", {"gpu01": changes}),), ("gpu01",))
    screen = Screen(Terminal(), io.StringIO(), environment={"COLUMNS": "40"})
    (_, (line, indent)) = plan_lines(plan)
    assert screen.wrapped(line, indent) == (
        "  base   install some-0, install some-1,\n         install some-2 on gpu01"
    )
    assert screen.wrapped(line, indent, aside=True) == line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Shows:
    """A deploy's events and tasks, and the text of its live line."""

    def __init__(self) -> None:
        self.errors = io.StringIO()
        self.screen = Screen(io.StringIO(), self.errors)
        self.progress = Progress(self.screen)
        self.events = EventStream("r-1", SystemClock())
        self.events.subscribe(self.progress.listen)

    @property
    def text(self) -> str:
        assert self.progress._step is not None
        return self.progress._step.summary

    def tell(self, kind: str, **data: Any) -> None:
        self.events.emit(kind, **data)


@pytest.fixture
def shows() -> Shows:
    return Shows()


def test_the_running_task_is_counted_and_the_slowest_node_named(shows: Shows) -> None:
    names = [f"n{number}" for number in range(1, 6)]
    shows.tell("phase_started", phase="base", nodes=names)
    for name in names:
        shows.progress.begin(name, "Install packages")
    assert shows.text == "install packages on 0/5"
    shows.progress.end("n1", "Install packages")
    assert shows.text == "install packages on 1/5, waiting for n2, n3, n4 ..."
    for name in ("n2", "n4"):
        shows.progress.end(name, "Install packages")
    shows.tell("task_failed", node="n5", phase="base", task="Install packages")
    assert shows.text == "install packages on 4/5, waiting for n3"
    shows.progress.end("n3", "Install packages")
    shows.progress.begin("n1", "Put files in place")
    assert shows.text == "put files in place on 0/1"
    shows.tell("phase_finished", phase="base", nodes=5, changed=4, failed=1, ok=0, blocked=0)
    shows.tell("phase_started", phase="time", nodes=names)
    assert shows.text == ""
    shows.progress.close()


def test_nodes_that_preflight_keeps_out_have_a_line(shows: Shows) -> None:
    shows.tell("phase_started", phase="connect", nodes=["n1", "n2", "n3"])
    for name, outcome in (("n1", "failed"), ("n2", "ok"), ("n3", "ok")):
        shows.events.emit("node_finished", node=name, phase="connect", outcome=outcome)
    shows.tell("phase_finished", phase="connect", nodes=3, changed=0, failed=1, ok=2, blocked=0)
    shows.tell("preflight_finished", nodes=3, refused=["n1", "n3"], findings=[])
    assert "  ✗ preflight     1/2   1 failed" in shows.errors.getvalue()


def test_a_phase_of_no_nodes_is_not_shown(shows: Shows) -> None:
    shows.tell("phase_started", phase="base", nodes=[])
    assert shows.progress._step is None
    shows.tell("phase_finished", phase="base", nodes=0, changed=0, failed=0, ok=0, blocked=0)


def test_a_node_that_ends_what_it_did_not_begin_is_not_counted(shows: Shows) -> None:
    shows.tell("phase_started", phase="base", nodes=["n1"])
    shows.progress.end("n1", "Install packages")
    shows.progress.end("n1", "Install packages")
    assert shows.text == "install packages on 0/0"
    shows.progress.close()
