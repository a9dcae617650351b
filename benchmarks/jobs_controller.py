"""How many decisions a second the controller writes down, and how long `aiops job list` takes beyond its start.

The controller's own loop, ledger and store (SQLite, synchronous=FULL, one transaction a tick) with 10,000 queued jobs
on 1,000 nodes, on one core, by the wall clock with all its commits. Engines and nodes are simulated: what is launched
runs at once, and jobs end by a seed. A decision is one entry of `aiops job explain`. What `aiops job list` takes beyond
start-up is told twice, of medians of runs in turn: beyond the same with an empty store, and beyond `aiops --version`.
"""

import os
import random
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.measurement import AIOPS, BrokenError, Figure, report, run

from aiops.layers.core.store import Store
from aiops.layers.l2_jobs.action import Action, Decided, Examine
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.controller.controller import Answers, Controller
from aiops.layers.l2_jobs.controller.ledger import Ledger
from aiops.layers.l2_jobs.controller.rows import Entry
from aiops.layers.l2_jobs.decide import decide
from aiops.layers.l2_jobs.job import Account, Devices, Job, Span
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Ended, Heard, Report, Started
from aiops.layers.l2_jobs.world import World

JOBS, NODES, LISTED = 10_000, 1_000, 100_000
SECONDS = 20.0
ENDS = 50
RUNS = 15
SHAPES = ((1, 8), (1, 4), (2, 8), (4, 8))


class Engine:
    """Runs everything at once."""

    name = "ssh"

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a benchmark draws by a seed
        self.live: list[Attempt] = []
        self.now = 0.0
        self._reports: list[Report] = []

    def start(self, job: Job, attempt: Attempt) -> None:  # noqa: ARG002 - the seam's signature
        """It runs."""
        self.live.append(attempt)
        self._reports += [Started(attempt.key, node, self.now, "b") for node in attempt.allocation.nodes]

    def end(self, count: int) -> None:
        """Some have ended."""
        for _ in range(min(count, len(self.live))):
            at = self.random.randrange(len(self.live))
            self.live[at], self.live[-1] = self.live[-1], self.live[at]
            attempt = self.live.pop()
            self._reports += [Ended(attempt.key, node, self.now, "done", 0) for node in attempt.allocation.nodes]

    def hear(self, names: Iterable[str]) -> None:
        """All nodes beat."""
        self._reports += [Heard(name, self.now, "b") for name in names]

    def reports(self) -> list[Report]:
        """What has come."""
        taken, self._reports = self._reports, []
        return taken

    def stop(self, key: Key, *, seconds: float) -> None:
        """Nothing is stopped here."""

    def kill(self, key: Key, nodes: Sequence[str]) -> None:
        """Nothing is killed here."""

    def adopt(self, running: Mapping[Key, tuple[Job, Attempt]]) -> None:
        """Nothing runs before."""

    def release(self, key: Key) -> None:
        """It is forgotten."""

    def close(self) -> None:
        """Nothing is open."""


class Hands:
    """Finds all nodes well."""

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop
        self._done: list[int] = []
        self._places: dict[str, Place] = {}

    def take(self, number: int, action: Action, record: JobRecord | None) -> None:  # noqa: ARG002 - the seam's
        """Done at once."""
        if isinstance(action, Examine):
            now = self._loop.engine.now
            self._places |= {name: replace(self._loop.places[name], verdict_at=now) for name in action.nodes}
        self._done.append(number)

    def answers(self) -> Answers:
        """What has come."""
        answers = Answers(tuple(self._done), self._places)
        self._done, self._places = [], {}
        return answers


def job(number: int, rng: random.Random) -> Job:
    """A job of one of the shapes."""
    nodes, devices = rng.choice(SHAPES)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return Job(
        id=f"llama-sft-{number}",
        name="llama-sft",
        owner=Account("ann", 1001, 1001),
        kind="batch",
        command=("torchrun", "train.py", "--config", "sft.yaml"),
        launch="torchrun",
        nodes=Span(nodes, nodes),
        devices=Devices(devices),
        processes=devices,
        folder="/shared/ann",
        submitted=at,
        environment={"NCCL_DEBUG": "WARN"},
        source="aiops: 1\nname: llama-sft\ncommand: torchrun train.py --config sft.yaml\nlaunch: torchrun\n",
    )


class Loop:
    """A controller on a store of its own."""

    def __init__(self, home: Path, seed: int) -> None:
        self.engine = Engine(seed)
        names = [f"gpu{number:04}" for number in range(NODES)]
        self.places = {name: Place(name, "ssh", tuple(range(8)), "nvidia", verdict="ok") for name in names}
        self.ledger = Ledger(Store.open(home, {}))
        rng = random.Random(seed)  # noqa: S311 - as above
        records = [JobRecord(job(number, rng), "queued", 0.0, "waits for its turn") for number in range(1, JOBS + 1)]
        self.ledger.commit(Decided(tuple(records)), Entry(0.0), {})
        self.decisions = 0

        def counted(world: World, now: float) -> Decided:
            decided = decide(world, now)
            self.decisions += len(decided.decisions)
            return decided

        self.controller = Controller(
            self.ledger, {"ssh": self.engine}, counted, Hands(self), lambda: self.engine.now, dump=lambda _k, _n: None
        )
        self.controller.begin(self.places)

    def tick(self) -> float:
        """One tick; the seconds of processor that it took."""
        self.engine.now += 0.25
        began = time.process_time()
        self.controller.tick()
        return time.process_time() - began


def measured(home: Path, seed: int) -> tuple[float, float, float]:
    """Decisions a second of processor and of wall time, and the longest tick in milliseconds."""
    loop = Loop(home, seed)
    for _ in range(8):
        loop.engine.hear(loop.places)
        loop.tick()
    if len(loop.engine.live) < NODES // 4:
        raise BrokenError(f"only {len(loop.engine.live)} jobs run on {NODES} nodes")
    loop.decisions = 0
    processor, longest, began = 0.0, 0.0, time.monotonic()
    while time.monotonic() - began < SECONDS and loop.controller.world.roster.queued > NODES:
        loop.engine.end(ENDS)
        took = loop.tick()
        processor, longest = processor + took, max(longest, took)
    wall = time.monotonic() - began
    if not loop.decisions:
        raise BrokenError("nothing was decided")
    return loop.decisions / processor, loop.decisions / wall, longest * 1000


def listing(home: Path) -> tuple[float, float]:
    """Milliseconds that `aiops job list` takes with many jobs in the store, by the wall clock, of medians.

    Returns:
        Beyond the same with an empty store, and beyond `aiops --version`.
    """
    empty = home.with_name("empty")
    Ledger(Store.open(empty, {}))
    ledger = Ledger(Store.open(home, {}))
    rng = random.Random(0)  # noqa: S311 - as above
    for first in range(1, LISTED + 1, 5000):
        states = ("succeeded", "failed", "cancelled") if first < LISTED - JOBS else ("queued",)
        records = [
            JobRecord(job(number, rng), rng.choice(states), 0.0, "all of its processes ended with 0")  # type: ignore[arg-type]
            for number in range(first, first + 5000)
        ]
        ledger.commit(Decided(tuple(records)), Entry(0.0), {})
    bare, nothing, full = [], [], []
    for _ in range(RUNS):  # in turn, so that what else the machine does meets all alike
        bare.append(run(AIOPS, "--version").seconds)
        os.environ["AIOPS_HOME"] = str(empty)
        nothing.append(run(AIOPS, "job", "list", "--all").seconds)
        os.environ["AIOPS_HOME"] = str(home)
        found = run(AIOPS, "job", "list", "--all")
        full.append(found.seconds)
        if len(found.stdout.splitlines()) != 50:  # noqa: PLR2004 - so many are listed by default
            raise BrokenError(f"{len(found.stdout.splitlines())} jobs were listed")
    return (median(full) - median(nothing)) * 1000, (median(full) - median(bare)) * 1000


def main() -> int:
    """Measure and write down."""
    processor: list[float] = []
    wall: list[float] = []
    longest: list[float] = []
    with tempfile.TemporaryDirectory(prefix="aiops-bench-") as folder:
        for seed in range(3):
            one = measured(Path(folder) / str(seed), seed)
            for values, value in zip((processor, wall, longest), one, strict=True):
                values.append(value)
        beyond_empty, beyond_start = listing(Path(folder) / "list")
    return report(
        "jobs_controller",
        (
            Figure("decisions committed, 10,000 queued, 1,000 nodes", "1/s", tuple(wall), 500, at_least=True),
            Figure("decisions committed, by processor", "1/cpu-s", tuple(processor)),
            Figure("longest tick", "ms", tuple(longest)),
            Figure("`job list` beyond the same with an empty store, 100,000 jobs", "ms", (beyond_empty,), 150),
            Figure("`job list` beyond `aiops --version`, 100,000 jobs", "ms", (beyond_start,)),
        ),
        simulated="nodes and engines: what is launched runs at once; the loop, the ledger and the store are real",
    )


if __name__ == "__main__":
    raise SystemExit(main())
