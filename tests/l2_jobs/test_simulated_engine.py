"""The simulated engine keeps the contract of engines, so that what is proved on it holds for them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from tests.l2_jobs.engine_contract import *  # noqa: F403 - the contract is these tests
from tests.l2_jobs.engine_contract import Bench, Until
from tests.l2_jobs.simulated_cluster import TICK, Cluster
from tests.l2_jobs.simulated_engine import SimulatedEngine
from tests.l2_jobs.simulated_program import Flaw, Script

from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.engine import Engine
from aiops.layers.l2_jobs.job import Account, Devices, Job, Span
from aiops.layers.l2_jobs.report import Report


class SimulatedBench:
    """A simulated cluster of three nodes."""

    def __init__(self) -> None:
        self.nodes: tuple[str, ...] = ("gpu01", "gpu02", "gpu03")
        self._cluster = Cluster(list(self.nodes), 1)
        self._simulated = SimulatedEngine(self._cluster)
        self.engine: Engine = self._simulated

    def job(self, name: str, nodes: int, *, seconds: float | None = None, status: int = 0) -> Job:
        job = Job(
            f"{name}-1", name, Account("ann", 1, 1), "batch", ("sleep",), "command", Span(nodes, nodes), Devices(), 1,
            "/", datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        steps = 10**9 if seconds is None else max(1, int(seconds))
        self._cluster.scripts[job.id] = Script(steps=steps, step=1.0, start=0.0, every=0, jitter=0.0)
        if status:
            self._cluster.flaws[job.id] = Flaw("process_exit", at=steps - 1, status=status)
        return job

    def attempt(self, job: Job, number: int, nodes: Sequence[str]) -> Attempt:
        return Attempt(Key(job.id, number), "ssh", Allocation(tuple(Slot(node) for node in nodes)), 20000)

    def collect(self, until: Until, seconds: float) -> list[Report]:
        told: list[Report] = []
        for _ in range(int(seconds / TICK)):
            if until(told):
                return told
            self._cluster.tick()
            told += self.engine.reports()
        assert until(told), told
        return told

    def anew(self) -> None:
        self.engine = SimulatedEngine(self._cluster)

    def depose(self) -> None:
        self._cluster.term += 1

    def running(self, key: Key) -> frozenset[str]:
        return frozenset(unit.host.name for unit in self._cluster.group(key) if unit.alive)

    def kill_rank(self, key: Key, node: str) -> None:
        self._cluster.exit(key, node, -9, "process_exit")

    def power(self, node: str, *, on: bool) -> None:
        self._cluster.power(node, on=on)

    def cut(self, node: str, *, peers: bool) -> None:
        self._cluster.hosts[node].head = False
        self._cluster.hosts[node].side = 1 if peers else 0

    def heal(self, node: str) -> None:
        self._cluster.hosts[node].head, self._cluster.hosts[node].side = True, 0


@pytest.fixture
def bench() -> Bench:
    return SimulatedBench()
