"""Real faults of nodes, processes and storage in a lab, each with what must follow: a new attempt, or none."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aiops.cli.app import App
from aiops.layers.core.clock import SystemClock
from aiops.layers.l2_jobs.controller.ledger import Ledger
from aiops.layers.l2_jobs.open_lines import OpenLines
from aiops.layers.l2_jobs.spec import seat_of, specs
from aiops.layers.l2_jobs.steady import Steady

from .jobs_site import Site
from .jobs_store import Store

Follows = Literal["another attempt", "the same attempt", "either"]
CUT = 13.0
"""Seconds that a node is away: longer than a lease lives."""

_AGENT = "'[d]ef take.count'"


@dataclass
class Scene:
    """One job, running, at the moment of a fault.

    Attributes:
        checkpoints: Its folder of checkpoints, as this machine sees it.
        one_at_a_time: Held while a node is silent: two at once are a matter of the cascade guard, which then waits.
    """

    site: Site
    stored: Store
    name: str
    job: str
    number: int
    nodes: tuple[str, ...]
    checkpoints: Path
    draw: random.Random
    one_at_a_time: threading.Lock
    controller: threading.Lock
    told: list[str] = field(default_factory=list)

    @property
    def victim(self) -> str:
        """One of its nodes."""
        return self.draw.choice(self.nodes)

    def kill(self, node: str, pattern: str, signal: str = "KILL") -> None:
        """A signal for processes of a host; one must be there."""
        self.site.on(node, f"pkill -{signal} -f {pattern}")


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        silent: Whether a node falls silent by it.
    """

    name: str
    inject: Callable[[Scene], None]
    follows: Follows
    silent: bool = False


def _rank(scene: Scene) -> None:
    scene.kill(scene.victim, f"'[w]itness.py {scene.name} '")


def _all_ranks(scene: Scene) -> None:
    """A rank that sees the other go may have ended before its own signal comes."""
    scene.kill(scene.nodes[0], f"'[w]itness.py {scene.name} '")
    for node in scene.nodes[1:]:
        scene.site.on(node, f"pkill -KILL -f '[w]itness.py {scene.name} '", fails=True)


def _stopped_rank(scene: Scene) -> None:
    scene.kill(scene.victim, f"'[w]itness.py {scene.name} '", "STOP")


def _launcher(scene: Scene) -> None:
    scene.kill(scene.victim, f"'[p]ython3 -I -S .*{scene.job}.{scene.number}'")


def _agent(scene: Scene) -> None:
    """A line that was just lost has none until the controller has opened it again."""
    node = scene.victim
    scene.site.until(lambda: scene.site.on(node, f"pgrep -f {_AGENT}", fails=True) != "", 60, f"an agent on {node}")
    scene.kill(node, _AGENT)


@contextmanager
def _lab(scene: Scene, node: str, kind: str) -> Iterator[None]:
    scene.site.lab.fault(node, kind)
    try:
        yield
    finally:
        scene.site.lab.heal(node, kind)


def _power(scene: Scene) -> None:
    with _lab(scene, scene.victim, "power-loss"):
        time.sleep(scene.draw.uniform(3, CUT))


def _reboot(scene: Scene) -> None:
    scene.site.lab.fault(scene.victim, "reboot")


def _cut(scene: Scene) -> None:
    with _lab(scene, scene.victim, "network-cut"):
        time.sleep(CUT)


def _frozen(scene: Scene) -> None:
    with _lab(scene, scene.victim, "frozen"):
        time.sleep(CUT)


def _cut_from_head(scene: Scene) -> None:
    gateway = scene.site.lab.state.gateway
    line = f"(ip route add blackhole {gateway}; sleep {CUT}; ip route del blackhole {gateway}) >/dev/null 2>&1 &"
    scene.site.on(scene.victim, line)
    time.sleep(CUT + 1)


def _full_disk(scene: Scene) -> None:
    with _lab(scene, scene.victim, "disk-full"):
        time.sleep(8)


def _full_store(scene: Scene) -> None:
    scene.stored.fill()
    try:
        time.sleep(10)
    finally:
        scene.stored.empty()


def _stalled_store(scene: Scene) -> None:
    scene.stored.freeze()
    try:
        time.sleep(20)
    finally:
        scene.stored.thaw()


def _torn(scene: Scene) -> None:
    """Damage the newest checkpoint that was sealed, and kill all ranks before there is a newer one.

    In this order: a restart may verify it within a second, and what is damaged after that nobody can see.
    """
    before = newest(scene.checkpoints)
    scene.site.until(lambda: newest(scene.checkpoints) != before, 60, "a new checkpoint")
    last = newest(scene.checkpoints)
    assert last is not None
    file = last / "rank-1.json"
    os.truncate(file, file.stat().st_size // 2)
    _all_ranks(scene)
    scene.told.append(str(last))


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that was sealed; None before there is one."""
    found = [path.parent for path in folder.glob("step-*/aiops-manifest.json")]
    return max(found, key=lambda path: int(path.name.partition("-")[2]), default=None)


def _controller(scene: Scene) -> None:
    with scene.controller:
        scene.site.kill_controller()
        time.sleep(scene.draw.uniform(0, 6))
        scene.site.start_controller()


def _rank_and_controller(scene: Scene) -> None:
    with scene.controller:
        _rank(scene)
        time.sleep(scene.draw.uniform(0, 1.5))  # at any point of what is decided about it
        scene.site.kill_controller()
        scene.site.start_controller()


def _slurmd(scene: Scene) -> None:
    """The daemon is dead, its rank alive, and Slurm has given the node up."""
    node = scene.victim
    scene.site.on(node, "kill -9 $(systemctl show --property=MainPID --value slurmd)")
    scene.site.on("head", f"scontrol update NodeName={node} State=DOWN Reason=chaos")
    time.sleep(CUT)
    scene.site.on(node, "systemctl restart slurmd")


def _both_engines(scene: Scene) -> None:
    """While Slurm starts an attempt, somebody starts the same one over SSH."""
    _rank(scene)
    app = App(scene.site.environment)
    scene.site.until(lambda: _number(scene) > scene.number, 60, "another attempt is chosen")
    inventory = app.inventory(None)
    nodes = {node.name: node for node in inventory}
    with app.store() as store, app.fleet(inventory) as fleet:
        ledger = Ledger(store)
        job, attempt = ledger.record(scene.job).job, ledger.attempts(scene.job)[-1].attempt
        lines = OpenLines(fleet, nodes, Steady(SystemClock()), logs=lambda *_: None)
        seats = {name: seat_of(job, nodes[name], None) for name in attempt.allocation.nodes}
        for name, spec in specs(job, attempt, seats).items():
            lines.start(attempt.key, name, spec)
        ends = time.monotonic() + 8
        while time.monotonic() < ends:
            lines.wait(0.2)
            scene.told += [type(one).__name__ for one in lines.reports() if type(one).__name__ == "NotStarted"]
        lines.close()


def _number(scene: Scene) -> int:
    found: dict[str, Any] = scene.site.ask("standing", job=scene.job)
    return int((found["attempt"] or {"number": 0})["number"])


RANK = Fault("rank killed", _rank, "another attempt")
RANKS = Fault("all ranks killed", _all_ranks, "another attempt")
STOPPED = Fault("rank stands still", _stopped_rank, "another attempt")
LAUNCHER = Fault("launcher killed", _launcher, "another attempt")
AGENT = Fault("agent killed", _agent, "the same attempt")
POWER = Fault("node without power", _power, "another attempt", silent=True)
REBOOT = Fault("node boots", _reboot, "another attempt", silent=True)
NETWORK = Fault("node cut off from all", _cut, "another attempt", silent=True)
FROM_HEAD = Fault("node cut off from the head only", _cut_from_head, "the same attempt", silent=True)
FROZEN = Fault("host frozen", _frozen, "another attempt", silent=True)
FULL_DISK = Fault("disk of a node full", _full_disk, "either")
FULL_STORE = Fault("storage full", _full_store, "either")
STALLED = Fault("storage stalled 20 s", _stalled_store, "the same attempt")
TORN = Fault("checkpoint torn before the resume", _torn, "another attempt")
CONTROLLER = Fault("controller killed", _controller, "the same attempt")
RANK_AND_CONTROLLER = Fault("rank and then controller killed", _rank_and_controller, "another attempt")
SLURMD = Fault("slurmd dead, its rank alive", _slurmd, "another attempt")
BOTH = Fault("both engines start one attempt", _both_engines, "either")

OF_STORE = (TORN, FULL_STORE, RANK, STALLED, AGENT, CONTROLLER, LAUNCHER, FROM_HEAD, STOPPED, RANK_AND_CONTROLLER)
OF_NODES = (POWER, RANK, NETWORK, FROZEN, LAUNCHER, REBOOT, FULL_DISK, AGENT, FROM_HEAD, TORN, RANKS, CONTROLLER)
OF_SLURM = (RANK, SLURMD, BOTH, POWER, LAUNCHER, NETWORK, TORN, CONTROLLER, AGENT, RANK_AND_CONTROLLER)


def course(kinds: tuple[Fault, ...], count: int) -> list[Fault]:
    """So many faults, all kinds in turn."""
    return [kinds[number % len(kinds)] for number in range(count)]
