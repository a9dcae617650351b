"""What every engine does alike. A test module of an engine has a fixture `bench` and takes these tests in:

    from tests.l2_jobs.engine_contract import *

A `Bench` can make things run, die, and lose their node, and knows what is true on the nodes.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from aiops.layers.l2_jobs import lease
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.engine import Engine
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.report import Deposed, Ended, Heard, NotStarted, PeerSilent, Report, Silent, Started

__all__ = [
    "test_a_head_that_was_deposed_is_told_and_changes_nothing",
    "test_a_killed_attempt_ends_where_it_was_killed_and_nowhere_else",
    "test_a_killed_rank_is_told",
    "test_a_lower_epoch_runs_nothing",
    "test_a_node_cut_off_ends_what_it_runs_within_its_lease",
    "test_a_node_that_loses_its_power_is_told_by_the_head_and_its_peers",
    "test_a_node_that_only_the_head_does_not_hear_runs_on",
    "test_a_stopped_attempt_ends",
    "test_an_attempt_ends_as_its_processes_do",
    "test_an_attempt_is_started_once_on_each_node",
    "test_an_attempt_that_has_ended_while_nobody_looked_is_told",
    "test_an_engine_that_is_made_anew_adopts_what_runs",
    "test_nothing_is_started_twice",
    "test_what_does_not_run_can_be_ended",
]

Until = Callable[[Sequence[Report]], bool]


class Bench(Protocol):
    """A place where an engine is tried, and where one can hurt what it runs.

    Attributes:
        engine: The engine as it is now.
        nodes: At least three.
    """

    engine: Engine
    nodes: tuple[str, ...]

    def job(self, name: str, nodes: int, *, seconds: float | None = None, status: int = 0) -> Job:
        """A job whose processes end after `seconds` with `status`; None: they go on."""
        ...

    def attempt(self, job: Job, number: int, nodes: Sequence[str]) -> Attempt:
        """An attempt of it on `nodes`."""
        ...

    def collect(self, until: Until, seconds: float) -> list[Report]:
        """All reports from now on until `until` is true of them.

        Raises:
            AssertionError: It was not within `seconds`; with what came.
        """
        ...

    def anew(self) -> None:
        """The engine's process is killed, and begins again knowing nothing."""
        ...

    def depose(self) -> None:
        """A later controller of the same store comes to all nodes."""
        ...

    def running(self, key: Key) -> frozenset[str]:
        """Nodes on which processes of an attempt run, in truth; those that are frozen too."""
        ...

    def kill_rank(self, key: Key, node: str) -> None:
        """Kill the processes, not the launcher, with signal 9."""
        ...

    def power(self, node: str, *, on: bool) -> None:
        """Take a node's power, or give it back."""
        ...

    def cut(self, node: str, *, peers: bool) -> None:
        """Cut a node off from the head; with `peers` from the other nodes too."""
        ...

    def heal(self, node: str) -> None:
        """End a cut."""
        ...


LONG = 60.0
"""Seconds that a real engine may take for what is not timed here."""


def _nodes(reports: Sequence[Report], kind: type[Report], key: Key) -> list[str]:
    return sorted(one.node for one in reports if isinstance(one, kind) and getattr(one, "key", None) == key)  # type: ignore[union-attr]


def _all(kind: type[Report], key: Key, nodes: Sequence[str]) -> Until:
    return lambda reports: set(nodes) <= set(_nodes(reports, kind, key))


def _started(bench: Bench, name: str, count: int, **changes: float) -> Attempt:
    job = bench.job(name, count, **changes)  # type: ignore[arg-type]
    attempt = bench.attempt(job, 1, bench.nodes[:count])
    bench.engine.start(job, attempt)
    bench.collect(_all(Started, attempt.key, attempt.allocation.nodes), LONG)
    return attempt


def test_an_attempt_is_started_once_on_each_node(bench: Bench) -> None:
    job = bench.job("starts", 2)
    attempt = bench.attempt(job, 1, bench.nodes[:2])
    bench.engine.start(job, attempt)
    told = bench.collect(_all(Started, attempt.key, bench.nodes[:2]), LONG)
    assert _nodes(told, Started, attempt.key) == sorted(bench.nodes[:2])
    assert bench.running(attempt.key) == set(bench.nodes[:2])
    boots = {one.node: one.boot_id for one in told if isinstance(one, Started)}
    assert all(boots.values())
    assert len(set(boots.values())) == 2


def test_nothing_is_started_twice(bench: Bench) -> None:
    job = bench.job("twice", 2)
    attempt = bench.attempt(job, 1, bench.nodes[:2])
    bench.engine.start(job, attempt)
    bench.engine.start(job, attempt)
    bench.collect(_all(Started, attempt.key, bench.nodes[:2]), LONG)
    bench.anew()
    bench.engine.start(job, attempt)
    told = bench.collect(_all(Started, attempt.key, bench.nodes[:2]), LONG)
    assert not _nodes(told, Ended, attempt.key)
    assert bench.running(attempt.key) == set(bench.nodes[:2])


def test_an_attempt_ends_as_its_processes_do(bench: Bench) -> None:
    good, bad = bench.job("done", 1, seconds=2.0), bench.job("failed", 1, seconds=2.0, status=7)
    first, second = bench.attempt(good, 1, bench.nodes[:1]), bench.attempt(bad, 1, bench.nodes[1:2])
    bench.engine.start(good, first)
    bench.engine.start(bad, second)
    told = bench.collect(lambda r: bool(_nodes(r, Ended, first.key) and _nodes(r, Ended, second.key)), LONG)
    ends = {one.key: (one.end, one.status) for one in told if isinstance(one, Ended)}
    assert ends[first.key] == ("done", 0)
    assert ends[second.key] == ("failed", 7)
    assert not bench.running(first.key) | bench.running(second.key)


def test_a_killed_rank_is_told(bench: Bench) -> None:
    attempt = _started(bench, "rank", 2)
    bench.kill_rank(attempt.key, bench.nodes[1])
    told = bench.collect(_all(Ended, attempt.key, bench.nodes[1:2]), LONG)
    (end,) = [one for one in told if isinstance(one, Ended) and one.node == bench.nodes[1]]
    assert end.end == "failed"
    assert end.status == -9


def test_a_stopped_attempt_ends(bench: Bench) -> None:
    attempt = _started(bench, "stop", 2)
    bench.engine.stop(attempt.key, seconds=5.0)
    bench.engine.stop(attempt.key, seconds=5.0)
    told = bench.collect(_all(Ended, attempt.key, bench.nodes[:2]), LONG)
    assert {one.end for one in told if isinstance(one, Ended)} == {"stopped"}
    assert not bench.running(attempt.key)


def test_a_killed_attempt_ends_where_it_was_killed_and_nowhere_else(bench: Bench) -> None:
    attempt = _started(bench, "kill", 2)
    bench.engine.kill(attempt.key, bench.nodes[:1])
    bench.collect(_all(Ended, attempt.key, bench.nodes[:1]), LONG)
    assert bench.running(attempt.key) == set(bench.nodes[1:2])
    bench.engine.kill(attempt.key, bench.nodes[1:2])
    bench.collect(_all(Ended, attempt.key, bench.nodes[1:2]), LONG)
    bench.engine.release(attempt.key)
    bench.engine.release(attempt.key)
    assert not bench.running(attempt.key)


def test_what_does_not_run_can_be_ended(bench: Bench) -> None:
    nothing = Key("nothing-1", 1)
    bench.engine.stop(nothing, seconds=1.0)
    bench.engine.kill(nothing, bench.nodes[:1])
    bench.collect(_all(Ended, nothing, bench.nodes[:1]), LONG)


def test_an_engine_that_is_made_anew_adopts_what_runs(bench: Bench) -> None:
    job = bench.job("adopted", 2)
    attempt = bench.attempt(job, 1, bench.nodes[:2])
    bench.engine.start(job, attempt)
    bench.collect(_all(Started, attempt.key, bench.nodes[:2]), LONG)
    bench.anew()
    bench.engine.adopt({attempt.key: (job, attempt)})
    told = bench.collect(_all(Started, attempt.key, bench.nodes[:2]), LONG)
    assert not _nodes(told, Ended, attempt.key)
    assert bench.running(attempt.key) == set(bench.nodes[:2])


def test_an_attempt_that_has_ended_while_nobody_looked_is_told(bench: Bench) -> None:
    job = bench.job("unseen", 1, seconds=4.0, status=3)
    attempt = bench.attempt(job, 1, bench.nodes[:1])
    bench.engine.start(job, attempt)
    bench.collect(_all(Started, attempt.key, bench.nodes[:1]), LONG)
    bench.anew()
    bench.collect(lambda _reports: not bench.running(attempt.key), LONG)
    bench.engine.adopt({attempt.key: (job, attempt)})
    told = bench.collect(_all(Ended, attempt.key, bench.nodes[:1]), LONG)
    assert [(one.end, one.status) for one in told if isinstance(one, Ended)] == [("failed", 3)]


def test_a_lower_epoch_runs_nothing(bench: Bench) -> None:
    job = bench.job("epochs", 1)
    new = bench.attempt(job, 2, bench.nodes[:1])
    bench.engine.start(job, new)
    bench.collect(_all(Started, new.key, bench.nodes[:1]), LONG)
    old = bench.attempt(job, 1, bench.nodes[1:2])
    bench.engine.start(job, old)
    told = bench.collect(lambda r: bool(_nodes(r, NotStarted, old.key) or _nodes(r, Ended, old.key)), LONG)
    assert not bench.running(old.key)
    assert not [one for one in told if isinstance(one, Ended) and one.key == new.key]


def test_a_node_that_loses_its_power_is_told_by_the_head_and_its_peers(bench: Bench) -> None:
    attempt = _started(bench, "power", 2)
    lost, peer = bench.nodes[1], bench.nodes[0]
    bench.power(lost, on=False)

    def missed(reports: Sequence[Report]) -> bool:
        silent = any(isinstance(one, Silent) and one.node == lost for one in reports)
        return silent and any(isinstance(one, PeerSilent) and one.peer == lost for one in reports)

    told = bench.collect(missed, LONG)
    assert {one.node for one in told if isinstance(one, PeerSilent)} == {peer}
    bench.power(lost, on=True)
    told = bench.collect(_all(Ended, attempt.key, [lost]), LONG)
    assert any(isinstance(one, Heard) and one.node == lost for one in told)
    assert [one.end for one in told if isinstance(one, Ended) and one.node == lost] == ["lost"]


def test_a_node_cut_off_ends_what_it_runs_within_its_lease(bench: Bench) -> None:
    attempt = _started(bench, "cut", 2)
    lost = bench.nodes[1]
    bench.cut(lost, peers=True)
    bench.collect(lambda reports: any(isinstance(one, Silent) and one.node == lost for one in reports), LONG)
    bench.collect(lambda _reports: lost not in bench.running(attempt.key), lease.EXPIRED)
    bench.heal(lost)
    told = bench.collect(_all(Ended, attempt.key, [lost]), LONG)
    assert [one.end for one in told if isinstance(one, Ended) and one.node == lost] == ["lease"]


def test_a_node_that_only_the_head_does_not_hear_runs_on(bench: Bench) -> None:
    attempt = _started(bench, "heard", 2)
    lost = bench.nodes[1]
    bench.cut(lost, peers=False)
    told = bench.collect(lambda reports: any(isinstance(one, Silent) and one.node == lost for one in reports), LONG)
    told += bench.collect(_passed(bench, 2 * lease.EXPIRED), LONG)
    assert bench.running(attempt.key) == set(bench.nodes[:2])
    assert not [one for one in told if isinstance(one, PeerSilent)]
    bench.heal(lost)
    told = bench.collect(lambda reports: any(isinstance(one, Heard) and one.node == lost for one in reports), LONG)
    assert not _nodes(told, Ended, attempt.key)


def test_a_head_that_was_deposed_is_told_and_changes_nothing(bench: Bench) -> None:
    attempt = _started(bench, "old", 2)
    job = bench.job("new", 1)
    fresh = bench.attempt(job, 1, bench.nodes[:1])
    bench.depose()
    bench.engine.start(job, fresh)
    bench.engine.kill(attempt.key, bench.nodes[:2])
    told = bench.collect(lambda reports: any(isinstance(one, Deposed) for one in reports), LONG)
    assert bench.running(attempt.key) == set(bench.nodes[:2])
    assert bench.running(fresh.key) == set()
    assert not _nodes(told, Ended, attempt.key)


def _passed(bench: Bench, seconds: float) -> Until:
    """So long by the words of a node that is heard: no clock is looked at."""
    witness = bench.nodes[0]
    first: list[float] = []

    def passed(reports: Sequence[Report]) -> bool:
        heard = [one.at for one in reports if isinstance(one, Heard) and one.node == witness]
        if heard and not first:
            first.append(heard[0])
        return bool(heard) and heard[-1] - first[0] >= seconds

    return passed
