"""The Slurm engine on a real slurmctld and slurmd, with real lines, agents and launchers: the contract of engines, and
what only Slurm does. Nothing is simulated but devices, and that hosts share this machine.
"""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.engine_contract import *  # noqa: F403 - the contract is these tests
from tests.l2_jobs.engine_contract import Until

from aiops.cli.app import App
from aiops.layers.core.clock import SystemClock
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.engine import EngineContext
from aiops.layers.l2_jobs.job import Account, CheckpointPlan, Devices, Job, Limits, Span
from aiops.layers.l2_jobs.open_lines import OpenLines
from aiops.layers.l2_jobs.report import Ended, Freed, NotStarted, Report, Scheduled, Started
from aiops.layers.l2_jobs.steady import Steady
from aiops.layers.l2_jobs.term import Term
from aiops.plugins.slurm.engine import SlurmEngine, engine
from aiops.plugins.slurm.groundwork import Groundwork

from .conftest import Cluster

pytestmark = pytest.mark.lab

ANN = Account("ann", 2001, 2001)
NODES = ("gpu01", "gpu02")
SECONDS = 60.0
UNHEARD = 20.0
"""Seconds after which slurmctld has given up to tell a node that a job is to end: two MessageTimeouts of 10 s."""
STEPS = "trap 'echo saved; exit 0' TERM; n=0; while :; do n=$((n + 1)); echo step $n; sleep 0.1; done"


class Controller:
    """What a controller has of engines and lines; another one is what comes after it was killed."""

    def __init__(self, app: App) -> None:
        self.inventory = app.inventory()
        self.fleet = app.fleet(self.inventory)
        self.output: dict[tuple[Key, str], bytes] = {}
        self.term = Term(secrets.token_hex(16), 1)
        self.lines = OpenLines(
            self.fleet,
            {node.name: node for node in self.inventory},
            Steady(SystemClock()),
            logs=self._keep,
            term=self.term,
        )
        made = engine(EngineContext(self.inventory, self.fleet, SystemClock(), self.lines, term=self.term))
        assert isinstance(made, SlurmEngine)
        self.engine = made
        self.told: list[Report] = []

    def _keep(self, key: Key, node: str, offset: int, data: bytes) -> None:
        known = self.output.get((key, node), b"")
        self.output[key, node] = known[:offset] + data

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + SECONDS
        while True:
            self.told += self.engine.reports()
            if found := condition():
                return found
            assert time.monotonic() < deadline, self.told
            self.lines.wait(0.05)

    def of(self, key: Key, *kinds: type) -> list[Any]:
        return [one for one in self.told if isinstance(one, kinds) and getattr(one, "key", None) == key]

    def ends(self, key: Key) -> dict[str, str]:
        return {one.node: getattr(one, "end", "not started") for one in self.of(key, Ended, NotStarted)}

    def close(self) -> None:
        self.engine.close()
        self.lines.close()
        self.fleet.close()


@pytest.fixture(scope="module")
def slurm_lab(deployed: Cluster) -> Iterator[Cluster]:
    """The deployed cluster with the jobs' owner on it; it is as it was after all tests of this file."""
    for node in ("head", *NODES):
        deployed.shell(node, "id ann >/dev/null 2>&1 || useradd --uid 2001 --user-group --create-home ann")
    yield deployed
    deployed.lab.reset("deployed")


@pytest.fixture
def controllers(slurm_lab: Cluster) -> Iterator[Callable[[], Controller]]:
    made: list[Controller] = []

    def make() -> Controller:
        made.append(Controller(App(slurm_lab.environment())))
        return made[-1]

    until_idle(slurm_lab)
    yield make
    for one in made:
        one.close()


# -- the contract


class SlurmBench:
    """The deployed lab. The controller runs on this machine, so a cut from the head is one from here."""

    nodes = NODES

    def __init__(self, cluster: Cluster, make: Callable[[], Controller]) -> None:
        self._cluster = cluster
        self._make = make
        self.hurt: dict[str, str] = {}
        self._controller = make()
        self.engine: Any = self._controller.engine

    def job(self, name: str, nodes: int, *, seconds: float | None = None, status: int = 0) -> Job:
        folder = f"/shared/{name}-{os.getpid()}"
        self._cluster.shell("gpu01", f"install -d -o ann -g ann {folder}")
        line = f"sleep {100000 if seconds is None else seconds:g}; exit {status}"
        at = datetime.now(UTC)
        return Job(
            *(
                f"{name}-{os.getpid()}",
                name,
                ANN,
                "batch",
                ("sh", "-c", line),
                "command",
                Span(nodes, nodes),
                Devices(),
            ),
            *(1, "/shared", at),
            checkpoint=CheckpointPlan(folder),
        )

    def attempt(self, job: Job, number: int, nodes: Sequence[str]) -> Attempt:
        slots = tuple(Slot(node) for node in nodes)
        return Attempt(Key(job.id, number), "slurm", Allocation(slots), 21000, secret="0badc0de")

    def collect(self, until: Until, seconds: float) -> list[Report]:
        told: list[Report] = []
        deadline = time.monotonic() + seconds
        while True:
            told += self.engine.reports()
            told += self._controller.lines.reports()
            if until(told):
                return told
            assert time.monotonic() < deadline, told
            self._controller.lines.wait(0.05)

    def anew(self) -> None:
        self._controller.close()
        self._controller = self._make()
        self.engine = self._controller.engine

    def depose(self) -> None:
        one = self._controller
        later = Groundwork(one.fleet, replace(one.term, number=2))
        for node in NODES:
            later.require_latest([one.inventory.node(node)])

    def _pids(self, key: Key, node: str) -> list[int]:
        """The ranks of an attempt on a node, as this machine sees them: it needs no network for that."""
        root = self._cluster.lab.root(node).stat()
        marks = {f"AIOPS_JOB={key.job}".encode(), f"AIOPS_ATTEMPT={key.number}".encode()}
        found = []
        for path in Path("/proc").iterdir():
            try:
                words = set((path / "environ").read_bytes().split(b"\0")) if path.name.isdigit() else set()
                if marks <= words and any(word.startswith(b"AIOPS_NODE_RANK=") for word in words):
                    own = (path / "root").stat()
                    alive = (path / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
                    if alive and (own.st_dev, own.st_ino) == (root.st_dev, root.st_ino):
                        found.append(int(path.name))
            except OSError:
                continue
        return found

    def running(self, key: Key) -> frozenset[str]:
        return frozenset(node for node in NODES if self._pids(key, node))

    def kill_rank(self, key: Key, node: str) -> None:
        for pid in self._pids(key, node):
            os.kill(pid, signal.SIGKILL)

    def power(self, node: str, *, on: bool) -> None:
        if on:
            self.heal(node)
        else:
            self._hurt(node, "power-loss")

    def _hurt(self, node: str, kind: str) -> None:
        self._cluster.lab.fault(node, kind)
        self.hurt[node] = kind

    def cut(self, node: str, *, peers: bool) -> None:
        if peers:
            self._hurt(node, "network-cut")
            return
        address = self._cluster.lab.state.host(node).address
        rules = f"add table ip {CUT}; add chain ip {CUT} out {{ type filter hook output priority 0; }}; "
        nft(f"{rules} add rule ip {CUT} out ip daddr {address} drop")

    def heal(self, node: str) -> None:
        if kind := self.hurt.pop(node, None):
            self._cluster.lab.heal(node, kind)
        nft(f"delete table ip {CUT}", check=False)


CUT = "aiops_test_cut"


def nft(line: str, *, check: bool = True) -> None:
    subprocess.run(["nft", line], check=check, capture_output=True, timeout=20)


@pytest.fixture
def bench(slurm_lab: Cluster, controllers: Callable[[], Controller]) -> Iterator[SlurmBench]:
    made = SlurmBench(slurm_lab, controllers)
    yield made
    for node in NODES:
        made.heal(node)
    slurm_lab.shell("head", "scancel --user=ann; scancel --user=ann --signal=KILL; :")
    for node in NODES:
        slurm_lab.shell(node, "pkill -KILL -u ann; :", timeout=60)


# -- what only Slurm does


def job(name: str, *command: str, **changes: Any) -> tuple[Job, Attempt]:
    launch = changes.pop("launch", "command")
    devices = changes.pop("devices", 0)
    at = datetime.now(UTC)
    name = f"{name}-{os.getpid()}"
    made = Job(name, name, ANN, "batch", command, launch, Span(2, 2), Devices(devices), 1, "/shared", at, **changes)
    slots = tuple(Slot(node, tuple(range(devices))) for node in NODES)
    return made, Attempt(Key(name, 1), "slurm", Allocation(slots), 21000 + len(name) * 16, secret="0badc0de")


def test_a_gang_runs_as_its_owner_with_the_devices_that_slurm_gave(
    slurm_lab: Cluster, controllers: Callable[[], Controller]
) -> None:
    shell, first = slurm_lab.shell, controllers()
    one, attempt = job("whole", "sh", "-c", "id -un; echo see $CUDA_VISIBLE_DEVICES; exit 3", devices=2)
    first.engine.start(one, attempt)
    first.until(lambda: first.ends(attempt.key) == dict.fromkeys(NODES, "failed"))
    assert {report.status for report in first.of(attempt.key, Ended)} == {3}
    first.until(lambda: first.output.get((attempt.key, "gpu02")) == b"ann\nsee 0,1\n")
    number = first.until(lambda: first.of(attempt.key, Scheduled))[-1].handle
    mark = shell("head", f"squeue --noheader --states=all --jobs={number} --format=%k")
    assert mark == f"aiops:{first.inventory.cluster}:{attempt.key}"
    assert shell("gpu01", f"stat -c '%U %a' /var/lib/aiops-jobs/{attempt.key}") == "ann 700"
    assert shell.run("gpu01", "pgrep -u ann -f launcher").returncode == 1


def test_the_same_attempt_by_another_controller_runs_once(
    slurm_lab: Cluster, controllers: Callable[[], Controller]
) -> None:
    shell, first = slurm_lab.shell, controllers()
    again, attempt = job("once", "sh", "-c", "echo ran >> /shared/once; sleep 2")
    shell("gpu01", "install -o ann -g ann -m 666 /dev/null /shared/once")
    first.engine.start(again, attempt)
    first.until(lambda: len(first.of(attempt.key, Started)) == 2)
    second = controllers()
    second.engine.start(again, attempt)
    second.until(lambda: second.ends(attempt.key) == dict.fromkeys(NODES, "done"))
    assert shell("head", "cat /shared/once").split() == ["ran"] * 2
    assert len(shell("head", f"squeue --noheader --states=all --name={attempt.key} --format=%i").split()) == 1
    second.close()


def test_a_rank_that_outlives_its_slurmd_has_not_ended_until_it_is_killed(
    slurm_lab: Cluster, controllers: Callable[[], Controller]
) -> None:
    shell, first = slurm_lab.shell, controllers()
    orphan, attempt = job("orphan", "sh", "-c", STEPS)
    first.engine.start(orphan, attempt)
    first.until(lambda: len(first.of(attempt.key, Started)) == 2)
    shell("gpu02", "kill -9 $(systemctl show --property=MainPID --value slurmd)")
    shell("head", "scontrol update NodeName=gpu02 State=DOWN Reason=test")
    first.until(lambda: first.of(attempt.key, Scheduled)[-1].state == "NODE_FAIL")
    first.until(lambda: first.ends(attempt.key).get("gpu01") == "stopped")
    seen = len(first.output[attempt.key, "gpu02"])
    first.until(lambda: len(first.output[attempt.key, "gpu02"]) > seen + 50)
    assert first.ends(attempt.key) == {"gpu01": "stopped"}
    began = time.monotonic()
    first.engine.kill(attempt.key, NODES)
    first.until(lambda: first.ends(attempt.key) == dict.fromkeys(NODES, "stopped"))
    assert time.monotonic() - began < 5
    assert shell.run("gpu02", "pgrep -u ann -f step").returncode == 1
    shell("gpu02", "systemctl restart slurmd")
    until_idle(slurm_lab)


def test_a_node_that_has_booted_is_given_back_to_slurm_which_completes_an_attempt_there(
    slurm_lab: Cluster, bench: SlurmBench
) -> None:
    """slurmctld asks a lost node again after KillWait and twice MessageTimeout; a restart need not wait for that."""
    one = bench.job("back", 2)
    first = bench.attempt(one, 1, NODES)
    again = replace(first, key=Key(one.id, 2))

    def of(told: Sequence[Report], attempt: Attempt, kind: type) -> list[Any]:
        return [word for word in told if isinstance(word, kind) and getattr(word, "key", None) == attempt.key]

    bench.engine.start(one, first)
    bench.collect(lambda told: len(of(told, first, Started)) == 2, SECONDS)
    bench.power("gpu02", on=False)
    bench.engine.kill(first.key, NODES)
    bench.collect(lambda told: any(word.state == "COMPLETING" for word in of(told, first, Scheduled)), SECONDS)
    time.sleep(UNHEARD)
    bench.power("gpu02", on=True)
    deadline = time.monotonic() + SECONDS
    while slurm_lab.shell.run("gpu02", "systemctl is-active slurmd").returncode:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    bench.engine.release(first.key)
    bench.engine.start(one, again)
    told = bench.collect(lambda told: bool(of(told, again, Freed)), 40.0)  # gpu01 has to end what runs there by itself
    assert [(word.node, word.before, word.said) for word in of(told, again, Freed)] == [("gpu02", (1,), "")]
    bench.engine.kill(again.key, NODES)
    bench.collect(lambda told: len(of(told, again, Ended)) == 2, SECONDS)


def test_asked_to_leave_it_saves_and_one_that_waits_leaves_at_once(
    slurm_lab: Cluster, controllers: Callable[[], Controller]
) -> None:
    first = controllers()
    saving, attempt = job("saving", "sh", "-c", STEPS)
    first.engine.start(saving, attempt)
    first.until(lambda: len(first.of(attempt.key, Started)) == 2)
    waiting, later = job("waiting", "true", devices=4)
    first.engine.start(waiting, later)
    first.until(lambda: first.of(later.key, Scheduled) and first.of(later.key, Scheduled)[-1].state == "PENDING")
    first.engine.stop(later.key, seconds=600)
    first.until(lambda: first.ends(later.key) == dict.fromkeys(NODES, "stopped"))
    first.engine.stop(attempt.key, seconds=20)
    first.until(lambda: first.ends(attempt.key) == dict.fromkeys(NODES, "stopped"))
    first.until(lambda: first.output[attempt.key, "gpu02"].endswith(b"saved\n"))
    until_idle(slurm_lab)


def test_ends_that_slurmctld_has_forgotten_are_known_and_nothing_is_run_again(
    slurm_lab: Cluster, controllers: Callable[[], Controller]
) -> None:
    shell, first = slurm_lab.shell, controllers()
    shell("head", "echo MinJobAge=2 >> /etc/slurm/slurm.conf && scontrol reconfigure")
    shell("gpu01", "install -o ann -g ann -m 666 /dev/null /shared/forgotten")
    pairs = [
        job("gang", "sh", "-c", "echo gang >> /shared/forgotten; sleep 1"),
        job(
            "bare",
            "sh",
            "-c",
            "echo bare >> /shared/forgotten; sleep 1; exit 5",
            launch="srun",
            limits=Limits(stop=5.0),
        ),
    ]
    for pair in pairs:
        first.engine.start(*pair)
    first.until(lambda: all(first.of(pair[1].key, Started) for pair in pairs))
    first.close()
    names = ",".join(str(kept.key) for _, kept in pairs)
    until(slurm_lab, f'test -z "$(squeue --noheader --states=all --name={names})" && echo forgotten', "forgotten")
    third = controllers()
    third.engine.adopt({pair[1].key: pair for pair in pairs})
    for made, kept in pairs:
        third.engine.start(made, kept)
    third.until(lambda: third.ends(pairs[0][1].key) == dict.fromkeys(NODES, "done"))
    third.until(lambda: third.ends(pairs[1][1].key) == dict.fromkeys(NODES, "failed"))
    # srun's own: 5, or 143 where it ended the slower task when the first had failed.
    assert {report.status for report in third.of(pairs[1][1].key, Ended)} <= {5, 143}
    fourth = controllers()
    for made, kept in pairs:
        fourth.engine.start(made, kept)
    fourth.until(lambda: all(len(fourth.ends(kept.key)) == 2 for _, kept in pairs))
    assert sorted(shell("gpu01", "cat /shared/forgotten").split()) == ["bare"] * 2 + ["gang"] * 2
    assert shell("head", f"squeue --noheader --states=all --name={names}") == ""


def until(cluster: Cluster, line: str, expected: str) -> None:
    deadline = time.monotonic() + 180
    while (said := cluster.shell.run("head", line).stdout.strip()) != expected:
        assert time.monotonic() < deadline, f"{line}: {said!r}"
        time.sleep(0.3)


def until_idle(cluster: Cluster) -> None:
    until(cluster, "sinfo --noheader --Node --format=%T | sort -u", "idle")
