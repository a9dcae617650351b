"""What Prometheus tells, given to nodes: only what is theirs, only what is a value, and garbage is never well."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.l1_cluster.health.case import METRICS, Case, subject
from tests.l1_cluster.health.cases.metrics import QUIET, has, unread

from aiops.layers.core.errors import FailedError, UnreachableError
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l1_cluster.health.catalogue import shipped_checks
from aiops.layers.l1_cluster.health.check import Check
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.layers.l1_cluster.health.series import TARGETS, NodeMetrics, Series, combined, not_told, told
from aiops.layers.l1_cluster.metrics import Sample

HOT = Series("metrics.hot", "temp > 60")
OURS = tuple(check for check in shipped_checks() if check.id.startswith("metrics."))
KNOWN = sorted({one.name for check in OURS for one in check.series})
UP = Sample({"aiops_series": TARGETS.name, "cluster": "lab-a", "node": "gpu01", "job": "node"}, 1.0, 5.0)


def sample(name: str, value: float, **labels: str) -> Sample:
    return Sample({"aiops_series": name, "cluster": "lab-a", **labels}, value, 5.0)


def test_all_is_asked_in_one_query() -> None:
    assert combined([TARGETS, HOT]) == (
        'label_replace(max_over_time(up{node!=""}[2m]), "aiops_series", "metrics.targets", "", "")\n'
        'or label_replace(temp > 60, "aiops_series", "metrics.hot", "", "")'
    )


def test_each_node_has_its_own() -> None:
    found = told([UP, sample(HOT.name, 91.0, node="gpu01", gpu="3")], "lab-a", "head")
    assert set(found) == {"gpu01", "head"}
    (reading,) = found["gpu01"].read(HOT)
    assert (reading.labels, reading.value) == ({"gpu": "3"}, 91.0)
    assert found["head"].read(HOT) == ()
    assert (found["head"].home, found["gpu01"].home) == (True, False)


def test_what_is_of_another_cluster_counts_for_nothing() -> None:
    foreign = replace(UP, labels={**UP.labels, "cluster": "lab-b"})
    assert told([UP, replace(foreign, labels={**foreign.labels, "aiops_series": HOT.name})], "lab-a", "head")[
        "gpu01"
    ].series.keys() == {TARGETS.name}
    alone = told([foreign], "lab-a", "head")
    assert set(alone) == {"head"}
    assert alone["head"].trouble is not None
    assert "watches no node" in alone["head"].trouble.message
    of_none = replace(UP, labels={key: value for key, value in UP.labels.items() if key != "cluster"})
    assert told([of_none], "lab-a", "head")["head"].trouble is not None


def test_a_node_that_is_not_watched_is_not_told_of() -> None:
    assert "gpu09" not in told([UP, sample(HOT.name, 91.0, node="gpu09")], "lab-a", "head")


def test_what_is_of_no_node_is_of_the_home() -> None:
    found = told([UP, Sample({"aiops_series": "metrics.alerts", "alertname": "X"}, 1.0, 5.0)], "lab-a", "head")
    assert [one.labels for one in found["head"].series["metrics.alerts"]] == [{"alertname": "X"}]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_value_is_unknown_on_that_node_alone(value: float) -> None:
    other = replace(UP, labels={**UP.labels, "node": "gpu02"})
    found = told([UP, other, sample(HOT.name, value, node="gpu01")], "lab-a", "head")
    with pytest.raises(UnreadableError, match="no value"):
        found["gpu01"].read(HOT)
    assert found["gpu02"].read(HOT) == ()


def test_a_series_that_was_refused_is_told_of_the_home_alone_and_judged_nowhere() -> None:
    found = told([UP], "lab-a", "head", {"metrics.reboots": "Prometheus cannot answer this query: x"})
    seen = {
        name: [
            (one.check, one.verdict, one.about)
            for one in examine([subject(Case("", "", "warn", "none", metrics=metrics), name)], OURS, Rules()).findings
        ]
        for name, metrics in found.items()
    }
    assert seen == {"gpu01": [], "head": [("metrics.prometheus", "unknown", "metrics.reboots")]}
    judged_there = examine([subject(Case("", "", "warn", "none", metrics=found["gpu01"]))], OURS, Rules()).judged
    assert "metrics.reboots" not in judged_there["gpu01"]
    assert "metrics.silent" in judged_there["gpu01"]


def test_silence_is_no_garbage() -> None:
    silent = not_told("head", UnreachableError("x", code="metrics.unreachable"))["head"].trouble
    garbled = not_told("head", FailedError("x", code="metrics.not_prometheus"))["head"].trouble
    assert silent is not None
    assert garbled is not None
    assert (silent.garbled, garbled.garbled) == (False, True)


def judged(metrics: NodeMetrics | None, checks: tuple[Check, ...] = OURS) -> set[tuple[str, str]]:
    case = Case("", "", "warn", "none", metrics=METRICS if metrics is None else metrics)
    one = subject(case)
    found = examine([replace(one, metrics=None) if metrics is None else one], checks, Rules())
    return {(finding.check, finding.verdict) for finding in found.findings}


@pytest.mark.parametrize("case", QUIET, ids=lambda case: f"{case.check} {case.name}")
def test_what_is_no_fault_is_not_found(case: Case) -> None:
    assert examine([subject(case)], OURS, Rules()).findings == ()


def test_without_prometheus_nothing_is_judged() -> None:
    one = replace(subject(), metrics=None)
    assert examine([one], OURS, Rules()).judged["gpu01"] == ()


@pytest.mark.parametrize("check", OURS, ids=lambda check: check.id)
def test_a_series_that_cannot_be_read_is_unknown(check: Check) -> None:
    for series in check.series:
        assert judged(unread(series), (check,)) == {(check.id, "unknown")}


def test_a_node_that_is_silent_now_was_not_silent_before() -> None:
    now = has(TARGETS, 0.0, job="node", instance="10.0.0.11:9100")
    both = replace(now, series={**now.series, **has(_series("metrics.silent"), 30.0).series, **now.series})
    assert judged(both) == {("metrics.exporter", "warn")}


def _series(name: str) -> Series:
    return next(one for check in OURS for one in check.series if one.name == name)


labels = st.dictionaries(
    st.sampled_from(["cluster", "node", "job", "gpu", "mountpoint", "alertname", "instance", "severity", "x"]),
    st.one_of(st.sampled_from(["lab-a", "gpu01", "node", "dcgm", "3", ""]), st.text(max_size=8)),
)
samples = st.lists(
    st.builds(
        lambda own, name, value: Sample({**own, "aiops_series": name}, value, 0.0),
        labels,
        st.one_of(st.sampled_from(KNOWN), st.text(max_size=6)),
        st.one_of(st.floats(), st.sampled_from([0.0, 1.0, 91.0])),
    ),
    max_size=12,
)


@given(samples)
def test_no_answer_fails_a_judge(told_: list[Sample]) -> None:
    for name, metrics in told([UP, *told_], "lab-a", "head").items():
        case = Case("", "", "warn", "none", metrics=metrics)
        for finding in examine([subject(case, name)], OURS, Rules()).findings:
            assert "its judge" not in finding.message
            assert finding.verdict != "critical", "what only Prometheus says drains nobody"
