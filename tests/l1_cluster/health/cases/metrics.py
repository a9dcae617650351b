"""What Prometheus has seen, and a look does not."""

from collections.abc import Mapping
from dataclasses import replace

from tests.l1_cluster.health.case import METRICS, Case, h100, said
from tests.l1_cluster.health.cases.timekeeping import _off

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health.accelerator_trends import HOT, REMAPPED, VANISHED
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.series import TARGETS, NodeMetrics, Reading, Series, Trouble
from aiops.layers.l1_cluster.health.timekeeping import TRACKING
from aiops.layers.l1_cluster.health.trends import CLOCK, FILLING, REBOOTS, STALLED
from aiops.layers.l1_cluster.health.watch import ALERTS, RELOADED, SILENT

HEALTHY: Mapping[str, Answer] = {}


def has(series: Series, value: float, **labels: str) -> NodeMetrics:
    """What is told of a healthy node, and this."""
    return replace(METRICS, series={**METRICS.series, series.name: (Reading(labels, value),)})


def unread(series: Series) -> NodeMetrics:
    """Likewise, and of this series something that is no value."""
    return replace(METRICS, unread={series.name: "Prometheus says nan, which is no value"})


CASES = (
    Case(
        "Prometheus does not answer",
        "metrics.prometheus",
        "warn",
        "restart_service",
        about="prometheus.service",
        words="does not answer; what has happened between two looks is not known",
        metrics=NodeMetrics(home=True, trouble=Trouble("Prometheus does not answer")),
    ),
    Case(
        "something else answers on the port of Prometheus",
        "metrics.prometheus",
        "unknown",
        "none",
        about="prometheus.service",
        metrics=NodeMetrics(home=True, trouble=Trouble("what answers is not Prometheus", garbled=True)),
    ),
    Case(
        "Prometheus refuses its configuration",
        "metrics.prometheus",
        "warn",
        "restart_service",
        about="prometheus.service",
        words="older configuration",
        metrics=has(RELOADED, 0.0, job="prometheus"),
    ),
    Case(
        "an exporter that Prometheus cannot read",
        "metrics.exporter",
        "warn",
        "restart_service",
        about="prometheus-node-exporter.service",
        words="the node exporter at 10.0.0.11:9100",
        metrics=has(TARGETS, 0.0, job="node", instance="10.0.0.11:9100"),
    ),
    Case(
        "an exporter of the site's own that Prometheus cannot read",
        "metrics.exporter",
        "warn",
        "restart_service",
        about="lustre",
        metrics=has(TARGETS, 0.0, job="lustre", instance="10.0.0.11:9169"),
    ),
    Case(
        "a node that hung between two looks",
        "metrics.silent",
        "warn",
        "none",
        words="silent for 7 of the past 60 min, limit 5 min",
        metrics=has(SILENT, 7.0, job="node"),
    ),
    Case(
        "minutes of silence that are no number",
        "metrics.silent",
        "unknown",
        "none",
        words="no value",
        metrics=unread(SILENT),
    ),
    Case(
        "an alert of the site's own",
        "metrics.alert",
        "warn",
        "none",
        about="LustreSlow",
        words="fires with severity page",
        metrics=has(ALERTS, 1.0, alertname="LustreSlow", severity="page", alertstate="firing"),
    ),
    Case(
        "a file system that is full tomorrow",
        "metrics.filling",
        "warn",
        "none",
        about="/scratch",
        words="full in 9 h",
        metrics=has(FILLING, 9.2, mountpoint="/scratch"),
    ),
    Case(
        "a node that boots again and again",
        "metrics.reboots",
        "warn",
        "service",
        words="booted 4 times within a day, limit 3",
        metrics=has(REBOOTS, 4.0),
    ),
    Case(
        "work that waits for memory",
        "metrics.stalled",
        "warn",
        "none",
        owner="user",
        words="for 34 % of the past hour, limit 10 %",
        metrics=has(STALLED, 34.2),
    ),
    Case(
        "a clock that jumps and comes back",
        "metrics.clock",
        "warn",
        "restart_service",
        words="250 ms off within the past hour",
        metrics=has(CLOCK, 250.0),
    ),
    Case(
        "a clock that is off now, too, is told once",
        "time.sync",
        "critical",
        "restart_service",
        words="3500 ms off",
        answers={TRACKING: said(TRACKING, _off("3.5"))},
        metrics=has(CLOCK, 3500.0),
    ),
    Case(
        "a device that is hot under load and cool now",
        "metrics.gpu_hot",
        "warn",
        "service",
        about="GPU 3",
        words="91 °C or more for 6 of the past 60 min, limit 85 °C",
        metrics=has(HOT, 91.0, gpu="3"),
    ),
    Case(
        "another device that is hot now, too, is told once",
        "gpu.temp",
        "warn",
        "service",
        about="GPU 3",
        facts=lambda facts: replace(
            facts,
            accelerators=tuple(
                replace(h100(index), temperature_c=88.0) if index == 3 else h100(index) for index in range(8)
            ),
        ),
        metrics=has(HOT, 91.0, gpu="3"),
    ),
    Case(
        "memory that goes row by row",
        "metrics.gpu_remapped",
        "warn",
        "none",
        about="GPU 5",
        words="3 rows of its memory",
        metrics=has(REMAPPED, 3.0, gpu="5"),
    ),
    Case(
        "a device that was there yesterday",
        "metrics.gpu_vanished",
        "warn",
        "reboot",
        words="1 fewer than a day ago",
        metrics=has(VANISHED, 1.0),
    ),
)

QUIET = (
    Case("just below", "metrics.silent", "warn", "none", metrics=has(SILENT, 4.0, job="node")),
    Case("not soon", "metrics.filling", "warn", "none", metrics=has(FILLING, 30.0, mountpoint="/scratch")),
    Case("booted for a deploy", "metrics.reboots", "warn", "service", metrics=has(REBOOTS, 2.0)),
    Case("a little", "metrics.stalled", "warn", "none", metrics=has(STALLED, 4.0)),
    Case(
        "in a container",
        "metrics.stalled",
        "warn",
        "none",
        facts=lambda one: replace(one, container=True),
        metrics=has(STALLED, 80.0),
    ),
    Case("close", "metrics.clock", "warn", "restart_service", metrics=has(CLOCK, 40.0)),
    Case("warm", "metrics.gpu_hot", "warn", "service", metrics=has(HOT, 80.0, gpu="3")),
    Case("one row", "metrics.gpu_remapped", "warn", "none", metrics=has(REMAPPED, 1.0, gpu="3")),
    Case(
        "taken out",
        "metrics.gpu_vanished",
        "warn",
        "reboot",
        expected=Expected({"gpu.count": 8}),
        metrics=has(VANISHED, 1.0),
    ),
)
"""What is told of well nodes: nothing is found."""
