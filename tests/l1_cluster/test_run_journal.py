"""Journals: what is kept of a run, whatever ends it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.cli.exit import exit_of
from aiops.layers.core.errors import ConflictError, FailedError, InputError, NotFoundError
from aiops.layers.core.event import EventStream
from aiops.layers.core.store import Store
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.run import Journal, Runs

START = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)


class Ticking:
    """A clock that goes on by one second with each look."""

    def __init__(self, start: datetime = START) -> None:
        self.at = start

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path, {}) as opened:
        yield opened


def begin(store: Store, run: str = "r-1121-193005-4f2", *, cluster: str = "lab-a", at: datetime = START) -> Journal:
    stream = EventStream(run, Ticking(at))
    return Journal.begin(
        store, stream, owner=Owner.here(run), cluster=cluster, command="aiops cluster deploy", exit_of=exit_of
    )


def finish(journal: Journal, node: str, phase: str, outcome: str, reason: str | None = None) -> None:
    journal.stream.emit("node_finished", node=node, phase=phase, outcome=outcome, seconds=1.5, reason=reason)


def test_a_run_from_begin_to_end(store: Store) -> None:
    with begin(store) as journal:
        finish(journal, "gpu01", "base", "changed")
        finish(journal, "gpu02", "base", "failed", "no space left on /var")
        running = Runs(store).find("r-1121-193005-4f2")
        journal.end(1, "1 node failed")
    assert (running.status, running.ended, running.exit) == ("running", None, None)
    run = Runs(store).find("1121")
    assert (run.status, run.exit, run.reason, run.cluster) == ("failed", 1, "1 node failed", "lab-a")
    assert run.started == START + timedelta(seconds=1)
    assert run.ended == START + timedelta(seconds=4)
    results = Runs(store).results(run.id)
    assert [(one.node, one.outcome, one.seconds, one.reason) for one in results] == [
        ("gpu01", "changed", 1.5, None),
        ("gpu02", "failed", 1.5, "no space left on /var"),
    ]
    kinds = [event.kind for event in Runs(store).events(run.id)]
    assert kinds == ["run_started", "node_finished", "node_finished", "run_finished"]
    json.dumps([run.document(), *(one.document() for one in results)])


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (None, "done", 0),
        (ConflictError("held", code="lock.held"), "failed", 5),
        (FailedError("x", code="x.y"), "failed", 1),
        (ZeroDivisionError(), "failed", 70),
        (KeyboardInterrupt(), "interrupted", 130),
        (SystemExit(), "interrupted", 143),
    ],
)
def test_whatever_ends_the_block_ends_the_run(
    store: Store, error: BaseException | None, status: str, code: int
) -> None:
    def work() -> None:
        with begin(store):
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    run = Runs(store).newest()[0]
    assert (run.status, run.exit) == (status, code)


def test_a_second_result_of_a_node_replaces_the_first(store: Store) -> None:
    with begin(store) as journal:
        finish(journal, "gpu01", "base", "failed", "lost the connection")
        finish(journal, "gpu01", "base", "ok")
    assert [one.outcome for one in Runs(store).results("r-1121-193005-4f2")] == ["ok"]


def test_the_last_word_on_each_phase_and_node_of_one_cluster(store: Store) -> None:
    with begin(store, "r-1") as journal:
        finish(journal, "gpu01", "base", "failed", "broken")
        finish(journal, "gpu02", "base", "ok")
    with begin(store, "r-2", at=START + timedelta(hours=1)) as journal:
        finish(journal, "gpu01", "base", "changed")
    with begin(store, "r-3", cluster="other", at=START + timedelta(hours=2)) as journal:
        finish(journal, "gpu01", "base", "failed", "not ours")
    latest = {(one.phase, one.node): (one.run, one.outcome) for one in Runs(store).latest_results("lab-a")}
    assert latest == {("base", "gpu01"): ("r-2", "changed"), ("base", "gpu02"): ("r-1", "ok")}
    assert [run.id for run in Runs(store).newest(cluster="lab-a")] == ["r-2", "r-1"]
    assert [run.id for run in Runs(store).newest(limit=1)] == ["r-3"]


def test_a_run_is_found_by_the_start_of_its_id(store: Store) -> None:
    runs = Runs(store)
    with pytest.raises(NotFoundError):
        runs.find("r-1121")
    for run in ("r-1121-193005-4f2", "r-1121-193005-4f", "r-1122-000000-abc"):
        with begin(store, run):
            pass
    assert runs.find("r-1122").id == "r-1122-000000-abc"
    assert runs.find("r-1121-193005-4f").id == "r-1121-193005-4f"
    with pytest.raises(InputError, match="start of 2 runs"):
        runs.find("r-1121")
    with pytest.raises(NotFoundError) as missing:
        runs.find("r-1122-000000-abd")
    assert "r-1122-000000-abc" in missing.value.hints[0]
    for text in ("%", "_", "r-112_", ""):
        with pytest.raises((NotFoundError, InputError)):
            runs.find(text)


def test_nodes_of_a_run(store: Store) -> None:
    with begin(store, "r-1") as journal:
        for node in ("gpu01", "gpu02", "head"):
            finish(journal, node, "base", "ok")
    runs = Runs(store)
    assert runs.nodes("r-1") == ("gpu01", "gpu02", "head")
    assert runs.nodes("r-1", "gpu[01-02]") == ("gpu01", "gpu02")
    with pytest.raises(InputError, match="gpu09") as missing:
        runs.nodes("r-1", "gpu09")
    assert missing.value.hints


KILLED = """
import os, signal, sys
from pathlib import Path
from aiops.cli.exit import exit_of
from aiops.layers.core.clock import SystemClock
from aiops.layers.core.event import EventStream
from aiops.layers.core.store import Store
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.run import Journal
store = Store.open(Path(sys.argv[1]), {})
stream = EventStream("r-1", SystemClock())
journal = Journal.begin(store, stream, owner=Owner.here("r-1"), cluster="c", command="deploy", exit_of=exit_of)
for number in range(int(sys.argv[2])):
    stream.emit("node_finished", node=f"n{number}", phase="base", outcome="ok", seconds=0.1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_is_readable_and_interrupted(store: Store, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "7"], check=False, timeout=60)
    assert done.returncode == -9
    run = Runs(store).find("r-1")
    assert (run.status, run.exit, run.ended) == ("interrupted", None, None)
    assert len(Runs(store).results("r-1")) == 7


def test_what_a_run_was_doing_when_it_was_cut(store: Store) -> None:
    with begin(store, "r-1") as journal:
        journal.stream.emit("phase_started", phase="base", nodes=["gpu01", "gpu02"])
        finish(journal, "gpu01", "base", "ok")
        assert [run.id for run in Runs(store).running("lab-a")] == ["r-1"]
        assert Runs(store).running("other") == ()
        journal.end(130)
    runs = Runs(store)
    assert [(one.phase, one.node, one.outcome) for one in runs.cut_off("r-1")] == [("base", "gpu02", "interrupted")]
    assert runs.nodes("r-1") == ("gpu01", "gpu02")
    assert runs.running("lab-a") == ()
    assert runs.clusters() == ["lab-a"]


def test_the_machines_of_a_run(store: Store) -> None:
    with begin(store, "r-1") as journal:
        journal.stream.emit("preflight_finished", machines={"gpu01": "a"})
        finish(journal, "gpu01", "base", "ok")
    runs = Runs(store)
    assert runs.machines(runs.results("r-1")) == {("r-1", "gpu01"): "a"}
    assert runs.machines(()) == {}


def test_a_run_of_another_machine_is_not_judged(store: Store) -> None:
    stream = EventStream("r-1", Ticking())
    owner = replace(Owner.here("r-1"), host="elsewhere", pid=2**22 - 1, boot_id="other")
    Journal.begin(store, stream, owner=owner, cluster="c", command="x", exit_of=exit_of)
    assert Runs(store).find("r-1").status == "running"
