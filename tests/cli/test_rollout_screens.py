"""`--retry-failed`, `--batch` and `--max-fail`: what is refused, what is said, and how it goes on."""

import io
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.cli.cluster.progress import Progress
from aiops.cli.cluster.report import exit_code, failure_of, first_reason, plan_lines
from aiops.cli.cluster.wish import Wish
from aiops.cli.screen import Screen
from aiops.layers.core.clock import SystemClock
from aiops.layers.core.errors import ConflictError, FailedError
from aiops.layers.core.event import EventStream
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.change import Change
from aiops.layers.l1_cluster.doors import Deployed
from aiops.layers.l1_cluster.ledger import Entry, Ledger
from aiops.layers.l1_cluster.phase import read_phases, shipped_phases
from aiops.layers.l1_cluster.plan import PhasePlan, Plan
from aiops.layers.l1_cluster.rollout import Batch, Share, Stop

Shown = Callable[..., str]


@pytest.fixture
def away(tmp_path: Path) -> tuple[str, ...]:
    """The options of a deploy to two nodes that are not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    hosts = [f"{{ansible_host: 127.0.0.{number}, ansible_port: {port}, ansible_user: root}}" for number in (1, 2)]
    (tmp_path / "inventory.yml").write_text(
        f"workers:\n  vars: {{aiops_repository: system}}\n  hosts: {{a1: {hosts[0]}, a2: {hosts[1]}}}\n"
    )
    phase = tmp_path / "phases" / "base" / "phase.yml"
    phase.parent.mkdir(parents=True)
    phase.write_text("phase: base\nresources: [{file: /nonexistent/x, content: x}]\n")
    return ("cluster", "deploy", "--yes", "--phases", str(tmp_path / "phases"))


@pytest.mark.parametrize(
    ("option", "value"), [("--batch", "101%"), ("--batch", "-1"), ("--max-fail", "abc"), ("--max-fail", "")]
)
def test_wrong_shares_change_nothing(
    shown: Shown, away: tuple[str, ...], tmp_path: Path, option: str, value: str
) -> None:
    screen = shown(*away, option, value)
    assert screen.startswith("exit: 2\n")
    assert f"error: `{option} {value}` is " in screen
    assert f"hint: as in `{option} 4` or `{option} 10%`\n" in screen
    assert not (tmp_path / "home" / "clusters").exists()
    assert shown("run", "list") == "exit: 0\n--- stdout\n--- stderr\nnothing was run yet\n"


def test_a_batch_of_none_is_refused_and_no_failure_may_be_allowed(shown: Shown, away: tuple[str, ...]) -> None:
    assert shown(*away, "--batch", "0", "--max-fail", "0").startswith("exit: 2\n")
    assert shown(*away, "--batch", "1", "--max-fail", "0").startswith("exit: 1\n")


def test_nothing_to_retry_is_refused(shown: Shown, away: tuple[str, ...]) -> None:
    screen = shown(*away, "--retry-failed")
    assert screen.startswith("exit: 2\n")
    assert "error: nothing is to be retried on a[1-2]: no run from this machine has left a node there " in screen
    assert "hint: deploy to all: `aiops cluster deploy [TMP]/inventory.yml --phases [TMP]/phases`\n" in screen
    assert shown("run", "list").endswith("nothing was run yet\n")


def test_what_failed_is_retried_and_the_hint_says_so(shown: Shown, away: tuple[str, ...], tmp_path: Path) -> None:
    screen = shown(*away, "--on", "a2", "--batch", "10%", "--max-fail", "5%")
    assert screen.startswith("exit: 1\n")
    again = "aiops cluster deploy [TMP]/inventory.yml --retry-failed --on a2 --batch 10% --max-fail 5%"
    assert f"hint: then go on with `{again} --phases [TMP]/phases`\n" in screen
    retry = json.loads(shown(*away, "--retry-failed", "--json").partition("--- stdout\n")[2].partition("--- stderr")[0])
    assert retry["plan"]["nodes"] == ["a2"]
    screen = shown(*away, "--retry-failed", "--on", "a1")
    assert screen.startswith("exit: 2\n")
    assert "hint: unfinished are a2\n" in screen
    plan = shown("cluster", "plan", "--retry-failed", "--phases", str(tmp_path / "phases"))
    assert plan.startswith("exit: 3\n--- stdout\nPlan: nothing is known of 1 node\n")


def test_the_words_of_a_wish_say_all_that_was_typed() -> None:
    wish = Wish(
        Path("x.yml"),
        only="base",
        start="base",
        on="a[1-2]",
        retry_failed=True,
        batch=Share(10, percent=True),
        max_fail=Share(0),
        forks=4,
        phases=Path("own"),
    )
    assert " ".join(wish.words(Path("x.yml"))) == (
        "aiops cluster deploy x.yml --retry-failed --only base --from base --on a[1-2] --batch 10% --max-fail 0 "
        "--forks 4 --phases own"
    )
    assert Wish(None).again.words(Path("x.yml")) == ("aiops", "cluster", "deploy", "x.yml", "--retry-failed")


def test_the_help_names_the_phases_in_their_order(shown: Shown) -> None:
    text = " ".join(shown("cluster", "deploy", "--help").split())
    assert f"order: {', '.join(phase.name for phase in read_phases(shipped_phases()))}." in text


def test_a_missing_head_is_told_before_a_missing_bundle(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text("workers:\n  hosts: {a1: {ansible_host: 127.0.0.1}}\n")
    screen = shown("cluster", "deploy", "--yes")
    assert screen.startswith("exit: 2\n")
    assert "no node plays the role `head`" in screen
    assert "bundle" not in screen
    assert shown("run", "list").endswith("nothing was run yet\n")


def a_plan(*names: str) -> Plan:
    change = Change("package:chrony", "install", "installed", "absent")
    return Plan(
        (PhasePlan("time", "Time", dict.fromkeys(names, (change,))),), names, notes=("Rolled out in 2 batches: ...",)
    )


def test_notes_of_a_plan_come_below_it() -> None:
    assert [line for line, _ in plan_lines(a_plan("gpu01", "gpu02"))] == [
        "Plan: 1 phase changes 2 nodes",
        "  time   install chrony on gpu[01-02]",
        "Rolled out in 2 batches: ...",
    ]


def failed(node: str, reason: str, *tail: str, item: str = "Install packages", phase: str = "base") -> Entry:
    return Entry(phase, node, "failed", 1.0, reason, tail, item)


def said(done: Deployed, *, terminal: bool = False) -> str:
    errors = Terminal() if terminal else io.StringIO()
    Screen(io.StringIO(), errors, environment={"COLUMNS": "60"}).error(failure_of(done, ["go on"]))
    return errors.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_failure_is_one_line_with_its_item() -> None:
    ledger = Ledger()
    ledger.add(failed("gpu02", "no space left on device"))
    assert said(Deployed(a_plan("gpu01", "gpu02"), ledger)) == (
        "error: phase `base` failed on gpu02 at `Install packages`: no space left on device\n\nhint: go on\n"
    )


def test_equal_failures_are_folded_and_each_has_its_last_lines() -> None:
    ledger = Ledger()
    for name in ("gpu01", "gpu02"):
        ledger.add(failed(name, "no space left on device", "cannot write /x", "no space left on device"))
    ledger.add(failed("gpu04", "service:slurmd is failed, not active", item="service:slurmd", phase="scheduler"))
    ledger.add(Entry("scheduler", "head", "blocked", 0.0, "it needs workers: gpu01 failed in phase `base`"))
    ledger.add(Entry("scheduler", "gpu01", "blocked", 0.0, "it failed in phase `base`"))
    done = Deployed(a_plan("gpu01", "gpu02", "gpu04", "head"), ledger)
    assert said(done) == (
        "error: 3 of 4 nodes failed\n"
        "  phase `base` failed on gpu[01-02] at `Install packages`: no space left on device\n"
        "    | cannot write /x\n"
        "  phase `scheduler` failed on gpu04: service:slurmd is failed, not active\n"
        "  phase `scheduler` was not tried on head: it needs workers: gpu01 failed in phase `base`\n"
        "\nhint: go on\n"
    )
    assert exit_code(done, dry_run=False) == 1
    assert first_reason(done) == "gpu01 failed in phase `base`: no space left on device (and 2 more)"


def test_long_failures_are_broken_between_words() -> None:
    ledger = Ledger()
    ledger.add(failed("gpu02", "no space left on device, and nobody knows where it all went"))
    assert said(Deployed(a_plan("gpu02"), ledger), terminal=True).splitlines()[:3] == [
        "error: phase `base` failed on gpu02 at `Install packages`:",
        "  no space left on device, and nobody knows where it all",
        "  went",
    ]


def test_a_rollout_that_stopped_says_where_and_who_was_not_begun() -> None:
    ledger = Ledger()
    ledger.add(failed("gpu03", "no space left on device"))
    nodes = tuple(Node(f"gpu0{number}") for number in (3, 4))
    stop = Stop("base", Batch(nodes, 2, 3), 1, 6, Share(10, percent=True), ("gpu04",), ("gpu05", "gpu06"))
    done = Deployed(a_plan("gpu03"), ledger, stop=stop)
    assert said(done) == (
        "error: the rollout stopped in phase `base` of batch 2 of 3: 1 of 6 nodes had failed, and `--max-fail 10%` "
        "allows none\n"
        "  phase `base` failed on gpu03 at `Install packages`: no space left on device\n"
        "  not brought to the end: gpu04\n"
        "  not begun: gpu[05-06]\n"
        "\nhint: go on\n"
    )
    assert failure_of(done, []).code == "deploy.stopped"
    assert first_reason(done).startswith("the rollout stopped in phase `base` of batch 2 of 3: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConflictError("the lock was lost to bob", code="lock.lost", hints=["see who has it"]), 5),
        (FailedError("the head does not answer", code="lock.away", hints=["see who has it"]), 1),
    ],
)
def test_a_rollout_that_its_lock_ended_tells_all_that_is_known(error: ConflictError | FailedError, code: int) -> None:
    ledger = Ledger()
    ledger.add(failed("gpu03", "no space left on device"))
    batch = Batch((Node("gpu03"), Node("gpu04")))
    stop = Stop("time", batch, 1, 2, None, ("gpu04",), error=error)
    done = Deployed(a_plan("gpu03", "gpu04"), ledger, stop=stop, drained=("gpu03", "gpu04"))
    assert said(done) == (
        f"error: the rollout stopped in phase `time`: {error.message}\n"
        "  phase `base` failed on gpu03 at `Install packages`: no space left on device\n"
        "  not brought to the end: gpu04\n"
        "  still drained, and given no work: gpu[03-04]\n"
        "\nhint: go on\n"
        "hint: see who has it\n"
    )
    assert exit_code(done, dry_run=False) == code
    assert failure_of(done, []).code == error.code
    quiet = Deployed(a_plan("gpu04"), Ledger(), stop=stop)
    assert exit_code(quiet, dry_run=False) == code
    assert first_reason(quiet) == f"the rollout stopped in phase `time`: {error.message}"


def test_a_failure_on_a_node_that_stays_drained_says_so() -> None:
    ledger = Ledger()
    ledger.add(failed("gpu02", "no space left on device"))
    assert said(Deployed(a_plan("gpu02"), ledger, drained=("gpu02",))).splitlines()[:3] == [
        "error: 1 of 1 nodes failed",
        "  phase `base` failed on gpu02 at `Install packages`: no space left on device",
        "  still drained, and given no work: gpu02",
    ]


def test_waiting_for_the_head_is_told_and_a_phase_that_was_cut_off_ends() -> None:
    errors = io.StringIO()
    progress = Progress(Screen(io.StringIO(), errors))
    events = EventStream("r-1", SystemClock())
    events.subscribe(progress.listen)
    events.emit("lock_awaited", "head did not answer", seconds=600.0)
    events.emit("lock_confirmed", "the head answers again, and the cluster lock is still ours")
    events.emit("phase_started", phase="base", nodes=["gpu01"])
    events.emit("rollout_stopped", "the rollout stopped")
    assert progress._step is None
    told = errors.getvalue()
    assert "  waiting up to 10 min for the head: head did not answer\n" in told
    assert "the head answers again" in told
    assert "✗ base" in told


def test_batches_have_headings_and_lost_nodes_are_asked_again() -> None:
    errors = io.StringIO()
    progress = Progress(Screen(io.StringIO(), errors))
    events = EventStream("r-1", SystemClock())
    events.subscribe(progress.listen)
    for number, names in ((1, ["head"]), (2, ["gpu01", "gpu02"])):
        events.emit("batch_started", "gpu[01-02]" if number > 1 else "head", number=number, of=2, nodes=names)
        events.emit("phase_started", phase="base", nodes=names)
        for name in names:
            outcome = "failed" if name == "gpu02" else "changed"
            events.emit("node_finished", node=name, phase="base", outcome=outcome)
        lost = int(number == 2)
        events.emit("phase_finished", phase="base", nodes=len(names), changed=1, failed=lost, ok=0, blocked=0)
    events.emit("nodes_asked_again", nodes=["gpu02"], silent="gpu02")
    events.emit("nodes_asked_again", nodes=["gpu01"], silent="")
    events.emit("node_finished", node="gpu02", phase="base", outcome="failed")
    assert [line.split("   ")[0].rstrip() for line in errors.getvalue().splitlines()] == [
        "batch 1 of 2: head",
        "  ✓ base",
        "batch 2 of 2: gpu[01-02]",
        "  ✗ base",
        "  asking gpu02 again, to tell why the work there was cut off",
    ]
    assert "1/2   1 failed   1 changed" in errors.getvalue()
