"""The controller as it is put together on a head: its nodes are in memory, all else is what a cluster has."""

import base64
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.controller.rig import job
from tests.support.fake_transport import FakeTransport

from aiops.cli.app import App
from aiops.cli.controller.assembly import Running, assembled
from aiops.cli.controller.compiling import Compiler
from aiops.cli.controller.shelves import Shelves
from aiops.cli.controller.sites import Sites
from aiops.layers.core.command import Command
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.settings import read_settings
from aiops.layers.l0_nodes.transport import Channel
from aiops.layers.l2_jobs import node_line
from aiops.layers.l2_jobs.action import Decided, TryPairs
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.controller.desk import Submission
from aiops.layers.l2_jobs.controller.ledger import Ledger
from aiops.layers.l2_jobs.controller.logs import Logs
from aiops.layers.l2_jobs.controller.rows import Entry
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.pair_test import Pair, Trial
from aiops.layers.l2_jobs.power import Power
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Signed
from aiops.layers.l2_jobs.wire import document_of
from aiops.layers.l2_jobs.world import Settings

KEY = Key("sleep-1", 1)


class Agent:
    """An agent in memory: it beats, follows the one attempt, and says `words` once it does."""

    def __init__(self, words: dict[str, Any] | None) -> None:
        self._words = words
        self._out: deque[bytes] = deque()
        self._call: Callable[[], None] = lambda: None
        self._say({"beat": "boot", "n": 1})

    def send(self, data: bytes) -> int:
        for line in data.splitlines():
            order = json.loads(line)
            if order["do"] == "follow":
                self._say({"key": str(KEY), "event": {"n": 1, "kind": "started", "boot_id": "boot"}})
                if self._words is not None:
                    self._say(self._words)
        return len(data)

    def receive(self) -> bytes:
        return self._out.popleft() if self._out else b""

    def said(self) -> str:
        return ""

    def on_news(self, call: Callable[[], None]) -> None:
        self._call = call
        call()

    def close(self) -> None:
        """Nothing is kept."""

    def _say(self, words: dict[str, Any]) -> None:
        self._out.append(json.dumps(words).encode() + b"\n")
        self._call()


class NodeInMemory(FakeTransport):
    """A node whose agent is in memory; it answers nothing else."""

    def __init__(self, node: Node, words: dict[str, Any] | None) -> None:
        super().__init__(node)
        self._words = words

    def open(self, command: Command) -> Channel:  # type: ignore[override] # no FakeChannel, which says all at once
        del command
        return Agent(self._words)


class FakeApp(App):
    """Reaches nodes in memory."""

    said: dict[str, dict[str, Any]]

    def fleet(self, *_: Any, **__: Any) -> Fleet:
        return Fleet(lambda node: NodeInMemory(node, self.said.get(node.name)))


@contextmanager
def controller(home: Path, words: dict[str, dict[str, Any]], settings: str = "", **variables: Any) -> Iterator[Running]:
    """A controller that takes up a job which runs on n1 and n2, whose agents say `words`; `variables` are n1's."""
    now = time.time()
    attempt = Attempt(KEY, "ssh", Allocation((Slot("n1"), Slot("n2"))), 20000)
    with Store.open(home, {}) as store:
        record = JobRecord(job(1), "running", now, attempt=attempt, launched=1, began=now)
        Ledger(store).commit(Decided((replace(record),)), Entry(now), {})
    app = FakeApp({"AIOPS_HOME": str(home)}, working_folder=home)
    app.said = words
    (home / "aiops.toml").write_text(settings)
    nodes = (Node("n1", aiops=variables), Node("n2"))
    inventory = Inventory(home / "inventory.yml", "lab", nodes, {}, read_settings(home / "aiops.toml"))
    with assembled(app, app.screen(quiet=True), inventory) as running:
        yield running


def until(running: Running, found: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not found():
        assert time.monotonic() < end, running.controller.world
        if not running.controller.tick():
            running.lines.wait(0.05)


def test_an_xid_in_the_log_of_a_kernel_ends_the_attempt_while_all_its_processes_run(tmp_path: Path) -> None:
    line = "4,1234,5678901,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=812, name=python, GPU has fallen off the bus."
    with controller(tmp_path, {"n2": {"kernel": line}}) as running:
        until(running, lambda: running.controller.world.roster.jobs["sleep-1"].fault is not None)
        record = running.controller.world.roster.jobs["sleep-1"]
        assert record.fault is not None
        assert (record.fault.kind, record.fault.nodes) == ("gpu_lost", ("n2",))
        assert [one.source for one in record.fault.evidence] == ["kernel"]
        assert record.state == "stopping"


def test_a_line_of_output_that_is_a_fault_at_once_ends_the_attempt(tmp_path: Path) -> None:
    text = b"step 4\n[rank1]: RuntimeError: GPU is lost: NVRM: Xid (PCI:0000:3b:00): 79\n"
    log = {"key": str(KEY), "log": {"offset": 0, "data": base64.b64encode(text).decode()}}
    with controller(tmp_path, {"n1": log}) as running:
        until(running, lambda: running.controller.world.roster.jobs["sleep-1"].fault is not None)
        fault = running.controller.world.roster.jobs["sleep-1"].fault
        assert fault is not None
        assert (fault.kind, [(one.source, one.rank) for one in fault.evidence]) == ("gpu_lost", [("log", 1)])


def test_a_line_that_is_no_fault_by_itself_ends_nothing(tmp_path: Path) -> None:
    text = b"[rank0]: ValueError: not this one\nTraceback\n"
    log = {"key": str(KEY), "log": {"offset": 0, "data": base64.b64encode(text).decode()}}
    with controller(tmp_path, {"n1": log}) as running:
        until(running, lambda: bool(running.controller.world.watch.track(KEY).signs))
        sign = running.controller.world.watch.track(KEY).signs[0]
        assert isinstance(sign, Signed)
        assert not sign.immediate
        assert running.controller.world.roster.jobs["sleep-1"].fault is None


def test_a_node_whose_words_meet_a_defect_ends_no_controller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    met = list[bytes]()

    def odd(line: bytes) -> dict[str, Any] | None:
        if b"poison" in line and not met:
            met.append(line)
            raise KeyError("odd")
        return document_of(line)

    monkeypatch.setattr(node_line, "document_of", odd)
    with controller(tmp_path, {"n2": {"kernel": "poison"}}) as running:
        until(running, lambda: running.controller.world.watch.node("n2").silent is not None)
        until(running, lambda: running.controller.world.watch.node("n1").up)
        until(running, lambda: running.controller.world.watch.node("n2").up)  # its line was opened again
        assert running.fallen == []
        assert not running.ended.is_set()
        assert running.controller.world.roster.jobs["sleep-1"].state == "running"
    said = capsys.readouterr().err
    assert said.count("warning: n2: a defect of aiops, KeyError at test_controller_assembly.py:") == 1
    assert "Traceback (most recent call last)" in said


def test_logs_are_kept_as_long_as_the_site_says(tmp_path: Path) -> None:
    with controller(tmp_path, {}, "[jobs]\nlogs_days = 7\n") as running:
        logs = Logs(tmp_path)
        for days in (6, 8):
            logs.write(Key(f"old-{days}", 1), "n1", 0, b"x")
            at = time.time() - days * 86400
            for path in (tmp_path / "jobs" / f"old-{days}", *(tmp_path / "jobs" / f"old-{days}").rglob("*")):
                os.utime(path, (at, at))
        logs.close()
        running.tidy()
        assert {path.name for path in (tmp_path / "jobs").glob("old-*")} == {"old-6"}


def test_the_bmc_that_the_inventory_names_is_asked_by_its_command_on_this_machine(tmp_path: Path) -> None:
    with controller(tmp_path, {}, aiops_power_status=["echo", "Chassis Power is on"]) as running:
        until(running, lambda: running.controller.world.power.get("n1", Power(0.0)).told is not None)
        told = running.controller.world.power["n1"].told
        assert told is not None
        assert (told.state, told.words) == ("on", "Chassis Power is on")
        assert set(running.controller.world.power) == {"n1"}


def test_a_dry_run_shows_the_container_that_would_run(tmp_path: Path) -> None:
    one = replace(job(1), image="podman://registry.example.org/team/train:1")

    class Made(Compiler):
        def job(self, *_: Any) -> Job:
            return one

    class Known(Sites):
        def __init__(self) -> None:
            self.nodes = {name: Node(name) for name in ("n1", "n2")}

        def examine(self, names: Sequence[str]) -> dict[str, Place]:
            return {name: Place(name, "ssh", verdict="ok", verdict_at=time.time()) for name in names}

        def vendor(self, name: str) -> None:
            del name

    app = FakeApp({"AIOPS_HOME": str(tmp_path)})
    shelves = Shelves(app, app.fleet(), [], time.time, warn=print)
    plan = Made(app, app.fleet(), Known(), shelves, time.time, settings=Settings()).plan(
        Submission("", "", ""), one.owner, {}
    )
    assert [group.argv[:2] for group in plan.groups] == [("podman", "run")] * 2
    assert plan.groups[0].argv[-2:] == ("sleep", "1")


def test_the_nodes_of_a_job_are_tested_in_pairs_over_the_addresses_of_its_ranks(tmp_path: Path) -> None:
    """Written down by an earlier controller; these nodes have no program to run, so nothing is known of them."""
    now = time.time()
    order = TryPairs(KEY, 1, (Pair("n1", "n2"),), 20000)
    slots = (Slot("n1"), Slot("n2"))
    trial = Trial(now, ("n1", "n2"), slots, (), 1, order.pairs, now)
    attempt = Attempt(KEY, "ssh", Allocation(slots), 20000)
    record = JobRecord(job(1), "waiting", now, attempt=attempt, launched=1, trial=trial)
    with Store.open(tmp_path, {}) as store:
        Ledger(store).commit(Decided((record,), (), (order,)), Entry(now), {})
    app = FakeApp({"AIOPS_HOME": str(tmp_path)}, working_folder=tmp_path)
    app.said = {}
    inventory = Inventory(tmp_path / "inventory.yml", "lab", (Node("n1"), Node("n2")), {})
    with assembled(app, app.screen(quiet=True), inventory) as running:
        until(running, lambda: running.controller.world.roster.jobs["sleep-1"].trial is None)
        told = [one.decision for one in running.ledger.decisions("sleep-1")]
        assert [one.message for one in told if one.kind == "pairs_tested"] == ["of n1 and n2 it could not be told"]
        (pair,) = next(one.evidence["pairs"] for one in told if one.kind == "pairs_tested")
        assert (pair["passed"], pair["silent"]) == (None, ["n1"])
        until(running, lambda: not running.ledger.open_actions())
