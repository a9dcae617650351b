"""The history of 100 nodes that are looked at every 5 minutes for 90 days: how large it is, how fast it answers.

Every look goes through what `aiops health` itself does to remember it: recall, settle, keep. Faults come and go by a
seed, as on a fleet of real machines (a few nodes have most of them), and on some nodes counters move at every look.
Queries are what `aiops health history` asks, over several spans and selections, on the finished database; their time is
that of the whole command line too.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiops.layers.core.store import Store
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.history import HealthHistory
from aiops.layers.l1_cluster.health.settling import Situation, settle, verdicts
from aiops.layers.l1_cluster.health.stretch import reliability
from aiops.layers.l1_cluster.health.verdict import Severity

from .measurement import AIOPS, BrokenError, Figure, report

CLUSTER = "history"
CHECKS: tuple[tuple[str, Severity, str], ...] = (
    ("gpu.ecc_uncorrected", "critical", "GPU 3"),
    ("gpu.temp", "warn", "GPU 5"),
    ("disk.used", "warn", "/var"),
    ("ib.link_downed", "warn", "mlx5_2/1"),
    ("svc.failed", "warn", "a.service"),
    ("kmsg.oom", "warn", ""),
)
LEMONS = 8
"""So many nodes have ten times as many faults as the others."""

DAILY = 0.15
"""Faults that an ordinary node has in a day."""

MOVING = 10
"""On so many nodes counters move at every look."""


@dataclass
class Fleet:
    """What is wrong on which node, as time goes by."""

    dice: random.Random
    names: list[str]
    until: dict[tuple[str, int], datetime] = field(default_factory=dict)
    boots: dict[str, int] = field(default_factory=dict)

    def step(self, at: datetime, every: timedelta) -> list[Finding]:
        """What is found now."""
        share = every / timedelta(days=1)
        for number, name in enumerate(self.names):
            rate = DAILY * (10 if number < LEMONS else 1) * share
            if self.dice.random() < rate:
                which = self.dice.randrange(len(CHECKS))
                self.until[name, which] = at + timedelta(minutes=self.dice.expovariate(1 / 90))
            if self.dice.random() < share / 30:
                self.boots[name] = self.boots.get(name, 0) + 1
        self.until = {key: end for key, end in self.until.items() if end > at}
        return [
            Finding(name, CHECKS[which][0], CHECKS[which][1], "value 3, limit 2", CHECKS[which][2], {"value": 3})
            for name, which in self.until
        ]

    def counters(self, at: datetime) -> dict[str, Mapping[str, int]]:
        """Counters of each node; those of some move."""
        moved = int(at.timestamp())
        return {
            name: {f"ib.mlx5_{port}/1.symbol_error": moved if number < MOVING else 7 for port in range(8)}
            for number, name in enumerate(self.names)
        }

    def boot_ids(self) -> dict[str, str | None]:
        """The boot of each node."""
        return {name: f"boot-{self.boots.get(name, 0)}" for name in self.names}


def live(history: HealthHistory, fleet: Fleet, begin: datetime, end: datetime, every: timedelta) -> int:
    """Look from `begin` to `end`; how many looks that were."""
    at, looks = begin, 0
    names = frozenset(fleet.names)
    examined = {name: tuple(one for one, _, _ in CHECKS) for name in fleet.names}
    while at < end:
        found, boots = fleet.step(at, every), fleet.boot_ids()
        recalled = history.recall(fleet.names, at)
        situation = Situation(at, names, examined, {}, boots, recalled.open, recalled.past)
        settled = settle(found, {}, situation)
        history.keep(
            settled,
            recalled,
            at=at,
            verdicts=verdicts(settled.findings, fleet.names),
            counters=fleet.counters(at),
            boot_ids=boots,
        )
        at += every
        looks += 1
        if looks % 1000 == 0:
            print(f"{looks} looks, {at:%F}", file=sys.stderr, flush=True)
    return looks


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that `work` takes, the best of three: what a person waits for again and again."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return min(taken)


def main() -> int:
    """Live through it, ask, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20261128)
    options = parser.parse_args()
    end = datetime.now(UTC).replace(microsecond=0)
    begin = end - timedelta(days=options.days)
    names = [f"gpu{number:03d}" for number in range(1, options.nodes + 1)]
    fleet = Fleet(random.Random(options.seed), names)  # noqa: S311 - repeatable on purpose
    with tempfile.TemporaryDirectory(prefix="aiops-bench-") as folder:
        home = Path(folder)
        started = time.monotonic()
        with Store.open(home, {}) as store:
            looks = live(HealthHistory(store, CLUSTER), fleet, begin, end, timedelta(minutes=5))
        seconds = time.monotonic() - started
        size = sum(path.stat().st_size for path in home.glob("aiops.db*")) / 2**20
        hosts = "\n".join(f"    {name}: {{ansible_host: 192.0.2.{place}}}" for place, name in enumerate(names, 1))
        (home / "inventory.yml").write_text(
            f"workers:\n  vars: {{aiops_cluster: {CLUSTER}}}\n  hosts:\n{hosts}\n", encoding="utf-8"
        )
        with Store.open(home, {}) as store:
            history = HealthHistory(store, CLUSTER)
            queries = {
                "all nodes, 90 days": lambda: history.episodes(begin),
                "all nodes, 90 days, reliability": lambda: reliability(history.stretches(begin), begin),
                "all nodes, 7 days": lambda: history.episodes(end - timedelta(days=7)),
                "one node, 30 days": lambda: history.episodes(end - timedelta(days=30), nodes=["gpu001"]),
                "one node, 30 days, reliability": lambda: history.stretches(end - timedelta(days=30), nodes=["gpu001"]),
                "one check, 90 days": lambda: history.episodes(begin, checks=["gpu.temp"]),
                "the last of each node": history.latest,
                "what a look recalls": lambda: history.recall(names, end),
            }
            took = {name: timed(query) for name, query in queries.items()}
            episodes, stretches = len(history.episodes(begin)), len(history.stretches(begin))
        words = (
            AIOPS,
            "health",
            "history",
            "-i",
            str(home / "inventory.yml"),
            "--since",
            "30d",
            "--on",
            "gpu001",
            "--json",
        )
        environment = {**os.environ, "AIOPS_HOME": str(home)}
        ran: list[subprocess.CompletedProcess[str]] = []
        command = timed(
            lambda: ran.append(
                subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=60)
            )
        )
        if ran[-1].returncode or not json.loads(ran[-1].stdout)["nodes"]:
            raise BrokenError(f"`aiops health history` ended with {ran[-1].returncode}: {ran[-1].stderr}")
    return report(
        Path(__file__).stem,
        [
            Figure("looks at all nodes", "", (float(looks),)),
            Figure("episodes, and stretches, that they left", "", (float(episodes),)),
            Figure("stretches", "", (float(stretches),)),
            Figure("the database", "MB", (size,), limit=200),
            *(Figure(f"query: {name}", "ms", (value,), limit=200) for name, value in took.items()),
            Figure("`aiops health history --on gpu001 --since 30d`, whole command", "ms", (command,)),
            Figure("remembering one look at all nodes", "ms", (seconds / looks * 1000,)),
            Figure("seed", "", (float(options.seed),)),
        ],
        simulated="the nodes and their findings, drawn by the seed; store and queries are real",
    )


if __name__ == "__main__":
    sys.exit(main())
