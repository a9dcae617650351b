"""Rank groups as units on booted hosts, and what is left of them when hosts, networks and launchers fail."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.lab.conftest import Shell

from aiops.layers.core.clock import SystemClock
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import read_inventory
from aiops.layers.l0_nodes.lab import Lab
from aiops.layers.l2_jobs import lease
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.job import Account, Devices, Job, Limits, Span
from aiops.layers.l2_jobs.open_lines import OpenLines
from aiops.layers.l2_jobs.report import Ended, Frozen, PeerSilent, Report, Silent, Started
from aiops.layers.l2_jobs.spec import Seat, specs
from aiops.layers.l2_jobs.steady import Steady

pytestmark = pytest.mark.lab

NOBODY = Account("nobody", 65534, 65534)
STEADY = Steady(SystemClock())
NODES = ("head", "gpu01", "gpu02")
WRITER = (
    "import os,time\n"
    "path='/run/aiops-lab/shared/%s.%s' % (os.environ['AIOPS_ATTEMPT'], os.uname().nodename)\n"
    "while True:\n"
    " open(path+'.new','w').write(repr(time.time())); os.rename(path+'.new',path); time.sleep(0.05)\n"
)
"""Says in a folder that all hosts share when it has run last: the truth about who can still write."""


@dataclass
class Bench:
    """Lines to the hosts of a lab, and what was told on them."""

    lab: Lab
    shell: Shell
    told: list[Report] = field(default_factory=list)
    log: bytearray = field(default_factory=bytearray)
    lines: OpenLines = field(init=False)
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        self.key = Key("lab-test", time.time_ns() // 1_000_000 % 1_000_000_000)
        self.nodes = {one.name: one for one in read_inventory(self.lab.inventory_path, os.environ, self.lab.folder)}
        self.lines = self.controller()

    def controller(self) -> OpenLines:
        return OpenLines(Fleet(Connector(os.environ)), self.nodes, STEADY, logs=lambda *of: self.log.extend(of[3]))

    def start(self, *command: str, nodes: tuple[str, ...] = NODES, **changes: Any) -> float:
        """Start a job on nodes and wait until it runs there; the seconds it took."""
        fields: dict[str, Any] = {
            "id": self.key.job,
            "name": "lab",
            "owner": NOBODY,
            "kind": "batch",
            "command": command,
            "launch": "command",
            "nodes": Span(1, 3),
            "devices": Devices(),
            "processes": 1,
            "folder": "/tmp",
            "submitted": datetime.now(UTC),
        }
        begun = time.monotonic()
        job = Job(**fields | changes)
        allocation = Allocation(tuple(Slot(node) for node in nodes))
        attempt = Attempt(self.key, "ssh", allocation, 20_000, secret=secrets.token_hex(16))
        seats = {node: Seat(self.nodes[node].connection.address) for node in nodes}
        for node, spec in specs(job, attempt, seats).items():
            self.lines.start(self.key, node, spec)
        self.until(lambda: {one.node for one in self.of(Started)} == set(nodes))
        return time.monotonic() - begun

    def of(self, kind: type[Report], node: str = "") -> list[Any]:
        return [one for one in self.told if isinstance(one, kind) and (not node or getattr(one, "node", "") == node)]

    def until(self, done: Callable[[], Any], seconds: float = 40) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := done()):
            assert time.monotonic() < deadline, self.told[-15:]
            self.lines.wait(0.05)
            self.told += self.lines.reports()
        return found

    def wrote(self, node: str) -> float:
        """When the job has last written there."""
        path = self.lab.folder / "shared" / f"{self.key.number}.{node}"
        return float(path.read_text()) if path.exists() else 0.0

    def writing(self) -> None:
        self.until(lambda: all(time.time() - self.wrote(node) < 1 for node in NODES))

    def end(self) -> None:
        for node in NODES:
            self.lines.kill(self.key, node)
        self.told.clear()
        self.until(lambda: {one.node for one in self.of(Ended)} == set(NODES), 60)
        for node in NODES:
            self.lines.release(self.key, node)
        for node in NODES:
            folder = f"/var/lib/aiops-jobs/{self.key}"
            deadline = time.monotonic() + 20
            while self.shell.run(node, f"test -e {folder}").returncode == 0:
                assert time.monotonic() < deadline
        self.lines.close()


@pytest.fixture
def bench(bare_lab: Lab, shell: Shell) -> Iterator[Bench]:
    made = Bench(bare_lab, shell)
    yield made
    made.end()


def test_a_group_is_a_unit_of_its_user(bench: Bench) -> None:
    read = "cat /root/.ssh/* /etc/munge/munge.key /var/lib/aiops/* /etc/shadow 2>/dev/null | wc -c"
    limits = Limits(memory=64 * 1024 * 1024, processors=0.5)
    bench.start("sh", "-c", f"id -un; {read}; setsid sleep 300 & sleep 300", limits=limits)
    unit = bench.key.unit
    shown = bench.shell("gpu01", f"systemctl show {unit} -p User,Slice,MemoryMax,CPUQuotaPerSecUSec,KillMode,UMask")
    wanted = {
        *("User=65534", "Slice=aiops-jobs.slice", "MemoryMax=67108864", "CPUQuotaPerSecUSec=500ms"),
        *("KillMode=mixed", "UMask=0027"),
    }
    assert set(shown.splitlines()) == wanted
    bench.until(lambda: b"nobody\n0\n" in bench.log)
    assert bench.shell("gpu01", "pgrep -cu nobody sleep") == "2"
    bench.lines.kill(bench.key, "gpu01")
    bench.until(lambda: bench.of(Ended, "gpu01"))
    assert bench.shell.run("gpu01", "pgrep -u nobody sleep").returncode == 1


def test_a_launcher_that_is_killed_or_stopped_takes_its_group_along(bench: Bench) -> None:
    bench.start("python3", "-c", WRITER)
    bench.writing()
    for node, signal, seconds in (("gpu01", "KILL", 2.0), ("gpu02", "STOP", lease.EXPIRED)):
        pid = bench.shell(node, f"systemctl show {bench.key.unit} -p MainPID --value")
        at = time.time()
        bench.shell(node, f"kill -{signal} {pid}")
        assert bench.until(lambda node=node: bench.of(Ended, node))[0].end == "lost"  # type: ignore[misc]
        assert bench.wrote(node) < at + seconds


def test_a_host_that_is_cut_off_ends_its_ranks_before_the_head_counts_on_it(bench: Bench, bare_lab: Lab) -> None:
    bench.start("python3", "-c", WRITER)
    bench.writing()
    bare_lab.fault("gpu02", "network-cut")
    cut = time.time()
    bench.until(lambda: bench.of(Silent, "gpu02") and len(bench.of(PeerSilent)) == 2)
    assert time.time() - cut < 6
    bench.until(lambda: time.time() > cut + lease.EXPIRED + 1)
    assert bench.wrote("gpu02") < cut + lease.KILL
    assert min(bench.wrote("gpu01"), bench.wrote("head")) > cut + lease.EXPIRED
    bare_lab.heal("gpu02")
    assert bench.until(lambda: bench.of(Ended, "gpu02"))[0].end == "lease"
    assert bench.of(Frozen, "gpu01") == bench.of(Frozen, "head") == []


def test_a_host_that_is_cut_off_from_the_head_only_runs_on(bench: Bench, bare_lab: Lab) -> None:
    bench.start("python3", "-c", WRITER)
    bench.writing()
    gateway = bare_lab.state.gateway
    bench.shell(
        "gpu02", f"(ip route add blackhole {gateway}; sleep 9; ip route del blackhole {gateway}) >/dev/null 2>&1 &"
    )
    bench.until(lambda: bench.of(Silent, "gpu02"))
    cut = time.time()
    bench.until(lambda: time.time() > cut + lease.EXPIRED)
    assert bench.wrote("gpu02") > cut + lease.KILL
    assert bench.of(PeerSilent) == []
    bench.told.clear()
    bench.until(lambda: not bench.of(Silent) and any(getattr(one, "node", "") == "gpu02" for one in bench.told))
    assert bench.of(Ended) == []


def test_a_host_without_power_is_told_by_all_and_its_end_when_it_is_back(bench: Bench, bare_lab: Lab) -> None:
    bench.start("python3", "-c", WRITER)
    bench.writing()
    bare_lab.fault("gpu02", "power-loss")
    cut = time.time()
    bench.until(lambda: bench.of(Silent, "gpu02") and len(bench.of(PeerSilent)) == 2)
    assert time.time() - cut < 6
    bare_lab.heal("gpu02")
    assert bench.until(lambda: bench.of(Ended, "gpu02"), 60)[0].end == "lost"
    assert bench.wrote("gpu02") < cut


def test_a_frozen_host_ends_its_ranks_when_it_wakes(bench: Bench, bare_lab: Lab) -> None:
    bench.start("python3", "-c", WRITER)
    bench.writing()
    bare_lab.fault("gpu02", "frozen")
    cut = time.time()
    bench.until(lambda: len(bench.of(PeerSilent)) == 2 and time.time() > cut + lease.EXPIRED)
    bare_lab.heal("gpu02")
    woke = time.time()
    # By its own lease, or by the watchdog of a systemd that woke first.
    assert bench.until(lambda: bench.of(Ended, "gpu02"))[0].end in {"lease", "lost"}
    assert bench.wrote("gpu02") < woke + 1.5


def test_another_controller_adopts_what_runs(bench: Bench) -> None:
    bench.start("python3", "-c", WRITER)
    bench.writing()
    bench.lines.close()
    away = time.time()
    bench.until(lambda: time.time() > away + lease.EXPIRED)
    assert min(bench.wrote(node) for node in NODES) > away + lease.EXPIRED - 1
    bench.told.clear()
    bench.lines = bench.controller()
    for node in NODES:
        bench.lines.follow(bench.key, node, NOBODY.uid)
    bench.until(lambda: {one.node for one in bench.of(Started)} == set(NODES))
    assert bench.of(Frozen) == bench.of(Ended) == []
