"""Which nodes are drained, rebooted, given up and given back: decided purely, over any course of things."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l1_cluster.draining import Hold, Standing, worse
from aiops.layers.l1_cluster.reboot import (
    RETURN_SECONDS,
    UNKNOWN_SECONDS,
    Candidate,
    Decision,
    Limits,
    Queue,
    Rebooted,
    advance,
    at_once,
)

OURS = str(Hold("accelerator", "r-1", "driver was changed"))
FOREIGN = "bad fan"
LIMITS = Limits(at_once=1, drain_seconds=600.0)
SERVING = Standing("in_service")
DRAINED = Standing("drained", OURS, session="1")
BUSY = Standing("draining", OURS, ("job 42 of alice",))
UNKNOWN = Standing("unknown", "slurmctld does not answer")


def candidates(*names: str) -> Queue:
    return Queue(tuple(Candidate(name) for name in names))


def test_so_many_at_once() -> None:
    assert [at_once(known) for known in (0, 1, 8, 10, 19, 20, 800)] == [1, 1, 1, 1, 1, 2, 80]


def test_one_node_after_the_other() -> None:
    queue, decision = advance(candidates("a", "b"), {"a": SERVING, "b": SERVING}, LIMITS, 0.0)
    assert decision == Decision(drain=("a",))
    queue, decision = advance(queue, {"a": BUSY, "b": SERVING}, LIMITS, 2.0)
    assert decision == Decision()
    queue, decision = advance(queue, {"a": DRAINED, "b": SERVING}, LIMITS, 4.0)
    assert decision == Decision(go=("a",))  # and b waits, for a is out of service
    assert [one.node for one in queue.candidates] == ["b"]
    queue = Queue(queue.candidates, (Rebooted("a", 4.0, "1"),))
    queue, decision = advance(queue, {"a": DRAINED, "b": SERVING}, LIMITS, 6.0)
    assert decision == Decision()
    back = Standing("drained", OURS, session="2")
    queue, decision = advance(queue, {"a": back, "b": SERVING}, LIMITS, 8.0)
    assert decision == Decision(drain=("b",), resume=("a",))


def test_nodes_that_nobody_serves_go_at_once_and_take_no_place() -> None:
    standings = {
        "down": Standing("down", "Not responding"),
        "foreign": Standing("drained", FOREIGN),
        "serving": SERVING,
    }
    _, decision = advance(candidates("down", "foreign", "nobody's", "serving"), standings, LIMITS, 0.0)
    assert decision.go == ("down", "foreign", "nobody's")
    assert decision.drain == ("serving",)


def test_nodes_with_the_least_work_come_first() -> None:
    working = [Standing("in_service", work=tuple(f"job {number}" for number in range(count))) for count in (2, 0, 1)]
    _, decision = advance(candidates("a", "b", "c"), dict(zip("abc", working, strict=True)), Limits(2, 60.0), 0.0)
    assert decision.drain == ("b", "c")


def test_a_deadline_names_what_still_runs() -> None:
    queue = Queue((Candidate("a", since=0.0, held=True),))
    queue, decision = advance(queue, {"a": BUSY}, LIMITS, 599.9)
    assert not decision.refused
    queue, decision = advance(queue, {"a": BUSY}, LIMITS, 600.0)
    assert decision.refused == {
        "a": "it was not drained in 10 min: it runs job 42 of alice; it stays draining and was not rebooted"
    }
    assert queue.candidates == ()


def test_what_somebody_else_drains_is_waited_for_and_takes_no_place() -> None:
    foreign = Standing("draining", FOREIGN, ("job 1 of bob",))
    queue, decision = advance(candidates("a", "b"), {"a": foreign, "b": SERVING}, LIMITS, 0.0)
    assert decision == Decision(drain=("b",))
    _, decision = advance(queue, {"a": Standing("drained", FOREIGN), "b": BUSY}, LIMITS, 2.0)
    assert decision == Decision(go=("a",))


def test_unknown_is_waited_for_and_then_refused_never_drained() -> None:
    queue, decision = advance(candidates("a"), {"a": UNKNOWN}, LIMITS, 0.0)
    assert decision == Decision()
    queue, decision = advance(queue, {"a": UNKNOWN}, LIMITS, UNKNOWN_SECONDS - 1)
    assert decision == Decision()
    again, decision = advance(queue, {"a": SERVING}, LIMITS, UNKNOWN_SECONDS - 1)
    assert decision.drain == ("a",)
    again, decision = advance(again, {"a": UNKNOWN}, LIMITS, UNKNOWN_SECONDS + 1)
    assert decision == Decision()  # the time begins anew
    _, decision = advance(queue, {"a": UNKNOWN}, LIMITS, UNKNOWN_SECONDS)
    assert "slurmctld does not answer" in decision.refused["a"]


def test_a_node_given_work_again_by_somebody_else_is_left_alone() -> None:
    queue, _ = advance(candidates("a"), {"a": SERVING}, LIMITS, 0.0)
    _, decision = advance(queue, {"a": SERVING}, LIMITS, 2.0)
    assert "somebody else" in decision.refused["a"]
    assert not decision.drain


def test_a_node_that_does_not_report_keeps_its_place() -> None:
    queue = Queue(candidates("b", "c").candidates, (Rebooted("a", 0.0, "1"),))
    standings = {"a": DRAINED, "b": SERVING, "c": SERVING}
    queue, decision = advance(queue, standings, Limits(2, 600.0), RETURN_SECONDS - 1)
    assert decision == Decision(drain=("b",))
    _, decision = advance(queue, {**standings, "b": BUSY}, Limits(2, 600.0), RETURN_SECONDS)
    assert decision == Decision(stay=("a",))  # it is out of service as before


def test_where_nobody_who_is_out_comes_back_the_rest_is_left_alone() -> None:
    """Waiting would have no end, and draining one more would be one too many."""
    queue = replace(candidates("b", "c"), kept=("a",))
    queue, decision = advance(queue, {"b": SERVING, "c": SERVING}, LIMITS, 0.0)
    assert queue.candidates == ()
    assert decision.refused == dict.fromkeys(
        ("b", "c"),
        "it needs a reboot and was left as it is, in service: a stays out of service already, "
        "and no more than one node may be at the same time",
    )
    queue = replace(candidates("b", "c"), kept=("a", "d"))
    _, decision = advance(queue, {"b": SERVING, "c": SERVING}, Limits(2, 60.0), 0.0)
    assert "a,d stay out of service already, and no more than 2 nodes may" in decision.refused["b"]
    _, decision = advance(queue, {"b": SERVING, "c": SERVING}, Limits(3, 60.0), 0.0)
    assert decision == Decision(drain=("b",))


def test_one_that_will_not_be_back_soon_is_drained_last() -> None:
    queue = Queue((Candidate("a", last=True), Candidate("b")))
    busy = Standing("in_service", work=("job 1 of a",))
    assert advance(queue, {"a": SERVING, "b": busy}, LIMITS, 0.0)[1].drain == ("b",)


@pytest.mark.parametrize("standing", [None, SERVING, Standing("drained", FOREIGN, session="2")])
def test_a_node_that_is_no_longer_held_is_not_given_back(standing: Standing | None) -> None:
    standings = {} if standing is None else {"a": standing}
    queue, decision = advance(Queue((), (Rebooted("a", 0.0, "1"),)), standings, LIMITS, 1.0)
    assert decision.resume == ()
    assert queue.returning == ()


@pytest.mark.parametrize(
    ("one", "other", "state"),
    [
        (DRAINED, SERVING, "in_service"),
        (DRAINED, BUSY, "draining"),
        (UNKNOWN, DRAINED, "unknown"),
        (Standing("down"), DRAINED, "drained"),
    ],
)
def test_of_two_standings_the_worse_counts(one: Standing, other: Standing, state: str) -> None:
    assert worse(one, other).state == worse(other, one).state == state
    assert set(worse(one, other).work) == {*one.work, *other.work}


@dataclass
class World:
    """A cluster that does what it is told, with jobs that end when they like."""

    serving: set[str]
    work: dict[str, int]
    foreign: set[str]
    held: set[str] = field(default_factory=set)
    boots: dict[str, int] = field(default_factory=dict)
    silent: bool = False

    def standings(self, names: Sequence[str]) -> dict[str, Standing]:
        return {name: self._of(name) for name in names if name in self.serving}

    def _of(self, name: str) -> Standing:
        if self.silent:
            return UNKNOWN
        work = ("job 1 of a",) if self.work.get(name, 0) > 0 else ()
        session = str(self.boots.get(name, 0))
        if name in self.held or name in self.foreign:
            reason = OURS if name in self.held else FOREIGN
            return Standing("draining" if work else "drained", reason, work, session)
        return Standing("in_service", "", work, session)


NAMES = [f"n{number}" for number in range(8)]


@given(
    serving=st.sets(st.sampled_from(NAMES)),
    foreign=st.sets(st.sampled_from(NAMES)),
    work=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 40)),
    places=st.integers(1, 4),
    silences=st.sets(st.integers(0, 40)),
)
def test_any_course_of_things(
    serving: set[str], foreign: set[str], work: dict[str, int], places: int, silences: set[int]
) -> None:
    """No node is rebooted under its work, none twice, never more are out than allowed, and all end up served."""
    world = World(serving, work, foreign & serving)
    limits = Limits(places, drain_seconds=40.0)
    queue = candidates(*NAMES)
    refused: dict[str, str] = {}
    rebooted: list[str] = []
    for moment in range(400):
        world.silent = moment in silences
        for name in list(world.work):
            world.work[name] -= 1
        awaited = [*(one.node for one in queue.candidates), *(one.node for one in queue.returning)]
        if not awaited:
            break
        standings = world.standings(awaited)
        queue, decision = advance(queue, standings, limits, moment * 2.0)
        refused |= decision.refused
        queue = replace(queue, kept=(*queue.kept, *decision.stay))
        assert not set(decision.drain) & world.foreign
        world.held |= set(decision.drain)
        for name in decision.go:
            if name in world.serving:
                assert world.work.get(name, 0) <= 0
                assert standings[name].state == "drained"
            rebooted.append(name)
            before = str(world.boots.get(name, 0))
            world.boots[name] = world.boots.get(name, 0) + 1
            if name in world.held:
                queue = Queue(queue.candidates, (*queue.returning, Rebooted(name, moment * 2.0, before)), queue.kept)
        assert set(decision.resume) <= world.held & set(rebooted)
        world.held -= set(decision.resume)
        assert len(world.held) <= places
    assert queue == Queue(kept=queue.kept)
    assert len(rebooted) == len(set(rebooted))
    assert set(rebooted) | set(refused) == set(NAMES)
    assert not set(rebooted) & set(refused)
    assert world.held <= set(refused)
