"""Which nodes `--retry-failed` is about."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.cli.exit import exit_of
from aiops.layers.core.event import Event, EventStream
from aiops.layers.core.store import Store
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.retry import cut_off, failed_nodes, not_come_to, unfinished
from aiops.layers.l1_cluster.run import Journal, Result, Runs

START = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)
PHASES = ("base", "scheduler")
NODES = ("n1", "n2", "n3")


def result(at: int, phase: str, node: str, outcome: str) -> Result:
    return Result(f"r-{at:04d}", phase, node, outcome, 1.0, None, START + timedelta(minutes=at))


def test_failed_blocked_and_interrupted_nodes_are_unfinished() -> None:
    results = [
        result(1, "base", "n1", "failed"),
        result(1, "scheduler", "n2", "blocked"),
        result(1, "scheduler", "n3", "interrupted"),
        result(1, "base", "n4", "changed"),
        result(1, "base", "n5", "ok"),
    ]
    assert unfinished(results, PHASES) == {"n1", "n2", "n3"}


def test_a_later_word_counts_and_a_phase_that_is_no_more_does_not() -> None:
    results = [
        result(2, "base", "n1", "changed"),
        result(1, "base", "n1", "failed"),
        result(1, "connect", "n2", "failed"),
        result(3, "connect", "n2", "ok"),
        result(1, "gone", "n3", "failed"),
    ]
    assert unfinished(results, PHASES) == set()


def test_a_verification_that_was_cut_off_counts_until_all_was_done_again() -> None:
    first = [result(1, "base", "n1", "changed"), result(1, "verify", "n1", "interrupted")]
    assert unfinished(first, PHASES) == {"n1"}
    assert unfinished([*first, result(2, "base", "n1", "ok")], PHASES) == set()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PHASES),
            st.sampled_from(NODES),
            st.sampled_from(["ok", "changed", "failed", "blocked", "interrupted"]),
        )
    ),
    st.randoms(),
)
def test_the_newest_word_of_each_phase_counts_in_whatever_order_they_come(
    told: list[tuple[str, str, str]], shuffler: random.Random
) -> None:
    results = [result(at, *words) for at, words in enumerate(told)]
    newest = {(phase, node): outcome for phase, node, outcome in told}
    expected = {node for (_, node), outcome in newest.items() if outcome in {"failed", "blocked", "interrupted"}}
    shuffler.shuffle(results)
    assert unfinished(results, PHASES) == expected


def event(seq: int, at: int, kind: str, **data: Any) -> Event:
    return Event(START + timedelta(minutes=at), "r-0002", seq, kind, None, "", data)


def of(*results: Result) -> dict[tuple[str, str], Result]:
    return {(one.phase, one.node): one for one in results}


NODES_OF = {"base": ["n1", "n2", "n3"], "scheduler": ["n1", "n2"], "gone": ["n4"]}
CUT = [
    event(1, 2, "plan_made", planned=NODES_OF),
    event(2, 3, "phase_started", phase="base", nodes=["n1", "n2", "n3"]),
]


def test_a_node_that_a_cut_off_run_did_not_come_to_is_unfinished_until_those_phases_were_done_there() -> None:
    done = [replace(result(4, "base", name, "ok"), run="r-0002") for name in ("n1", "n2", "n3")]
    verified = replace(result(5, "verify", "n3", "ok"), run="r-0002")
    assert not_come_to(CUT, of(*done, verified), PHASES) == {"n1", "n2"}
    other = [*done, verified, result(6, "time", "n1", "changed"), result(6, "connect", "n1", "ok")]
    assert not_come_to(CUT, of(*other), PHASES) == {"n1", "n2"}, "another phase says nothing of this one"
    part = [*other, result(7, "verify", "n1", "ok")]
    assert not_come_to(CUT, of(*part), PHASES) == {"n1", "n2"}
    newer = [*done, verified, *(result(8, phase, "n1", "ok") for phase in PHASES)]
    assert not_come_to(CUT, of(*newer), PHASES) == {"n2"}
    assert not_come_to(CUT, of(*newer, result(9, "reset", "n2", "changed")), PHASES) == set()
    assert not_come_to(CUT[:1], {}, PHASES) == set(), "it was cut off while it asked"


def test_what_was_begun_is_cut_off_until_it_was_ended_by_anybody() -> None:
    before, after = result(1, "base", "n1", "ok"), result(4, "base", "n2", "failed")
    assert [(one.node, one.outcome, one.run) for one in cut_off(CUT, of(before, after))] == [
        ("n1", "interrupted", "r-0002"),
        ("n3", "interrupted", "r-0002"),
    ]


class Ticking:
    """A clock that goes on by one second with each look."""

    def __init__(self, minute: int) -> None:
        self.at = START + timedelta(minutes=minute)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path, {}) as opened:
        yield opened


def begin(store: Store, minute: int, cluster: str = "lab-a") -> Journal:
    run = f"r-{minute:04d}"
    return Journal.begin(
        store,
        EventStream(run, Ticking(minute)),
        owner=Owner.here(run),
        cluster=cluster,
        command="aiops cluster deploy",
        exit_of=exit_of,
    )


def a_run(
    store: Store, minute: int, done: dict[str, str], *, begun: tuple[str, ...] = (), cluster: str = "lab-a"
) -> None:
    """A run of phase `base`; what is begun and not done was cut off."""
    journal = begin(store, minute, cluster)
    journal.stream.emit("phase_started", phase="base", nodes=[*done, *begun])
    for node, outcome in done.items():
        journal.stream.emit("node_finished", node=node, phase="base", outcome=outcome)
    journal.end(130 if begun else 1 if "failed" in done.values() else 0)


def test_journals_of_one_cluster_are_read(store: Store) -> None:
    assert failed_nodes(Runs(store), "lab-a", PHASES) == set()
    a_run(store, 1, {"n1": "ok", "n2": "failed"})
    a_run(store, 2, {"n1": "failed"}, cluster="other")
    assert failed_nodes(Runs(store), "lab-a", PHASES) == {"n2"}
    a_run(store, 3, {"n2": "changed"}, begun=("n3",))
    assert failed_nodes(Runs(store), "lab-a", PHASES) == {"n3"}
    journal = begin(store, 4)
    journal.stream.emit("plan_made", planned={"base": ["n1", "n2", "n3"]})
    journal.end(143)
    assert failed_nodes(Runs(store), "lab-a", PHASES) == {"n3"}  # it was cut off while it asked
    journal = begin(store, 5)
    journal.stream.emit("plan_made", planned={"base": ["n1", "n2", "n3"]})
    journal.stream.emit("phase_started", phase="base", nodes=["n3"])
    journal.stream.emit("node_finished", node="n3", phase="base", outcome="ok")
    journal.end(143)
    assert failed_nodes(Runs(store), "lab-a", PHASES) == {"n1", "n2", "n3"}
    a_run(store, 6, {"n1": "ok", "n2": "changed", "n3": "ok"})
    assert failed_nodes(Runs(store), "lab-a", PHASES) == set()
    assert failed_nodes(Runs(store), "other", PHASES) == {"n1"}


def test_old_journals_are_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run has told of single nodes is most of its journal; the table of results has all that counts of it."""
    for minute in range(1, 6):
        a_run(store, minute, {"n1": "ok"}, begun=("n2",))
    read = list[str]()
    made = Event.__init__

    def count(self: Event, *values: Any, **named: Any) -> None:
        made(self, *values, **named)
        read.append(self.kind)

    monkeypatch.setattr(Event, "__init__", count)
    assert failed_nodes(Runs(store), "lab-a", PHASES) == {"n2"}
    assert read == ["phase_started"] * 5
