"""Either side of the limits of what Prometheus has seen, at them, and nodes of which a check says nothing."""

from collections.abc import Mapping
from dataclasses import replace

from tests.l1_cluster.health.case import METRICS, Case
from tests.l1_cluster.health.cases.metrics import has

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.accelerator_trends import HOT, REMAPPED, VANISHED
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.series import TARGETS, NodeMetrics, Reading, Series
from aiops.layers.l1_cluster.health.trends import CLOCK, FILLING, REBOOTS, STALLED
from aiops.layers.l1_cluster.health.verdict import Action, Owner
from aiops.layers.l1_cluster.health.watch import ALERTS, RELOADED, SILENT

HEALTHY: Mapping[str, Answer] = {}
_NODE = Reading({"job": "node", "instance": "10.0.0.11:9100"}, 1.0)
_NODE_DOWN = replace(_NODE, value=0.0)
_DCGM = Reading({"job": "dcgm", "instance": "10.0.0.11:9400"}, 1.0)
_LUSTRE_DOWN = Reading({"job": "lustre", "instance": "10.0.0.11:9169"}, 0.0)


def _with_targets(metrics: NodeMetrics, *targets: Reading) -> NodeMetrics:
    return replace(metrics, series={**metrics.series, TARGETS.name: targets})


def _at(
    check: str,
    series: Series,
    value: float,
    words: str,
    *,
    about: str = "",
    action: Action = "none",
    owner: Owner = "node",
    **labels: str,
) -> Case:
    """A value that is at the limit, which is too much."""
    return Case(
        f"{check} at its limit", check, "warn", action, owner, about, words, metrics=has(series, value, **labels)
    )


def _below(check: str, series: Series, value: float, **labels: str) -> Case:
    return Case(f"{check} {value:g}, within its limit", check, "ok", "none", metrics=has(series, value, **labels))


CASES = (
    _below("metrics.filling", FILLING, 24.0, mountpoint="/scratch"),
    _at("metrics.reboots", REBOOTS, 3.0, "booted 3 times", action="service"),
    _below("metrics.reboots", REBOOTS, 2.0),
    _at("metrics.stalled", STALLED, 10.0, "for 10 % of", owner="user"),
    _below("metrics.stalled", STALLED, 9.0),
    _at("metrics.clock", CLOCK, 100.0, "100 ms off", action="restart_service"),
    _below("metrics.clock", CLOCK, 99.0),
    _at("metrics.silent", SILENT, 5.0, "silent for 5 of", job="node"),
    _below("metrics.silent", SILENT, 4.0, job="node"),
    _at("metrics.gpu_hot", HOT, 85.0, "85 °C or more", about="GPU 3", action="service", gpu="3"),
    _below("metrics.gpu_hot", HOT, 84.0, gpu="3"),
    _at("metrics.gpu_remapped", REMAPPED, 2.0, "2 rows", about="GPU 5", gpu="5"),
    Case(
        "memory that others of the same machine wait for",
        "metrics.stalled",
        "ok",
        "none",
        facts=lambda one: replace(one, container=True),
        metrics=has(STALLED, 80.0),
    ),
    Case(
        "a device that was taken out, as was learned",
        "metrics.gpu_vanished",
        "ok",
        "none",
        expected=Expected({"gpu.count": 8}),
        metrics=has(VANISHED, 1.0),
    ),
    Case(
        "devices that no exporter watches",
        "metrics.gpu_vanished",
        "ok",
        "none",
        metrics=_with_targets(has(VANISHED, 1.0), _NODE),
    ),
    Case(
        "heat of which no exporter of DCGM tells",
        "metrics.gpu_hot",
        "ok",
        "none",
        metrics=_with_targets(has(HOT, 91.0, gpu="3"), _NODE),
    ),
    Case(
        "heat that only DCGM's exporter tells of",
        "metrics.gpu_hot",
        "warn",
        "service",
        about="GPU 3",
        metrics=_with_targets(has(HOT, 91.0, gpu="3"), _DCGM),
    ),
    Case(
        "a node that is silent now and was so before",
        "metrics.exporter",
        "warn",
        "restart_service",
        about="prometheus-node-exporter.service",
        metrics=_with_targets(has(SILENT, 30.0, job="node"), _NODE_DOWN),
    ),
    Case(
        "a node that was silent, and another exporter of it is down",
        "metrics.silent",
        "warn",
        "none",
        also=("metrics.exporter",),
        metrics=_with_targets(has(SILENT, 7.0, job="node"), _NODE, _LUSTRE_DOWN),
    ),
    Case(
        "an alert without a severity",
        "metrics.alert",
        "warn",
        "none",
        about="LustreSlow",
        words="the site's own alert fires",
        metrics=has(ALERTS, 1.0, alertname="LustreSlow"),
    ),
    Case(
        "another node than Prometheus' own",
        "metrics.prometheus",
        "ok",
        "none",
        metrics=replace(has(RELOADED, 0.0, job="prometheus"), home=False),
    ),
    Case(
        "a query that Prometheus refuses",
        "metrics.prometheus",
        "unknown",
        "none",
        about="metrics.reboots",
        words="cannot answer",
        metrics=replace(METRICS, withheld={REBOOTS.name: "Prometheus cannot answer this query"}),
    ),
)
