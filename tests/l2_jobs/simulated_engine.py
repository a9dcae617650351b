"""An engine over the simulated cluster: what a real one does over SSH, under a fake clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.l2_jobs.simulated_cluster import Cluster, Unit

from aiops.layers.l2_jobs import lease
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.report import Deposed, Ended, Heard, NotStarted, Report, Silent

DELAY = 0.25
"""Seconds that a word to a node takes."""

BACK = 1.0
"""Seconds that a new line takes once the node can be reached."""


@dataclass
class Link:
    """The line to one node: whether it is up, when it was last heard, and when it could be made again."""

    up: bool = False
    heard: float = 0.0
    silent: bool = False
    since: float | None = None


class SimulatedEngine:
    """Runs attempts on a `Cluster`. Thrown away and made anew, it is a controller that was killed."""

    def __init__(self, cluster: Cluster, name: str = "ssh") -> None:
        self._cluster = cluster
        self._name = name
        self._term = cluster.term
        self._links = {host: Link(heard=cluster.now) for host in cluster.hosts}
        self._errands: list[tuple[float, str, Key, str, float]] = []
        self._attempts: dict[Key, tuple[Job, Attempt]] = {}
        self._followed: set[tuple[Key, str]] = set()
        self._reports: list[Report] = []
        self._told: dict[tuple[Key, str], int] = {}
        self._lost: set[tuple[Key, str]] = set()

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def start(self, job: Job, attempt: Attempt) -> None:
        """Have every rank group run, once."""
        known = attempt.key in self._attempts
        self._attempts[attempt.key] = (job, attempt)
        for node in attempt.allocation.nodes:
            if known and (attempt.key, node) in self._followed:
                continue
            self._followed.add((attempt.key, node))
            self._errands.append((self._cluster.now + DELAY, "start", attempt.key, node, 0.0))

    def stop(self, key: Key, *, seconds: float) -> None:
        """Ask all of an attempt to leave."""
        for node in self._nodes(key):
            self._errands.append((self._cluster.now + DELAY, "stop", key, node, seconds))

    def kill(self, key: Key, nodes: Sequence[str]) -> None:
        """End at once what runs on `nodes`."""
        for node in nodes:
            self._followed.add((key, node))
            self._errands.append((self._cluster.now + DELAY, "kill", key, node, 0.0))

    def dump(self, key: Key) -> None:
        """Have stacks written."""

    def adopt(self, running: Mapping[Key, tuple[Job, Attempt]]) -> None:
        """Follow attempts of an earlier controller."""
        self._attempts.update(running)
        for key, (_, attempt) in running.items():
            for node in attempt.allocation.nodes:
                self._followed.add((key, node))
                self._errands.append((self._cluster.now + DELAY, "find", key, node, 0.0))

    def release(self, key: Key) -> None:
        """Forget an attempt."""
        self._followed -= {(key, node) for node in self._nodes(key)}
        self._attempts.pop(key, None)

    def reports(self) -> list[Report]:
        """What has come since the last call."""
        self._lines()
        self._run_errands()
        for key, node in sorted(self._followed):
            self._follow(key, node)
        found, self._reports = self._reports, []
        return found

    def close(self) -> None:
        """Let go."""

    def _nodes(self, key: Key) -> tuple[str, ...]:
        return self._attempts[key][1].allocation.nodes if key in self._attempts else ()

    def _lines(self) -> None:
        cluster = self._cluster
        for name, link in self._links.items():
            host = cluster.hosts[name]
            if link.up and not link.silent and host.up and host.head:
                cluster.beats[name] = cluster.now
            if host.answers:
                link.since = link.since if link.since is not None else cluster.now
                if link.up and not link.silent:
                    if cluster.now - link.heard >= lease.BEAT:
                        link.heard = cluster.now
                        self._reports.append(Heard(name, cluster.now, host.boot_id))
                elif cluster.now - link.since >= BACK:
                    link.up, link.silent, link.heard = True, False, cluster.now
                    self._reports.append(Heard(name, cluster.now, host.boot_id))
                for sign in host.kernel:
                    self._reports.append(sign)
                host.kernel.clear()
            else:
                link.since = None
                if not link.silent and cluster.now - link.heard >= lease.MISSED:
                    link.silent, link.up = True, False
                    self._reports.append(Silent(name, cluster.now, "no answer"))

    def _run_errands(self) -> None:
        cluster = self._cluster
        due = [one for one in self._errands if one[0] <= cluster.now]
        self._errands = [one for one in self._errands if one[0] > cluster.now]
        for at, what, key, node, seconds in due:
            link, host = self._links[node], cluster.hosts[node]
            unit = cluster.units.get((key, node))
            if not link.silent and not (link.up and host.answers):
                self._errands.append(
                    (at + DELAY, what, key, node, seconds)
                )  # the line is being made, or words are late
            elif what == "start" and not (link.up and self._term < cluster.term):
                self._start(key, node, sure=not link.up)
            elif not (link.up and host.answers):
                continue
            elif self._term < cluster.term:
                self._reports.append(Deposed(node, cluster.now, cluster.term))
            elif what == "find" and unit is None:
                self._reports.append(Ended(key, node, cluster.now, "lost", None, "there is nothing of it"))
            elif what == "stop" and unit is not None and unit.alive:
                unit.stop_at = min(cluster.now + min(seconds, 1.0), unit.stop_at or cluster.now + seconds)
            elif what == "kill":
                self._kill(key, node, unit)

    def _start(self, key: Key, node: str, *, sure: bool) -> None:
        cluster, host = self._cluster, self._cluster.hosts[node]
        job, attempt = self._attempts.get(key, (None, None))
        if job is None or attempt is None:
            return
        if sure:
            self._reports.append(NotStarted(key, node, cluster.now, "there is no line to it", "network"))
        elif host.answers:
            cluster.start(job, attempt, node)
        # Else the word was lost with the line: nobody knows.

    def _kill(self, key: Key, node: str, unit: Unit | None) -> None:
        if unit is not None and unit.alive:
            self._cluster.end(unit, "stopped", None, "killed")
        elif unit is None:
            self._reports.append(Ended(key, node, self._cluster.now, "stopped", None, "nothing of it ran"))

    def _follow(self, key: Key, node: str) -> None:
        """Pass on what a launcher has on its disk, from where this engine has come to."""
        link, host = self._links[node], self._cluster.hosts[node]
        unit = self._cluster.units.get((key, node))
        if unit is None or not (link.up and not link.silent and host.answers):
            return
        told = self._told.get((key, node), 0)
        self._reports += unit.events[told:]
        self._told[key, node] = len(unit.events)
        said = any(isinstance(one, Ended | NotStarted) for one in unit.events)
        if not unit.alive and not said and (key, node) not in self._lost:
            self._lost.add((key, node))
            self._reports.append(Ended(key, node, self._cluster.now, "lost", None, "its unit is gone"))
