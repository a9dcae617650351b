"""News: each thing is told once, and is over when it has ended, never when it is only not seen."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l1_cluster.health.episode import Episode
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.news import deeds, news, ongoing, unended
from aiops.layers.l1_cluster.health.node_state import NodeState, StateChange
from aiops.layers.l1_cluster.health.notice import Change, Notice

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def finding(node: str = "gpu07", verdict: Any = "critical", about: str = "GPU 3", **more: Any) -> Finding:
    return Finding(node, "gpu.temp", verdict, "96 °C", about, **more)


def episode(verdict: Any = "critical") -> Episode:
    return Episode("gpu07", "gpu.temp", "GPU 3", verdict, "96 °C", AT, AT)


def lines(told: dict[str, Change], *findings: Finding, going_on: tuple[Episode, ...] = ()) -> list[str]:
    found = news(told, ongoing(findings, {}), unended(going_on))
    return [one.line for one in (*found.came, *found.over)]


HOT = ongoing([finding()], {})
OVER = "over: gpu07 critical: gpu.temp: GPU 3: 96 °C"


def test_what_comes_and_what_is_over_is_told_once() -> None:
    assert lines({}, finding()) == ["gpu07 critical: gpu.temp: GPU 3: 96 °C"]
    assert lines(HOT, Finding("gpu07", "gpu.temp", "critical", "97 °C", "GPU 3")) == [], "a value that moves is no news"
    assert lines(HOT) == [OVER]
    assert lines(HOT, finding(verdict="warn")) == ["gpu07 warn: gpu.temp: GPU 3: 96 °C", OVER]


@pytest.mark.parametrize("standing", ["recovering", "once", "starting"])
def test_what_comes_and_goes_is_not_over_while_its_episode_goes_on(standing: Any) -> None:
    """Whether this look has it as `recovering`, or was of other checks, or the node is silent."""
    assert lines(HOT, finding(standing=standing), going_on=(episode(),)) == []
    kept = news(HOT, {}, unended([episode()]))
    assert kept.known == HOT
    assert news(kept.known, HOT).came == (), "it was told"
    assert lines(dict(kept.known)) == [OVER]


def test_an_episode_of_another_verdict_keeps_nothing() -> None:
    assert lines(HOT, going_on=(episode("warn"),)) == [OVER]


@pytest.mark.parametrize("about", ["", "GPU 3"])
def test_what_cannot_be_read_is_not_over(about: str) -> None:
    blind = finding(verdict="unknown", about=about)
    found = news(HOT, ongoing([blind], {}))
    assert (found.over, len(found.came)) == ((), 1)
    assert set(found.known) == {*HOT, *ongoing([blind], {})}
    assert len(lines(dict(found.known))) == 2, "both are over once it can be read and nothing is found"


def test_what_cannot_be_read_of_another_thing_or_node_keeps_nothing() -> None:
    assert OVER in lines(HOT, finding(verdict="unknown", about="GPU 4"))
    assert OVER in lines(HOT, finding(node="gpu08", verdict="unknown"))


@given(st.lists(st.tuples(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")))))
def test_each_thing_comes_and_is_over_in_turn(looks: list[tuple[set[str], set[str]]]) -> None:
    known: dict[str, Change] = {}
    open_: set[str] = set()
    for seen, lasting in looks:
        now = ongoing([finding(node=name) for name in sorted(seen)], {})
        found = news(
            known, now, unended(Episode(name, "gpu.temp", "GPU 3", "critical", "", AT, AT) for name in lasting)
        )
        came, over = {one.node for one in found.came}, {one.node for one in found.over}
        assert came == seen - open_
        assert over == open_ - seen - lasting
        open_ = (open_ | {str(one) for one in came}) - over
        known = dict(found.known)
        assert {one.node for one in known.values()} == open_


def change(before: NodeState, after: NodeState, actor: str = "policy") -> StateChange:
    return StateChange("gpu07", AT, before, after, "why", "gpu.temp", actor, "r-1121")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("degraded", "draining", "drained"),
        ("drained", "ready", "resumed"),
        ("draining", "ready", "resumed"),
        ("validating", "ready", "repaired"),
        ("validating", "drained", "not repaired"),
        ("repairing", "drained", "not repaired"),
        ("drained", "rma", "retired"),
        ("validating", "rma", "retired"),
    ],
)
def test_what_the_policy_has_done_is_told_with_its_run(before: NodeState, after: NodeState, words: str) -> None:
    (deed,) = deeds([change(before, after)])
    assert deed.line == f"{words} gpu07: why (run r-1121)"
    assert Notice("id", "lab-a", AT, (deed,)).subject == f"lab-a: 1 {words}"
    assert deeds([change(before, after, "alice on head"), change(before, after, "")]) == ()


@pytest.mark.parametrize(
    ("before", "after"), [("draining", "drained"), ("drained", "repairing"), ("repairing", "validating")]
)
def test_steps_on_the_way_are_no_news(before: NodeState, after: NodeState) -> None:
    assert deeds([change(before, after)]) == ()
