"""The rules of time: what counts of what was seen, and when it is over."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l1_cluster.health.check import Check
from aiops.layers.l1_cluster.health.episode import Episode
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.settling import GRACE, STICKY, Settled, Situation, settle, verdicts

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def check(id_: str = "x.y", **more: Any) -> Check:
    return Check(id_, "t", "critical", "reboot", "node", "J.", "R.", "s", judge=lambda *_: (), **more)


FINDING = Finding("gpu01", "x.y", "critical", "bad", action="reboot")


class Memory:
    """Looks one after the other, each remembering the one before."""

    def __init__(self, *checks: Check) -> None:
        self.checks = {one.id: one for one in checks}
        self.open: dict[Any, Episode] = {}
        self.past: list[Episode] = []

    def look(
        self,
        at: datetime,
        findings: Sequence[Finding],
        *,
        uptime: float = 1e6,
        boot_id: str = "b1",
        looked: bool = True,
        examined: Sequence[str] = ("x.y",),
    ) -> Settled:
        names = frozenset({"gpu01"}) if looked else frozenset()
        situation = Situation(
            at, names, {"gpu01": examined}, {"gpu01": uptime}, {"gpu01": boot_id}, self.open, self.past
        )
        settled = settle(findings, self.checks, situation)
        for one in settled.ended:
            self.open.pop(one.key, None)
            self.past.append(one)
        for one in (*settled.went_on, *settled.began):
            self.open[one.key] = one
        return settled


def test_what_is_seen_once_counts_at_once_where_one_look_is_enough() -> None:
    memory = Memory(check())
    (found,) = memory.look(AT, [FINDING]).findings
    assert found.counts
    assert found.since == AT
    (later,) = memory.look(AT + 5 * MINUTE, [FINDING]).findings
    assert later.since == AT
    assert memory.open[FINDING.key].looks == 2


def test_what_flaps_must_be_seen_twice_in_a_row() -> None:
    memory = Memory(check(sightings=2))
    (first,) = memory.look(AT, [FINDING]).findings
    assert first.standing == "once"
    assert verdicts([first], ["gpu01"]) == {"gpu01": "ok"}
    (hurried,) = memory.look(AT + timedelta(seconds=5), [FINDING]).findings
    assert hurried.standing == "once", "a person who looks twice has seen nothing new"
    (second,) = memory.look(AT + 5 * MINUTE, [FINDING]).findings
    assert second.counts
    assert memory.open[FINDING.key].counted


def test_seen_once_in_each_of_many_hours_never_counts() -> None:
    memory = Memory(check(sightings=2))
    for hour in range(5):
        at = AT + timedelta(hours=hour)
        (found,) = memory.look(at, [FINDING]).findings
        assert found.standing == "once"
        assert memory.look(at + STICKY, []).findings == ()
    assert len(memory.past) == 5
    assert not any(one.counted for one in memory.past)


def test_unknown_is_unknown_at_once() -> None:
    unread = replace(FINDING, verdict="unknown")
    (found,) = Memory(check(sightings=2, grace=True)).look(AT, [unread], uptime=10).findings
    assert found.counts
    assert verdicts([found], ["gpu01"]) == {"gpu01": "unknown"}


def test_the_first_minutes_after_a_boot_do_not_count() -> None:
    memory = Memory(check(grace=True))
    (young,) = memory.look(AT, [FINDING], uptime=GRACE.total_seconds() - 1).findings
    assert young.standing == "starting"
    (grown,) = memory.look(AT + 5 * MINUTE, [FINDING], uptime=GRACE.total_seconds()).findings
    assert grown.counts
    (other,) = Memory(check()).look(AT, [FINDING], uptime=1).findings
    assert other.counts, "only what services still bring up is excused"


def test_what_comes_and_goes_is_one_episode() -> None:
    memory = Memory(check())
    memory.look(AT, [FINDING])
    (gone,) = memory.look(AT + 5 * MINUTE, []).findings
    assert gone.standing == "recovering"
    memory.look(AT + 8 * MINUTE, [FINDING])
    assert memory.past == []
    assert memory.open[FINDING.key].started == AT
    assert memory.look(AT + 8 * MINUTE + STICKY, []).findings == ()
    (over,) = memory.past
    assert (over.started, over.ended) == (AT, AT + 8 * MINUTE)


def test_what_can_be_read_again_is_over_at_once() -> None:
    memory = Memory(check())
    memory.look(AT, [replace(FINDING, verdict="unknown")])
    settled = memory.look(AT + MINUTE, [])
    assert settled.findings == ()
    assert [one.verdict for one in settled.ended] == ["unknown"]


def test_what_was_not_looked_at_is_not_over() -> None:
    memory = Memory(check())
    memory.look(AT, [FINDING])
    assert memory.look(AT + timedelta(hours=2), [], looked=False).ended == ()
    assert memory.look(AT + timedelta(hours=2), [], examined=()).ended == (), "another level does not ask it"
    assert len(memory.look(AT + timedelta(hours=2), []).ended) == 1


def test_what_becomes_worse_is_another_episode_that_counts_at_once() -> None:
    memory = Memory(check(sightings=2))
    warn = replace(FINDING, verdict="warn")
    memory.look(AT, [warn])
    memory.look(AT + 5 * MINUTE, [warn])
    (worse,) = memory.look(AT + 10 * MINUTE, [FINDING]).findings
    assert worse.counts
    assert [one.verdict for one in memory.past] == ["warn"]


def test_what_is_only_observed_counts_for_nothing() -> None:
    (found,) = Memory(check()).look(AT, [replace(FINDING, standing="observed")]).findings
    assert not found.counts
    assert verdicts([found], ["gpu01"]) == {"gpu01": "ok"}


def test_what_two_reboots_did_not_cure_is_for_service() -> None:
    memory = Memory(check())
    actions = []
    for boot in range(4):
        at = AT + timedelta(days=boot)
        (found,) = memory.look(at, [FINDING], boot_id=f"b{boot}").findings
        actions.append(found.action)
        memory.look(at + STICKY, [], boot_id=f"b{boot}")
        memory.look(at + 2 * STICKY, [], boot_id=f"b{boot}")
    assert actions == ["reboot", "reboot", "service", "service"]


def test_an_old_story_is_not_counted() -> None:
    memory = Memory(check())
    for boot in range(2):
        memory.look(AT + timedelta(days=boot), [FINDING], boot_id=f"b{boot}")
        memory.look(AT + timedelta(days=boot, hours=1), [], boot_id=f"b{boot}")
    (found,) = memory.look(AT + timedelta(days=60), [FINDING], boot_id="b9").findings
    assert found.action == "reboot"


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=30))
def test_every_episode_begins_before_it_ends_and_none_is_lost(steps: list[tuple[int, bool]]) -> None:
    memory, at, sightings = Memory(check()), AT, 0
    for minutes, bad in steps:
        at += minutes * MINUTE
        memory.look(at, [FINDING] if bad else [])
        sightings += bad
    episodes = [*memory.past, *memory.open.values()]
    assert sum(one.looks for one in episodes) == sightings
    assert all(one.started <= one.seen and (one.ended is None or one.seen <= one.ended) for one in episodes)
    ordered = sorted(episodes, key=lambda one: one.started)
    assert all(before.seen < after.started for before, after in itertools.pairwise(ordered))


@pytest.mark.parametrize(
    ("found", "verdict"),
    [([], "ok"), (["warn"], "warn"), (["warn", "unknown"], "unknown"), (["unknown", "critical"], "critical")],
)
def test_the_worst_makes_a_node_s_verdict(found: list[Any], verdict: str) -> None:
    findings = [replace(FINDING, verdict=one) for one in found]
    assert verdicts(findings, ["gpu01", "gpu02"]) == {"gpu01": verdict, "gpu02": "ok"}


def test_what_a_repair_has_cured_is_over_at_once() -> None:
    memory = Memory(check())
    memory.look(AT, [FINDING])
    repaired = {"gpu01": AT + MINUTE}
    situation = Situation(AT + 2 * MINUTE, frozenset({"gpu01"}), {"gpu01": ("x.y",)}, open=memory.open)
    assert [one.standing for one in settle((), memory.checks, situation).findings] == ["recovering"]
    cured = settle((), memory.checks, replace(situation, repaired=repaired))
    assert cured.findings == ()
    assert [one.ended for one in cured.ended] == [AT]
    still = settle([FINDING], memory.checks, replace(situation, repaired=repaired))
    assert [one.counts for one in still.findings] == [True]
    unseen = settle((), memory.checks, replace(situation, repaired=repaired, examined={"gpu01": ("a.b",)}))
    assert unseen.ended == (), "what was not looked for is not over"
