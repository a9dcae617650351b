"""Watching: whether Prometheus runs and reads all it should, and what a site's own alert rules say of a node."""

from collections.abc import Iterator, Mapping

from .check import Check, Limits, Sighting, Subject, Threshold
from .kernel_log import read_age
from .series import TARGETS, Series

ALERTS = Series("metrics.alerts", 'ALERTS{alertstate="firing",check=""}')
"""Rules that are not ours: each of ours names the check that judges the same."""

RELOADED = Series("metrics.reloaded", 'prometheus_config_last_reload_successful{job="prometheus"} == 0')

SILENT = Series("metrics.silent", 'sum_over_time((up{job="node",cluster!=""} == bool 0)[1h:1m]) > 0')
"""Minutes of the past hour in which a node's exporter could not be read."""

_EXPORTERS: Mapping[str, tuple[str, str]] = {
    "node": ("the node exporter", "prometheus-node-exporter.service"),
    "dcgm": ("the exporter of DCGM", "nvidia-dcgm-exporter.service"),
    "prometheus": ("Prometheus itself", "prometheus.service"),
    "alertmanager": ("Alertmanager", "prometheus-alertmanager.service"),
}
"""By the job of a target: what it is, and its unit."""

_HOUR = 3600.0


def _prometheus(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    trouble = None if subject.metrics is None else subject.metrics.trouble
    if trouble is not None:
        lost = "what has happened between two looks is not known"
        yield Sighting("unknown" if trouble.garbled else "warn", f"{trouble.message}; {lost}", "prometheus.service")
        return
    withheld = {} if subject.metrics is None else subject.metrics.withheld
    for name, why in withheld.items():
        yield Sighting("unknown", why, name)
    if subject.readings(RELOADED):
        yield Sighting("warn", "it runs with an older configuration than the one on disk", "prometheus.service")


def _exporter(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    for one in subject.readings(TARGETS):
        if one.value > 0:
            continue
        job, instance = one.labels.get("job", ""), one.labels.get("instance", "")
        what, unit = _EXPORTERS.get(job, (f"`{job}`", job))
        message = f"Prometheus could not read {what} at {instance} for 2 min"
        yield Sighting("warn", message, unit, {"job": job, "instance": instance})


def _silent(subject: Subject, limits: Limits) -> Iterator[Sighting]:
    if any(one.value <= 0 and one.labels.get("job") == "node" for one in subject.readings(TARGETS)):
        return  # it is silent now, which `metrics.exporter` tells
    minutes = max((one.value for one in subject.readings(SILENT)), default=0.0)
    if minutes >= limits["minutes"]:
        message = f"it was silent for {minutes:.0f} of the past 60 min, limit {limits['minutes']:g} min; now it answers"
        yield Sighting("warn", message, evidence={"minutes": minutes})


def _alert(subject: Subject, _limits: Limits) -> Iterator[Sighting]:
    alerts: dict[str, dict[str, str]] = {}
    for one in subject.readings(ALERTS):
        alerts.setdefault(one.labels.get("alertname", "?"), dict(one.labels))
    for name, labels in alerts.items():
        severity = f" with severity {labels['severity']}" if labels.get("severity") else ""
        yield Sighting("warn", f"the site's own alert fires{severity}", name, {"labels": labels})


def is_watched(subject: Subject) -> bool:
    """Whether Prometheus tells of the node."""
    return subject.metrics is not None and subject.metrics.trouble is None


def is_up_for_an_hour(subject: Subject) -> bool:
    """Likewise, and the node has not booted within the past hour: a boot makes gaps and jumps.

    Raises:
        UnreadableError: It does not say when it booted.
    """
    return is_watched(subject) and subject.read(read_age) > _HOUR


def _is_home(subject: Subject) -> bool:
    return subject.metrics is not None and subject.metrics.home


CHECKS = (
    Check(
        id="metrics.prometheus",
        title="whoever watches the nodes all the time answers, and sees them",
        severity="warn",
        action="restart_service",
        owner="node",
        judges="On the node that Prometheus was deployed on: warn when it does not answer within 5 s, watches no node"
        " of this cluster five minutes after its start, or refuses its configuration; unknown when what answers is not"
        " Prometheus. Nothing else of `metrics` is judged then, on any node.",
        remedy="Look at it on the head: `systemctl status prometheus`, `journalctl -u prometheus -n 50`."
        " `aiops cluster deploy --only monitoring` sets it up.",
        source="aiops' own: who watches must be watched",
        judge=_prometheus,
        applies=_is_home,
        series=(RELOADED,),
        units=("prometheus.service",),
        unless=("svc.failed",),
        sightings=2,
        grace=True,
    ),
    Check(
        id="metrics.exporter",
        title="the exporters of the node can be read by Prometheus",
        severity="warn",
        action="restart_service",
        owner="node",
        judges="Warn when Prometheus could not read an exporter of the node once in two minutes, and systemd does not"
        " say that its service is down, which has a check of its own.",
        remedy="The service runs, so look at what is between: `aiops node exec --on NODE -- ss -ltn`, and a firewall"
        " that keeps the head from the exporter's port (9100, of DCGM's exporter 9400).",
        source="Prometheus' own `up`; two minutes as for the alert NodeDown",
        judge=_exporter,
        applies=is_watched,
        series=(TARGETS,),
        units=("prometheus-node-exporter.service", "dcgm-exporter.service"),
        unless=("svc.node_exporter", "svc.failed"),
        sightings=2,
        grace=True,
    ),
    Check(
        id="metrics.silent",
        title="the node could be read all the time",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn when Prometheus could not read the node for 5 minutes or more of the past hour, though it can now,"
        " and it has not booted in between.",
        remedy="It hung, or the network did: read its kernel log of that time, `journalctl -k --since -1h`, and look"
        " whether others were silent at the same time: `aiops health --check metrics.silent`.",
        source="aiops' own: a look every few minutes does not see it",
        judge=_silent,
        applies=is_up_for_an_hour,
        series=(TARGETS, SILENT),
        thresholds=(
            Threshold("minutes", 5.0, "min", "aiops' own: longer than a restart of anything", least=1.0, most=60.0),
        ),
        tags=("network",),
    ),
    Check(
        id="metrics.alert",
        title="no alert rule of the site fires",
        severity="warn",
        action="none",
        owner="node",
        judges="Warn for each alert that fires in Prometheus for the node by a rule that is not aiops' own; one that"
        " names no node is told of the head.",
        remedy="See it in Prometheus on the head: `curl http://localhost:9090/api/v1/alerts`. The rules are the files"
        " in /etc/prometheus/rules beside aiops.yml.",
        source="the site's own rules",
        judge=_alert,
        applies=is_watched,
        series=(ALERTS,),
    ),
)
