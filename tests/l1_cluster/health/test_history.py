"""What is remembered of nodes, in a real store."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.layers.core.store import Store
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.history import FINE, WINDOW, HealthHistory
from aiops.layers.l1_cluster.health.past import Sample
from aiops.layers.l1_cluster.health.settling import Settled, Situation, settle
from aiops.layers.l1_cluster.health.stretch import GAP, Stretch, reliability
from aiops.layers.l1_cluster.health.verdict import Verdict

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
FINDING = Finding("gpu01", "x.y", "critical", "bad", "GPU 3", {"value": 2}, "reboot", "node")


@pytest.fixture
def history(tmp_path: Path) -> Iterator[HealthHistory]:
    with Store.open(tmp_path, {}) as store:
        yield HealthHistory(store, "lab-a")


def look(
    history: HealthHistory,
    at: datetime,
    *findings: Finding,
    verdict: Verdict = "ok",
    counters: dict[str, int] | None = None,
    boot_id: str = "b1",
) -> Settled:
    recalled = history.recall(["gpu01"], at)
    situation = Situation(
        at, frozenset({"gpu01"}), {"gpu01": ("x.y",)}, {}, {"gpu01": boot_id}, recalled.open, recalled.past
    )
    settled = settle(findings, {}, situation)
    history.keep(
        settled,
        recalled,
        at=at,
        verdicts={"gpu01": verdict},
        counters={"gpu01": counters or {}},
        boot_ids={"gpu01": boot_id},
    )
    return settled


def test_an_episode_is_one_row_from_first_to_last(history: HealthHistory) -> None:
    for minutes in (0, 5, 10):
        look(history, AT + timedelta(minutes=minutes), FINDING)
    look(history, AT + timedelta(minutes=30))
    (episode,) = history.episodes(AT)
    assert (episode.started, episode.seen, episode.ended) == (
        AT,
        AT + timedelta(minutes=10),
        AT + timedelta(minutes=10),
    )
    assert (episode.looks, episode.evidence, episode.about) == (3, {"value": 2}, "GPU 3")
    assert history.recall(["gpu01"], AT).open == {}
    assert history.episodes(AT + timedelta(hours=1)) == ()
    assert history.episodes(AT, nodes=["gpu02"]) == ()
    assert history.episodes(AT, checks=["z"]) == ()


def test_clusters_are_not_mixed(history: HealthHistory, tmp_path: Path) -> None:
    look(history, AT, FINDING)
    with Store.open(tmp_path, {}) as store:
        other = HealthHistory(store, "lab-b")
        assert other.episodes(AT) == ()
        assert other.recall(["gpu01"], AT).open == {}


def test_a_quiet_node_costs_one_row_however_often_it_is_looked_at(history: HealthHistory) -> None:
    for number in range(50):
        look(history, AT + timedelta(minutes=5 * number), counters={"c": 7})
    (stretch,) = history.stretches(AT)
    assert (stretch.looks, stretch.last - stretch.began) == (50, timedelta(minutes=5 * 49))
    assert history.recall(["gpu01"], AT).counters["gpu01"].samples == {"c": (Sample(AT, 7, "b1"),)}


def test_stretches_end_with_a_verdict_a_gap_and_a_boot(history: HealthHistory) -> None:
    look(history, AT)
    look(history, AT + timedelta(minutes=5), verdict="critical")
    look(history, AT + timedelta(minutes=10), verdict="critical", boot_id="b2")
    look(history, AT + timedelta(minutes=10) + GAP * 2, verdict="critical", boot_id="b2")
    assert [one.verdict for one in history.stretches(AT)] == ["ok", "critical", "critical", "critical"]
    assert history.latest()["gpu01"].verdict == "critical"
    assert history.latest(["gpu02"]) == {}


def test_old_samples_are_folded_and_the_base_stays(history: HealthHistory) -> None:
    for hour in range(60):
        look(history, AT + timedelta(hours=hour), counters={"c": hour, "still": 3})
    end = AT + timedelta(hours=59)
    past = history.recall(["gpu01"], end).counters["gpu01"]
    assert len(past.samples["c"]) <= WINDOW.total_seconds() / 3600 + 3
    assert past.samples["c"][0].at <= end - timedelta(hours=24), "a day can still be looked back"
    grown = past.growth("c", Sample(end + timedelta(hours=1), 70, "b1"), timedelta(hours=24))
    assert grown is not None
    assert grown.amount == 70 - 36
    assert past.last("still") == (3, "b1")


def test_of_hours_gone_one_sample_stays_and_the_last_hours_are_whole(history: HealthHistory) -> None:
    looks = 26 * 12
    for number in range(looks):
        look(history, AT + timedelta(minutes=5 * number), counters={"c": number})
    end = AT + timedelta(minutes=5 * (looks - 1))
    samples = history.recall(["gpu01"], end).counters["gpu01"].samples["c"]
    fine = [one for one in samples if end - one.at <= FINE]
    assert len(fine) == FINE.total_seconds() / 300 + 1
    assert len(samples) - len(fine) <= 25
    for hours in (1, 3, 24):
        grown = (
            history.recall(["gpu01"], end)
            .counters["gpu01"]
            .growth("c", Sample(end + timedelta(minutes=5), looks, "b1"), timedelta(hours=hours))
        )
        assert grown is not None
        assert abs(grown.amount - 12 * hours) <= 12, "to the hour"


def test_reliability() -> None:
    minutes = [(0, 10, "ok"), (15, 25, "critical"), (30, 60, "ok"), (600, 630, "critical")]
    stretches = [
        Stretch("gpu01", verdict, AT + timedelta(minutes=begin), AT + timedelta(minutes=end))  # type: ignore[arg-type]
        for begin, end, verdict in minutes
    ]
    found = reliability(stretches, AT)["gpu01"]
    assert found.watched == 90 * 60, "the hours in which nobody looked are left out"
    assert found.failures == 2
    assert found.well == pytest.approx(1 - 45 / 90)
    assert found.mtbf == pytest.approx(45 * 60 / 2)
    assert reliability(stretches[:1], AT)["gpu01"].mtbf is None
