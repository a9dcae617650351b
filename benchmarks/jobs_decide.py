"""How many decisions a second `decide` makes: 10,000 queued jobs on 1,000 nodes, one core.

The cluster is filled, then jobs end at random (a tick for each 10, 50 and 250 ends) and others take their places; each
tick folds reports, decides, and applies what was decided to the world, as a controller does. A decision is one entry of
`job explain`. Beats of all nodes are among the reports.
"""

import gc
import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.measurement import BrokenError, Figure, report

from aiops.layers.l2_jobs.action import Decided, Examine, Launch, Release
from aiops.layers.l2_jobs.attempt import Attempt
from aiops.layers.l2_jobs.decide import decide
from aiops.layers.l2_jobs.job import Account, Devices, Job, Span
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Ended, Heard, Report, Started, Stepped
from aiops.layers.l2_jobs.roster import Roster
from aiops.layers.l2_jobs.watch import touched
from aiops.layers.l2_jobs.world import World

JOBS, NODES = 10_000, 1_000
TICKS = 60
SHAPES = ((1, 8), (1, 4), (1, 1), (2, 8), (4, 8), (16, 8))


class Loop:
    """A controller without anything around it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a benchmark draws by a seed
        names = [f"gpu{number:04}" for number in range(NODES)]
        places = {name: Place(name, "ssh", tuple(range(8)), "nvidia", verdict="ok", verdict_at=0.0) for name in names}
        self.number = 0
        jobs = [self.job() for _ in range(JOBS + NODES * 2)]
        roster = Roster.of(JobRecord(job, "queued", 0.0, "waits for its turn") for job in jobs)
        self.world = World(roster, places=places, seed=7)
        self.now = 1.0
        self.live: list[Attempt] = []
        self.reports: list[Report] = []
        self.decisions = 0

    def job(self) -> Job:
        """A job of one of six shapes."""
        self.number += 1
        nodes, devices = self.random.choice(SHAPES)
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.number)
        return Job(
            f"j-{self.number}", "j", Account("ann", 1, 1), "batch", ("true",), "command", Span(nodes, nodes),
            Devices(devices), devices, "/", at, priority=self.random.choice((10, 50, 50, 90)),
        )  # fmt: skip

    def tick(self) -> Decided:
        """Observe, decide, apply."""
        now = self.now
        reports, self.reports = self.reports, []
        beats: list[Report] = [Heard(name, now, "b") for name in self.world.places] if int(now * 4) % 2 else []
        every = beats + reports
        seen = touched(every, self.world.watch)
        world = replace(self.world, watch=self.world.watch.after(every), touched=seen if int(now) % 4 else None)
        decided = decide(world, now)
        released = {one.key for one in decided.actions if isinstance(one, Release)}
        self.world = replace(
            world, roster=world.roster.after(decided.records), watch=world.watch.without(released), touched=None
        )
        for action in decided.actions:
            if isinstance(action, Launch):
                self.live.append(action.attempt)
                self.reports += [Started(action.attempt.key, n, now, "b") for n in action.attempt.allocation.nodes]
            elif isinstance(action, Examine):
                changed = {n: replace(self.world.places[n], verdict="ok", verdict_at=now) for n in action.nodes}
                self.world = replace(self.world, places={**self.world.places, **changed})
        self.now += 0.25
        self.decisions += len(decided.decisions)
        return decided

    def end(self, count: int) -> None:
        """Let jobs end, others step, and as many be submitted."""
        for attempt in self.live[:200]:
            self.reports.append(Stepped(attempt.key, attempt.allocation.nodes[0], self.now, 0, int(self.now)))
        for _ in range(min(count, len(self.live))):
            at = self.random.randrange(len(self.live))
            self.live[at], self.live[-1] = self.live[-1], self.live[at]
            attempt = self.live.pop()
            self.reports += [Ended(attempt.key, n, self.now, "done", 0) for n in attempt.allocation.nodes]
        fresh = [JobRecord(self.job(), "queued", self.now, "waits for its turn") for _ in range(count)]
        self.world = replace(self.world, roster=self.world.roster.after(fresh))


def measure(loop: Loop, ends: int) -> tuple[float, float]:
    """Decisions a second of processor time, and the longest tick in seconds."""
    before, took, longest = loop.decisions, 0.0, 0.0
    for _ in range(TICKS):
        loop.end(ends)
        at = time.process_time()
        loop.tick()
        tick = time.process_time() - at
        took, longest = took + tick, max(longest, tick)
    return (loop.decisions - before) / took, longest


def main() -> int:
    """Measure and write down."""
    figures: list[Figure] = []
    rates: dict[int, list[float]] = {10: [], 50: [], 250: []}
    longest: dict[int, list[float]] = {10: [], 50: [], 250: []}
    filled: list[float] = []
    for seed in range(3):
        gc.collect()
        loop = Loop(seed)
        began = time.process_time()
        while any(isinstance(one, Launch) for one in loop.tick().actions):
            pass
        filled.append(time.process_time() - began)
        if loop.world.roster.queued < JOBS * 0.8:
            raise BrokenError(f"only {loop.world.roster.queued} jobs are queued")
        for ends, values in rates.items():
            rate, tick = measure(loop, ends)
            values.append(rate)
            longest[ends].append(tick * 1000)
    for ends, values in rates.items():
        figures.append(Figure(f"decisions, {ends} ends a tick", "1/s", tuple(values), 2000.0, at_least=True))
        figures.append(Figure(f"longest tick, {ends} ends a tick", "ms", tuple(longest[ends])))
    figures.append(Figure("an empty cluster of 1,000 nodes is filled", "s", tuple(filled)))
    return report("jobs_decide", figures, simulated="time, nodes and jobs; no engine and no database")


if __name__ == "__main__":
    raise SystemExit(main())
