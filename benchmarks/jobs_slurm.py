"""From a killed rank to the first step of the next attempt: the engines slurm and ssh in turn, and Slurm's own requeue.

The same two-node job on the same hosts, its ranks ordinary processes that step 20 times a second. Each round kills one
rank with -9, does at once what a controller does then (the gang is ended, and the next attempt started when all of it
has ended), and waits until both ranks of that have stepped. Decisions, checkpoints and torch's own start are not in it:
they cost the same on both engines.

Slurm's own requeue is measured from the moment at which its node was set down, so without the time (SlurmdTimeout) that
Slurm needs to see that a node is gone.
"""

import argparse
import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiops.cli.app import App
from aiops.layers.core.clock import SystemClock
from aiops.layers.core.command import Command
from aiops.layers.core.plugin import Plugins
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.engine import Engine, EngineContext, EngineHooks
from aiops.layers.l2_jobs.job import Account, Devices, EngineName, Job, ProgressPlan, Span
from aiops.layers.l2_jobs.open_lines import OpenLines
from aiops.layers.l2_jobs.report import Ended, Report, Started, Stepped
from aiops.layers.l2_jobs.steady import Steady

from .cluster_rig import SIMULATED, rig
from .measurement import BrokenError, Figure, report

NAME = "bench-jobs-slurm"
ROUNDS = 15
MORE = 10.0
"""Seconds that a restart under Slurm may take longer than over SSH (issue 5, line 2)."""

_ANN = Account("ann", 2001, 2001)
_NODES = ("gpu01", "gpu02")
_SECONDS = 90.0
_REQUEUE_SECONDS = 400.0
_PROGRAM = (
    "import time\nstep = 0\nwhile True:\n    step += 1\n    print('step', step, flush=True)\n    time.sleep(0.05)\n"
)
_USER = "id ann >/dev/null 2>&1 || useradd --uid 2001 --user-group --create-home ann"
_KILL = "date +%s.%N; pkill -KILL -u ann -f ' {0}-rank$'"
_REQUEUE = r"""
cat > /shared/requeued.sh <<'END'
#!/bin/sh
srun sh -c 'echo $(date +%s.%N) ${{SLURM_RESTART_COUNT:-0}} >> /shared/requeued.log'
srun sleep 600
END
rm -f /shared/requeued.log
sbatch --parsable --requeue --nodes=2 --exclude={exclude} --output=/dev/null /shared/requeued.sh
"""


@dataclass(frozen=True)
class Restart:
    """One fault and what followed, in seconds from the kill.

    Attributes:
        told: Until the rank group's end was told.
        ended: Until all of the gang had ended.
        started: Until the next attempt ran on all nodes.
        stepped: Until all of it had stepped.
    """

    told: float
    ended: float
    started: float
    stepped: float


class Bench:
    """Both engines over the same lines to the same hosts."""

    def __init__(self, app: App, inventory: Path) -> None:
        self.inventory = app.inventory(inventory)
        self._fleet = app.fleet(self.inventory)
        nodes = {node.name: node for node in self.inventory}
        self.lines = OpenLines(self._fleet, nodes, Steady(SystemClock()), logs=lambda *_: None)
        context = EngineContext(self.inventory, self._fleet, SystemClock(), self.lines)
        made = Plugins().hooks("engine", EngineHooks).engine(context=context)
        self.engines: dict[str, Engine] = {one.name: one for one in made if one is not None}
        self._told: dict[str, list[Report]] = {name: [] for name in self.engines}
        self._port = 20000

    def on(self, node: str, line: str) -> str:
        """What a shell line says on a node, as root.

        Raises:
            BrokenError: It ended with another status than 0.
        """
        done = self._fleet.transport(self.inventory.node(node)).run(Command(("sh", "-c", line), timeout=60, root=True))
        if not done.ok:
            raise BrokenError(f"{node}: {line.strip().splitlines()[0]}: {done.error_text}{done.text}")
        return done.text.strip()

    def until(self, name: str, condition: Callable[[list[Report]], Any]) -> Any:
        """Wait until what an engine has told fulfils `condition`.

        Raises:
            BrokenError: It did not in time.
        """
        deadline = time.monotonic() + _SECONDS
        told = self._told[name]
        while True:
            told += self.engines[name].reports()
            if found := condition(told):
                return found
            if time.monotonic() > deadline:
                raise BrokenError(f"{name}: {told[-20:]}")
            self.lines.wait(0.02)

    def attempt(self, name: str, number: int) -> Attempt:
        """The attempt of that number, on a port of its own."""
        self._port += 16
        slots = tuple(Slot(node) for node in _NODES)
        key = Key(f"restart-{name}-{os.getpid()}", number)
        engine: EngineName = "slurm" if name == "slurm" else "ssh"
        return Attempt(key, engine, Allocation(slots), self._port, secret=secrets.token_hex(16))

    def close(self) -> None:
        """Let go."""
        for one in self.engines.values():
            one.close()
        self.lines.close()
        self._fleet.close()


def _job(name: str) -> Job:
    command = ("python3", "-c", _PROGRAM, f"{name}-rank")
    plan = ProgressPlan(r"step (?P<step>\d+)")
    at = datetime.now(UTC)
    job = Job("", "restart", _ANN, "batch", command, "command", Span(2, 2), Devices(0), 1, "/shared", at, progress=plan)
    return replace(job, id=f"restart-{name}-{os.getpid()}")


def _nodes(told: list[Report], key: Key, kind: type[Ended] | type[Started] | type[Stepped]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in told:
        if isinstance(one, kind) and one.key == key:
            found.setdefault(one.node, one.at)
    return found


def _all(key: Key, kind: type[Ended] | type[Started] | type[Stepped]) -> Callable[[list[Report]], float | None]:
    def came(told: list[Report]) -> float | None:
        found = _nodes(told, key, kind)
        return max(found.values()) if len(found) == len(_NODES) else None

    return came


def _round(bench: Bench, name: str, job: Job, running: Attempt) -> tuple[Restart, Attempt]:
    """Kill a rank, and have the next attempt run."""
    engine = bench.engines[name]
    fault = float(bench.on("gpu02", _KILL.format(name)))
    told = bench.until(name, lambda said: _nodes(said, running.key, Ended).get("gpu02"))
    engine.kill(running.key, _NODES)
    ended = bench.until(name, _all(running.key, Ended))
    following = bench.attempt(name, running.key.number + 1)
    engine.start(job, following)
    started = bench.until(name, _all(following.key, Started))
    stepped = bench.until(name, _all(following.key, Stepped))
    engine.release(running.key)
    return Restart(*(round(at - fault, 3) for at in (told, ended, started, stepped))), following


def requeue(on: Callable[[str, str], str], exclude: str) -> float:
    """Seconds from a node's being set down to the first word of the job that Slurm itself runs again.

    Args:
        on: Runs a shell line on a host, as root, and gives what it says.
        exclude: Nodes of Slurm that are left alone.

    Raises:
        BrokenError: Slurm did not run it, or not again.
    """
    number = on("head", _REQUEUE.format(exclude=exclude).strip("\n")).split()[-1]
    _poll(on, "test -s /shared/requeued.log && echo yes", "yes")
    node = on("head", f"squeue --noheader --jobs={number} --format=%N | xargs scontrol show hostnames | tail -n 1")
    on(node, "systemctl stop slurmd")  # or it would report, and be up again, at once
    down = float(on("head", f"scontrol update NodeName={node} State=DOWN Reason=benchmark && date +%s.%N").split()[-1])
    again = "awk '$2 == 1 { print $1; exit }' /shared/requeued.log"
    on(node, "systemctl start slurmd")
    try:
        return round(float(_poll(on, again)) - down, 1)
    finally:
        on("head", f"scancel {number}")


def _poll(on: Callable[[str, str], str], line: str, expected: str | None = None) -> str:
    deadline = time.monotonic() + _REQUEUE_SECONDS
    while True:
        said = on("head", f"{line} || :")
        if said == expected or (expected is None and said):
            return said
        if time.monotonic() > deadline:
            raise BrokenError(f"head: {line}: {said!r}")
        time.sleep(0.5)


@contextmanager
def _bench(inventory: Path | None, app: App) -> Iterator[Bench]:
    """The engines on a deployed lab: an own one, or one that is there."""
    if inventory is not None:
        bench = Bench(app, inventory)
        try:
            yield bench
        finally:
            bench.close()
        return
    with rig(NAME, 3) as made:
        made.deploy()
        with _bench(Path(made.inventory), app) as bench:
            yield bench


def main() -> int:
    """Measure, and report; exit 1 when Slurm takes too much longer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--requeues", type=int, default=1)
    parser.add_argument("--inventory", type=Path, help="a deployed lab that is there, with three workers")
    options = parser.parse_args()
    found: dict[str, list[Restart]] = {"slurm": [], "ssh": []}
    with _bench(options.inventory, App(os.environ)) as bench:
        for node in ("head", "gpu01", "gpu02", "gpu03"):
            bench.on(node, _USER)
        jobs = {name: _job(name) for name in found}
        running = {name: bench.attempt(name, 1) for name in found}
        for name, job in jobs.items():
            bench.engines[name].start(job, running[name])
            bench.until(name, _all(running[name].key, Stepped))
        for _ in range(options.rounds):
            for name, job in jobs.items():  # in turn, so that both have the same machine
                restart, running[name] = _round(bench, name, job, running[name])
                print(name, restart, file=sys.stderr, flush=True)
                found[name].append(restart)
        for name, attempt in running.items():
            bench.engines[name].kill(attempt.key, _NODES)
            bench.until(name, _all(attempt.key, Ended))
        requeues = [requeue(bench.on, "gpu01") for _ in range(options.requeues)]
    return report("jobs_slurm", _figures(found, requeues), simulated=SIMULATED, details=[_details(found)])


def _figures(found: dict[str, list[Restart]], requeues: list[float]) -> list[Figure]:
    more = [one.stepped - other.stepped for one, other in zip(found["slurm"], found["ssh"], strict=True)]
    made = [Figure("a killed rank to the next attempt's first step: slurm less ssh", "s", tuple(more), MORE)]
    for name, restarts in found.items():
        made += [
            Figure(f"{name}: killed rank to its end told", "s", tuple(one.told for one in restarts)),
            Figure(f"{name}: to the end of the whole gang", "s", tuple(one.ended for one in restarts)),
            Figure(f"{name}: to the next attempt running on both nodes", "s", tuple(one.started for one in restarts)),
            Figure(f"{name}: to its first step on both nodes", "s", tuple(one.stepped for one in restarts)),
        ]
    if requeues:
        made.append(Figure("Slurm's own requeue: node set down to running again", "s", tuple(requeues)))
    return made


def _details(found: dict[str, list[Restart]]) -> dict[str, float]:
    """The 95th percentiles by nearest rank: of 15 rounds that is the slowest."""
    return {
        f"{name}, p95 to the first step": sorted(one.stepped for one in restarts)[math.ceil(len(restarts) * 0.95) - 1]
        for name, restarts in found.items()
    }


if __name__ == "__main__":
    sys.exit(main())
