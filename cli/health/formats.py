"""A report for programs: one JSON document, one Nagios line, or Prometheus' text; and its exit code. Pure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiops.cli.cell import clean
from aiops.cli.exit import Exit, worst

from .table import joined

if TYPE_CHECKING:
    from aiops.layers.l1_cluster.health.finding import Finding
    from aiops.layers.l1_cluster.health.round import Report

    from .acting import Acted

_NAGIOS: Mapping[str, tuple[int, str]] = {
    "ok": (0, "OK"),
    "warn": (1, "WARNING"),
    "critical": (2, "CRITICAL"),
    "unknown": (3, "UNKNOWN"),
}
_ORDER = ("ok", "warn", "critical", "unknown")
_TOLD = 3


def exit_code(report: "Report", *, fail_on: str) -> Exit:
    """The exit code of a report: critical is 4, unknown 3, and warn 0 unless it is to fail too."""
    codes = {"critical": Exit.CRITICAL, "unknown": Exit.UNREACHABLE}
    if fail_on == "warn":
        codes["warn"] = Exit.CRITICAL
    return worst(codes.get(verdict, Exit.DONE) for verdict in _told_verdicts(report))


def _told_verdicts(report: "Report") -> set[str]:
    """Of all findings that count: a node that is critical may have something unknown too."""
    return {"ok", *report.verdicts.values(), *(one.verdict for one in report.findings if one.counts)}


def document(cluster: str, report: "Report", acted: "Acted | None" = None) -> dict[str, Any]:
    """JSON-ready values.

    Args:
        cluster: Its name.
        report: What was found.
        acted: What was done about it, where that was asked for.
    """
    told = {} if acted is None else {"done": list(acted.done), "waiting": list(acted.waiting.values())}
    return {
        "cluster": cluster,
        "at": report.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "level": report.level,
        "seconds": round(report.seconds, 3),
        "checks": report.checks,
        "simulated": report.simulated,
        "counts": {verdict: report.counts.get(verdict, 0) for verdict in _ORDER},
        "nodes": [{"node": name, "verdict": report.verdicts[name]} for name in report.nodes],
        "findings": [one.document() for one in report.findings],
        **told,
        "untested": [
            {"node": node, "check": check, "tool": tool}
            for node, tools in report.untested.items()
            for check, tool in tools.items()
        ],
    }


def nagios(report: "Report") -> str:
    """`CRITICAL - 1 critical, 1 unknown, 14 ok: gpu07 gpu.ecc_uncorrected GPU 3: ... | ok=14;;;0;16 ...`."""
    counts, total = report.counts, len(report.nodes)
    words = ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in ("critical", "unknown", "warn", "ok") if counts.get(verdict)
    )
    counting = [(one.node, one) for one in report.findings if one.counts]
    worst_first = sorted((one for _, one in joined(counting)), key=_severity)
    told = "; ".join(f"{one.node} {one.check} {one.words}" for one in worst_first[:_TOLD])
    more = f"; and {len(worst_first) - _TOLD} more" if len(worst_first) > _TOLD else ""
    numbers = " ".join(f"{verdict}={counts.get(verdict, 0)};;;0;{total}" for verdict in _ORDER)
    simulated = " (simulated)" if report.simulated else ""
    text = clean(f"{_NAGIOS[_worst(report)][1]}{simulated} - {words}{': ' if told else ''}{told}{more}")
    return f"{text.replace('|', '/')} | {numbers}"


def nagios_code(report: "Report") -> int:
    """Nagios' own exit code: 0, 1, 2 or 3."""
    return _NAGIOS[_worst(report)][0]


def _worst(report: "Report") -> str:
    seen = _told_verdicts(report)
    return next(verdict for verdict in ("critical", "unknown", "warn", "ok") if verdict in seen)


def _severity(finding: "Finding") -> int:
    return ("critical", "unknown", "warn").index(finding.verdict)


def prometheus(cluster: str, report: "Report") -> str:
    """Prometheus' text format, for node exporter's folder of text files."""
    lines = [
        "# HELP aiops_health_node Whether a node has this verdict.",
        "# TYPE aiops_health_node gauge",
        *(
            f"aiops_health_node{_labels(cluster=cluster, node=name, verdict=one)} {int(report.verdicts[name] == one)}"
            for name in report.nodes
            for one in _ORDER
        ),
        "# HELP aiops_health_finding Something that counts and is not as it should be.",
        "# TYPE aiops_health_finding gauge",
        *dict.fromkeys(
            "aiops_health_finding"
            + _labels(
                cluster=cluster,
                node=one.node,
                check=one.check,
                about=one.about,
                verdict=one.verdict,
                action=one.action,
                owner=one.owner,
            )
            + " 1"
            for one in report.findings
            if one.counts
        ),
        "# HELP aiops_health_seconds How long the examination took.",
        "# TYPE aiops_health_seconds gauge",
        f"aiops_health_seconds{_labels(cluster=cluster, level=report.level)} {report.seconds:.3f}",
        "# HELP aiops_health_time_seconds When it was, since 1970.",
        "# TYPE aiops_health_time_seconds gauge",
        f"aiops_health_time_seconds{_labels(cluster=cluster)} {report.at.timestamp():.0f}",
    ]
    return "\n".join(lines) + "\n"


def _labels(**labels: str) -> str:
    escaped = {name: clean(value).replace("\\", "\\\\").replace('"', '\\"') for name, value in labels.items()}
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
