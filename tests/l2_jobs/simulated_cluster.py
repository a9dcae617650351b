"""A cluster under a fake clock that knows what is true: nodes, links, launchers with their leases, and programs.

It obeys the rules of docs/decisions/jobs.md exactly: a launcher that hears neither the head nor a peer freezes and then
ends what it runs; one that hears a peer goes on without the head for `lease.PEERS_ONLY`; one that has no peer runs on.
"""

import math
from dataclasses import dataclass, field
from random import Random

from tests.l2_jobs.simulated_program import Flaw, Folder, Run, Script

from aiops.layers.l2_jobs import lease
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.report import (
    End,
    Ended,
    Exited,
    Frozen,
    NotStarted,
    PeerHeard,
    PeerSilent,
    Report,
    Signed,
    Started,
    Stepped,
)

TICK = 0.25
COLLECTIVE = 5.0
"""Seconds that ranks wait for each other's data."""


@dataclass
class Host:
    """A node.

    Attributes:
        side: Nodes of one side hear each other.
        head: Whether the head's beats and its words reach it.
        mute: It hears all, and nobody hears it.
        bad: What is really broken in it; empty for nothing.
        fabric: Whether data of ranks comes through to its peers; the head, and beats, have another way.
        kernel: What its kernel has said and nobody has been told yet.
        bmc: What its BMC says: `true` for the truth, or `on`, `off`, `unknown` always; empty where it has none.
    """

    name: str
    up: bool = True
    boot: int = 1
    side: int = 0
    head: bool = True
    mute: bool = False
    bad: str = ""
    fabric: bool = True
    closed: str = ""
    kernel: list[Signed] = field(default_factory=list)
    bmc: str = ""

    @property
    def power(self) -> str:
        """What its BMC says of it."""
        return self.bmc if self.bmc != "true" else "on" if self.up else "off"

    @property
    def answers(self) -> bool:
        """Whether the head hears it."""
        return self.up and self.head and not self.mute

    @property
    def boot_id(self) -> str:
        return f"{self.name}-boot-{self.boot}"


@dataclass
class Unit:
    """One rank group on its node; `events` is what is on its disk, `told` how much of it was delivered."""

    key: Key
    host: Host
    rank: int
    alive: bool = True
    frozen: bool = False
    head_at: float = 0.0
    peer_at: dict[str, float] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)
    stop_at: float | None = None
    mark: tuple[int, str] = (-1, "")
    marked_at: float = -math.inf
    events: list[Report] = field(default_factory=list)
    told: int = 0


class Cluster:
    """Everything outside the controller."""

    def __init__(self, names: list[str], seed: int) -> None:
        self.now = 1_000_000.0
        self.random = Random(seed)  # noqa: S311 - drawn by a seed
        self.hosts = {name: Host(name) for name in names}
        self.units: dict[tuple[Key, str], Unit] = {}
        self.attempts: dict[Key, tuple[Job, Attempt]] = {}
        self.runs: dict[Key, Run] = {}
        self.folders: dict[str, Folder] = {}
        self.scripts: dict[str, Script] = {}
        self.flaws: dict[str, Flaw] = {}
        self.logs: dict[Key, str] = {}
        self.storage: str = ""
        self.beats: dict[str, float] = {}
        self.wrongs: list[str] = []
        self.later: list[tuple[float, Key, str, int]] = []
        self.term = 1
        """The latest controller's, which all nodes know."""

    # ------------------------------------------------------------------ what engines do

    def start(self, job: Job, attempt: Attempt, node: str) -> None:
        """An agent starts a rank group, once."""
        if (attempt.key, node) in self.units:
            return
        self.attempts[attempt.key] = (job, attempt)
        host = self.hosts[node]
        unit = Unit(attempt.key, host, attempt.allocation.nodes.index(node), head_at=self.now)
        self.units[attempt.key, node] = unit
        folder = self.folders.setdefault(job.id, Folder())
        if attempt.key.number < folder.epoch:
            unit.alive = False
            unit.events.append(NotStarted(attempt.key, node, self.now, "a newer attempt has been here", "framework"))
            return
        folder.epoch = attempt.key.number
        unit.peer_at = {peer: self.now for peer in attempt.allocation.nodes if peer != node}
        unit.events.append(Started(attempt.key, node, self.now, host.boot_id))
        self._check_start(attempt)

    def _check_start(self, attempt: Attempt) -> None:
        older = [
            u for (key, _), u in self.units.items() if key.job == attempt.key.job and key != attempt.key and u.alive
        ]
        if older:
            self.wrongs.append(
                f"{self.now:.2f} overlap: {attempt.key} starts while {older[0].key} runs on {older[0].host.name}"
            )
        if attempt.resume is not None:
            step = int(attempt.resume.rpartition("-")[2])
            saved = self.folders[attempt.key.job].saved.get(step)
            if saved is None or saved.damaged or not saved.whole or saved.aside:
                self.wrongs.append(f"{self.now:.2f} {attempt.key} goes on from a bad checkpoint: {attempt.resume}")

    def end(self, unit: Unit, end: End, status: int | None = None, reason: str = "") -> None:
        """Nothing of a rank group runs any more."""
        if not unit.alive:
            return
        unit.alive = False
        unit.events.append(Ended(unit.key, unit.host.name, self.now, end, status, reason))

    # ------------------------------------------------------------------ what happens to it

    def power(self, name: str, *, on: bool) -> None:
        """Power is lost, or comes back: then the node boots, and nothing of before runs."""
        host = self.hosts[name]
        host.up = on
        for unit in self.units.values():
            if unit.host is host and unit.alive and not on:
                unit.alive = False  # without a word
        if on:
            host.boot += 1

    def exit(self, key: Key, name: str, status: int, kind: str, *, echo: float = 1.0) -> None:
        """A rank ends; the others notice and end too."""
        unit = self.units.get((key, name))
        if unit is None or not unit.alive:
            return
        self.logs.setdefault(key, kind)
        unit.events.append(Exited(key, name, self.now, unit.rank, status))
        self.end(unit, "failed", status)
        for other in self.group(key):
            if other.alive:
                self.later.append((self.now + echo, key, other.host.name, 1))

    def group(self, key: Key) -> list[Unit]:
        """The rank groups of an attempt."""
        return [unit for (one, _), unit in self.units.items() if one == key]

    def live(self, job: str) -> list[Unit]:
        """What of a job runs."""
        return [unit for (key, _), unit in self.units.items() if key.job == job and unit.alive]

    # ------------------------------------------------------------------ time

    def tick(self) -> None:
        """A quarter of a second passes."""
        self.now += TICK
        due = [one for one in self.later if one[0] <= self.now]
        self.later = [one for one in self.later if one[0] > self.now]
        for _, key, name, status in due:
            unit = self.units.get((key, name))
            if unit is not None and unit.alive and unit.host.up:
                unit.events.append(Exited(key, name, self.now, unit.rank, status))
                self.end(unit, "failed", status)
        by_key: dict[Key, list[Unit]] = {}
        for (key, _), unit in self.units.items():
            if unit.alive:
                by_key.setdefault(key, []).append(unit)
        for key, units in by_key.items():
            for unit in units:
                self._lease(unit, units)
            self._work(key, [unit for unit in units if unit.alive])
        jobs: dict[str, set[int]] = {}
        for (key, _), unit in self.units.items():
            if unit.alive:
                jobs.setdefault(key.job, set()).add(key.number)
        self.wrongs += [f"{self.now:.2f} overlap of {job}: {sorted(n)}" for job, n in jobs.items() if len(n) > 1]

    def _lease(self, unit: Unit, units: list[Unit]) -> None:
        host, now = unit.host, self.now
        unit.head_at = max(unit.head_at, self.beats.get(host.name, 0.0))
        for other in units:
            if other is not unit and other.alive and other.host.side == host.side and not other.host.mute:
                unit.peer_at[other.host.name] = now
        for peer, at in unit.peer_at.items():
            if now - at > lease.MISSED and peer not in unit.missed:
                unit.missed.add(peer)
                unit.events.append(PeerSilent(unit.key, host.name, now, peer, now - at))
            elif now - at <= lease.MISSED and peer in unit.missed:
                unit.missed.discard(peer)
                unit.events.append(PeerHeard(unit.key, host.name, now, peer))
        if unit.stop_at is not None and now >= unit.stop_at:
            self.end(unit, "stopped")
        if not unit.peer_at:
            return
        alone = now - max(unit.head_at, *unit.peer_at.values())
        if alone >= lease.KILL or now - unit.head_at >= lease.PEERS_ONLY:
            self.end(unit, "lease")
        elif (alone >= lease.FREEZE) != unit.frozen:
            unit.frozen = not unit.frozen
            unit.events.append(Frozen(unit.key, host.name, now, thawed=not unit.frozen))

    def _work(self, key: Key, units: list[Unit]) -> None:
        job, attempt = self.attempts[key]
        if len(units) < len(attempt.allocation.slots) or any(unit.frozen for unit in units):
            return
        if len({unit.host.side for unit in units}) > 1 or any(unit.host.mute for unit in units):
            return
        folder = self.folders[job.id]
        if key not in self.runs:
            self.runs[key] = Run(self.scripts[job.id], attempt.step or 0, Random(self.random.random()))  # noqa: S311 - drawn by a seed
        run = self.runs[key]
        if self._flawed(job, key, run, units):
            return
        if len(units) > 1 and not all(unit.host.fabric for unit in units):
            self._starved(key, run, units)
            return
        run.advance(TICK, folder, self.now, storage=self.storage != "stalled")
        if self.storage == "broken" and run.phase == "save":
            self.exit(key, units[0].host.name, 1, "storage_io")
            return
        for unit in units:
            self._tell(unit, run)
            if run.done:
                unit.events.append(Exited(key, unit.host.name, self.now, unit.rank, 0))
                self.end(unit, "done", 0)

    def _flawed(self, job: Job, key: Key, run: Run, units: list[Unit]) -> bool:
        flaw = self.flaws.get(job.id)
        if flaw is None or key.number > flaw.times or flaw.kind in {"loss_nan", "loss_spike"}:
            return False
        began = run.phase != "start"
        if (flaw.at == 0 and run.left <= TICK and not began) or (flaw.at and began and run.step >= flaw.at):
            self.exit(key, units[0].host.name, flaw.status, flaw.kind)
            return True
        return False

    def _starved(self, key: Key, run: Run, units: list[Unit]) -> None:
        """A collective waits for data that does not come; after a while the first of the ranks that wait says so."""
        run.starved = run.starved or self.now
        if self.now - run.starved >= COLLECTIVE:
            self.exit(
                key, self.random.choice(units).host.name, -6, self.random.choice(["nccl_timeout", "nccl_network"])
            )

    def _tell(self, unit: Unit, run: Run) -> None:
        tells = run.script.tells
        if tells == "nothing" or (tells == "steps" and run.phase == "start"):
            return
        phase = run.phase if tells == "phases" else "step"
        if unit.mark == (run.step, phase) or (self.now - unit.marked_at < 1.0 and unit.mark[1] == phase):
            return
        unit.mark, unit.marked_at = (run.step, phase), self.now
        loss = 2.0 / (1 + run.step / 50) * (1 + 0.02 * run.random.uniform(-1, 1))
        flaw = self.flaws.get(unit.key.job)
        if flaw is not None and unit.key.number <= flaw.times and run.step >= flaw.at:
            loss = math.nan if flaw.kind == "loss_nan" else 40.0 if flaw.kind == "loss_spike" else loss
        event = Stepped(
            unit.key, unit.host.name, self.now, unit.rank, run.step, phase, loss if phase == "step" else None
        )
        unit.events.append(event)
