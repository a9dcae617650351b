"""A controller over the simulated cluster: the loop of docs/decisions/jobs.md, all around `decide` simulated.

What it has written down outlives it; what it knows does not. `killed()` throws it away at any point.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from tests.l2_jobs.simulated_cluster import TICK, Cluster
from tests.l2_jobs.simulated_engine import SimulatedEngine

from aiops.layers.l2_jobs.action import (
    Action,
    AskPower,
    Decided,
    Decision,
    Diagnose,
    Drain,
    Dump,
    Examine,
    Kill,
    Launch,
    Notify,
    Release,
    SetAside,
    Stop,
    TryPairs,
    Verify,
)
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint, Level
from aiops.layers.l2_jobs.decide import decide
from aiops.layers.l2_jobs.fault.fault import Evidence, Fault, usual_fault
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.pair_test import Pair, Paired, PairResult
from aiops.layers.l2_jobs.power import PowerTold, after, begun, ended
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Report
from aiops.layers.l2_jobs.request import Request, Submit
from aiops.layers.l2_jobs.roster import HOLDING, Roster
from aiops.layers.l2_jobs.shelf import Shelf
from aiops.layers.l2_jobs.watch import touched
from aiops.layers.l2_jobs.world import World


class SimulatedController:
    """Observe, decide, write down, act; once each tick."""

    def __init__(self, cluster: Cluster, devices: int = 8) -> None:
        self.cluster = cluster
        self.written: dict[str, JobRecord] = {}
        self.pending: list[Action] = []
        self.decisions: list[Decision] = []
        self.launches: list[Key] = []
        self.asked: list[tuple[float, str]] = []
        self.drained: dict[str, str] = {}
        self.killed_on: set[str] = set()
        self.away = False
        self._devices = tuple(range(devices))
        self._requests: list[Request] = []
        self._answers: list[tuple[float, Action, float]] = []
        self._begin()

    def _begin(self) -> None:
        cluster = self.cluster
        self.engine = SimulatedEngine(cluster)
        places = {
            name: Place(name, "ssh", self._devices, "nvidia" if self._devices else None, bmc=bool(host.bmc))
            for name, host in cluster.hosts.items()
        }
        self.world = World(
            Roster.of(self.written.values()), places=places, began=cluster.now, seed=cluster.random.getrandbits(128)
        )
        live = [one for one in self.written.values() if one.attempt is not None and one.state in HOLDING]
        adopted = [one for one in live if one.state != "starting"]
        self.engine.adopt({one.attempt.key: (one.job, one.attempt) for one in adopted if one.attempt is not None})
        for one in live:
            if one.state == "starting" and one.attempt is not None:
                self.engine.start(one.job, one.attempt)  # harmless where it was started, and it may not have been
        pending, self.pending = self.pending + [one[1] for one in self._answers if isinstance(one[1], TryPairs)], []
        self._answers = []
        for action in pending:
            self._act(action)

    def ask(self, *requests: Request) -> None:
        """What clients append."""
        self._requests += requests

    def killed(self) -> None:
        """It is killed and begins again, with nothing but what was written down."""
        self._begin()

    def tick(self) -> Decided:
        """A quarter of a second passes."""
        self.cluster.tick()
        if self.away:
            return Decided()
        reports = self.engine.reports()
        self._answer()
        return self._decide(reports)

    def _decide(self, reports: list[Report]) -> Decided:
        world, now = self.world, self.cluster.now
        full = round(now / TICK) % 4 == 0
        seen = None if full else touched(reports, world.watch)
        named = [request.job for request in self._requests if not isinstance(request, Submit)]
        over = {job: self.written[job] for job in named if job in self.written}
        world = replace(
            world, watch=world.watch.after(reports), requests=tuple(self._requests), over=over, touched=seen
        )
        decided = decide(world, now)
        again = decide(world, now)
        if decided != again:
            self.cluster.wrongs.append(f"{now:.2f} decided twice, differently")
        self._requests = []
        self.written |= {record.job.id: record for record in decided.records}
        self.decisions += decided.decisions
        self.pending += decided.actions
        released = {one.key for one in decided.actions if isinstance(one, Release)}
        self.world = replace(
            world,
            roster=world.roster.after(decided.records),
            watch=world.watch.without(released),
            requests=(),
            over={},
            touched=None,
        )
        if full:
            more = decide(self.world, now)
            if more.records or more.decisions:
                self.cluster.wrongs.append(f"{now:.2f} more on the same world: {more.records} {more.decisions}")
        while self.pending:
            self._act(self.pending[0])
            self.pending.pop(0)
        return decided

    # ------------------------------------------------------------------ acting

    def _act(self, action: Action) -> None:  # noqa: C901, PLR0912 - one case for each action
        now = self.cluster.now
        match action:
            case Launch(attempt):
                self.launches.append(attempt.key)
                self.engine.start(self.written[attempt.key.job].job, attempt)
            case Stop(key, seconds):
                self.engine.stop(key, seconds=seconds)
            case Kill(key, nodes):
                self.killed_on |= set(nodes)
                self.engine.kill(key, nodes)
            case Dump(key):
                self.engine.dump(key)
            case Release(key):
                self.engine.release(key)
            case Drain(node, reason):
                self.drained[node] = reason
                self._place(node, closed=f"drained: {reason}")
            case SetAside(job, path, _):
                step = int(path.rpartition("-")[2])
                if self.cluster.storage == "" and step in self.cluster.folders[job].saved:
                    self.cluster.folders[job].saved[step].aside = True
            case Examine(nodes):
                for node in nodes:
                    self._place(node, looking=True)
                self._answers.append((now + 1.0, action, now))
            case Diagnose() | Verify():
                known = any(one[1] == action for one in self._answers)
                if not known:
                    self._answers.append((now + 0.5, action, now))
            case AskPower(node):
                self.asked.append((now, node))
                self.world = replace(self.world, power=begun(self.world.power, node, now))
                self._answers.append((now + 0.5, action, now))
            case TryPairs(_, _, pairs):
                seconds = 1.0 if all(self._passes(pair) for pair in pairs) else 7.0
                self._answers.append((now + seconds, action, now))
            case Notify():
                pass

    def wire_bmc(self, node: str, says: str) -> None:
        """Give a node a BMC, see `Host.bmc`."""
        self.cluster.hosts[node].bmc = says
        self._place(node, bmc=bool(says))

    def close(self, node: str, why: str) -> None:
        """Somebody takes a node out of service."""
        self._place(node, closed=why)

    def _place(self, name: str, **changes: object) -> None:
        places = {**self.world.places, name: replace(self.world.places[name], **changes)}  # type: ignore[arg-type]
        self.world = replace(self.world, places=places)

    def _answer(self) -> None:
        now, cluster = self.cluster.now, self.cluster
        due = [one for one in self._answers if one[0] <= now]
        self._answers = [one for one in self._answers if one[0] > now]
        for at, action, asked in due:
            match action:
                case Examine(nodes):
                    for node in nodes:
                        host = cluster.hosts[node]
                        reached = host.answers
                        verdict = "unknown" if not reached else "critical" if host.bad else "ok"
                        self._place(node, verdict=verdict, verdict_at=asked, looking=False)
                case AskPower(node):
                    self._told_of_power(node, asked, action)
                case Diagnose(key):
                    found = {**self.world.diagnoses, key: self._diagnosis(key)}
                    self.world = replace(self.world, diagnoses=found)
                case Verify(job, live):
                    if cluster.storage == "stalled":
                        self._answers.append((at + 1.0, action, asked))
                        continue
                    problem = "input/output error" if cluster.storage else ""
                    shelf = Shelf(asked, () if problem else tuple(self._checkpoints(job)), problem, now, live)
                    self.world = replace(self.world, shelves={**self.world.shelves, job: shelf})
                case TryPairs(key, number, pairs):
                    paired = Paired(key.number, number, tuple(self._met(pair) for pair in pairs))
                    self.world = replace(self.world, paired={**self.world.paired, key.job: paired})
                case _:
                    pass

    def _told_of_power(self, node: str, asked: float, action: Action) -> None:
        """A BMC answers; where it says `off` it is asked once more, as `controller/bmc.py` does."""
        now, power, says = self.cluster.now, self.world.power, self.cluster.hosts[node].power
        again = power[node].told is not None and power[node].told.asked >= asked  # type: ignore[union-attr]
        told = PowerTold(node, now if again else asked, now, says, f"Chassis Power is {says}")  # type: ignore[arg-type]
        power = after(power, [told], self.world.watch)
        if says == "off" and not again:
            self._answers.append((now + 2.25, action, asked))
        else:
            power = ended(power, [node])
        self.world = replace(self.world, power=power)

    def _passes(self, pair: Pair) -> bool:
        return all(self.cluster.hosts[name].fabric for name in pair.nodes)

    def _met(self, pair: Pair) -> PairResult:
        """What a pair says: those whom the head does not reach say nothing."""
        hosts = [self.cluster.hosts[name] for name in pair.nodes]
        silent = tuple(host.name for host in hosts if not host.answers)
        return PairResult(pair, None if silent else self._passes(pair) and hosts[0].side == hosts[1].side, "", silent)

    def _diagnosis(self, key: Key) -> Fault | None:
        kind = self.cluster.logs.get(key)
        if kind is None or kind == "process_exit":
            return None
        node = min((u.host.name for u in self.cluster.group(key) if u.events and not u.alive), default=None)
        text = f"a line that shows {kind}"
        nodes = [node] if node is not None and kind in {"gpu_ecc", "gpu_lost"} else []
        return usual_fault(kind, self.cluster.now, nodes=nodes, evidence=[Evidence("log", text, node, line=1)])

    def _checkpoints(self, job: str) -> Iterable[Checkpoint]:
        folder = self.cluster.folders.get(job)
        for saved in folder.saved.values() if folder is not None else ():
            if saved.aside:
                continue
            good = saved.whole and not saved.damaged
            yield Checkpoint(
                saved.step,
                f"/shared/{job}/checkpoint-{saved.step}",
                "torch",
                Level.STRUCTURE,
                good,
                None if good else "a shard is cut short",
                None,
                1,
                datetime.fromtimestamp(saved.written, tz=UTC),
                doubt=None if saved.whole else "unfinished",
            )
