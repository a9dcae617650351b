"""Launches of 2-node gangs over 8 lab nodes: how many a second, and what each costs the controller's processor.

    make bench-jobs_launch

Each launch is a gang of `true` as systemd units with our launcher, from the order until both nodes have said that it
has ended. The lines are open before.
"""

import argparse
import os
import secrets
import sys
import time
from datetime import UTC, datetime

from aiops.cli.app import App
from aiops.layers.core.clock import SystemClock
from aiops.layers.l0_nodes.connector import Connector
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import read_inventory
from aiops.layers.l0_nodes.lab import Lab
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.job import Account, Devices, Job, Span
from aiops.layers.l2_jobs.open_lines import OpenLines
from aiops.layers.l2_jobs.report import Ended, NotStarted, Started
from aiops.layers.l2_jobs.spec import PORTS, Seat, specs
from aiops.layers.l2_jobs.steady import Steady

from .cluster_rig import Rig, rig
from .measurement import BrokenError, Figure, report

NODES = 8
LAUNCHES = 60
AT_ONCE = 8
"""Gangs that are on their way at one time: two for each node."""
_FIRST_PORT = 20_000


def _job() -> Job:
    return Job(
        id="bench",
        name="bench",
        owner=Account("nobody", 65534, 65534),
        kind="batch",
        command=("true",),
        launch="command",
        nodes=Span(2, 2),
        devices=Devices(),
        processes=1,
        folder="/tmp",  # noqa: S108 - every host has one
        submitted=datetime.now(UTC),
    )


class Launches:
    """Gangs, one after the other on pairs of nodes."""

    def __init__(self, lab: Lab, app: App) -> None:
        nodes = {one.name: one for one in read_inventory(lab.inventory_path, os.environ, app.home / "cache")}
        self._nodes = {name: node for name, node in nodes.items() if "workers" in node.roles}
        self._lines = OpenLines(Fleet(Connector(os.environ)), self._nodes, Steady(SystemClock()), logs=lambda *_: None)
        self._job = _job()
        self._begun: dict[Key, float] = {}
        self._ended: dict[Key, set[str]] = {}
        self.started: list[float] = []
        self.whole: list[float] = []
        self._number = int(time.time()) % 100_000 * 1000

    def run(self, count: int) -> tuple[float, float]:
        """Launch `count` gangs; wall seconds and seconds of this process's processor."""
        names = sorted(self._nodes)
        pairs = [tuple(names[index : index + 2]) for index in range(0, len(names), 2)]
        begun, used = time.monotonic(), time.process_time()
        left = count
        while left or self._begun:
            while left and len(self._begun) < AT_ONCE:
                self._launch(pairs[left % len(pairs)])
                left -= 1
            self._hear()
            if time.monotonic() - begun > 300:  # noqa: PLR2004 - nothing here takes minutes
                raise BrokenError(f"{len(self._begun)} gangs have not ended")
        return time.monotonic() - begun, time.process_time() - used

    def _launch(self, nodes: tuple[str, ...]) -> None:
        self._number += 1
        key = Key(f"bench-{self._number}", 1)
        port = _FIRST_PORT + self._number % 1000 * PORTS
        attempt = Attempt(key, "ssh", Allocation(tuple(map(Slot, nodes))), port, secret=secrets.token_hex(16))
        seats = {name: Seat(self._nodes[name].connection.address) for name in nodes}
        self._begun[key], self._ended[key] = time.monotonic(), set()
        for node, spec in specs(self._job, attempt, seats).items():
            self._lines.start(key, node, spec)

    def _hear(self) -> None:
        self._lines.wait(0.5)
        for one in self._lines.reports():
            if isinstance(one, NotStarted):
                raise BrokenError(f"{one.node}: {one.reason}")
            if isinstance(one, Started):
                self.started.append(time.monotonic() - self._begun[one.key])
            if isinstance(one, Ended):
                self._ended[one.key].add(one.node)
                if len(self._ended[one.key]) == 2:  # noqa: PLR2004 - both nodes of the gang
                    self.whole.append(time.monotonic() - self._begun.pop(one.key))
                    for node in self._ended.pop(one.key):
                        self._lines.release(one.key, node)

    def close(self) -> None:
        """Let go of the nodes."""
        self._lines.close()


def _sruns(made: Rig, count: int) -> float:
    """Launches a second of `srun -N2 true`, as many at one time."""
    runs = f"seq {count} | xargs -P {AT_ONCE} -I NUMBER srun --quiet -N2 true"
    line = f"srun -N{NODES} true; date +%s.%N; {runs} && date +%s.%N"
    begun, ended = map(float, made.on("head", line).split())
    return count / (ended - begun)


def main() -> int:
    """Measure; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launches", type=int, default=LAUNCHES)
    parser.add_argument("--rounds", type=int, default=3, help="of ours and of Slurm's, in turn")
    options = parser.parse_args()
    rates, costs, sruns = [], [], []
    with rig("bench-jobs-launch", NODES, devices=0) as made:
        made.deploy()
        launches = Launches(made.lab, App(os.environ))
        launches.run(NODES)  # opens the lines
        launches.started.clear()
        launches.whole.clear()
        for _ in range(options.rounds):  # in turn, so that both have the same machine
            seconds, used = launches.run(options.launches)
            rates.append(options.launches / seconds)
            costs.append(1000 * used / options.launches)
            sruns.append(_sruns(made, options.launches))
        launches.close()
    return report(
        "jobs_launch",
        [
            Figure("launches of a 2-node gang", "1/s", tuple(rates), 5.0, at_least=True),
            Figure("processor of the controller for each", "ms", tuple(costs), 30.0),
            Figure("`srun -N2 true` on the same nodes, as many at one time", "1/s", tuple(sruns)),
            Figure("from the order until a rank group runs", "s", tuple(launches.started)),
            Figure("from the order until both have ended", "s", tuple(launches.whole)),
        ],
        simulated="hosts share this machine's kernel, clock and two processors; agents and launchers run on them too",
    )


if __name__ == "__main__":
    sys.exit(main())
