"""A report for people: equal findings once, with all their nodes, the worst first."""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aiops.cli.cell import clean
from aiops.cli.duration import ago, spell
from aiops.cli.screen import Screen

if TYPE_CHECKING:
    from aiops.layers.l1_cluster.health.finding import Finding
    from aiops.layers.l1_cluster.health.round import Report

_ORDER = ("critical", "warn", "unknown")
_STANDINGS = ("counts", "recovering", "once", "starting", "observed")
_ACTIONS = {
    "none": "",
    "restart_app": "restart the job",
    "reset_device": "drain the node and reset the device",
    "restart_service": "restart the service",
    "reboot": "drain the node and reboot it",
    "service": "drain the node and have it serviced",
}
_OWNERS = {"node": "", "fabric": "the network's", "user": "a job's", "controller": "this controller's"}
_ASIDES = {
    "counts": "",
    "once": "seen once; it counts when it is seen again",
    "starting": "the node has only just booted; it counts from 5 minutes on",
    "observed": "only observed",
    "recovering": "no longer seen; over 10 minutes after it was last",
}


def show(screen: Screen, report: "Report", out: Collection[str] = (), heads: Collection[str] = ()) -> None:
    """Tell a report: a table on a terminal, a row per finding and node elsewhere; `out` and `heads` as for `hints`."""
    if not screen.terminal:
        screen.table(
            (),
            [
                (one.node, one.verdict, one.check, one.about or None, one.message, one.action, one.owner, one.standing)
                for one in report.findings
            ],
        )
        screen.note(summary(report))
        for line in untested(report):
            screen.note(line)
        return
    screen.line(headline(report))
    rows = folded(report.findings)
    if rows:
        width = max(5, *(len(nodes) for nodes, _ in rows))
        screen.line("")
        screen.line(f"  {'NODES':<{width}}  {'VERDICT':<10} FINDING")
        for nodes, finding in rows:
            lead = f"  {nodes:<{width}}  {_verdict(finding):<10} "
            screen.line(screen.wrapped(clean(lead + _told(finding)), len(lead)))
            for aside in _asides(finding, screen):
                screen.line(screen.wrapped(" " * len(lead) + aside, len(lead)))
    screen.line("")
    screen.line(summary(report))
    for line in untested(report):
        screen.line(screen.wrapped(clean(line), 2))
    for hint in hints(report, out, heads):
        screen.hint(hint)


def headline(report: "Report") -> str:
    """`16 nodes · 43 checks · standard                 3.1s`."""
    count = len(report.nodes)
    words = [f"{count} node{'s' * (count != 1)}", f"{report.checks} check{'s' * (report.checks != 1)}", report.level]
    words += ["simulated"] if report.simulated else []
    return f"{' · '.join(words):<66} {spell(report.seconds):>6}"


def summary(report: "Report") -> str:
    """`12 ok, 2 warn, 1 critical, 1 unknown`."""
    counts = report.counts
    told = [f"{counts[verdict]} {verdict}" for verdict in ("ok", "warn", "critical", "unknown") if counts.get(verdict)]
    return ", ".join(told)


def folded(findings: "Sequence[Finding]") -> "list[tuple[str, Finding]]":
    """Equal findings with the nodes that have them, what counts and is worst first."""
    from aiops.layers.l0_nodes.nodeset import fold

    groups: dict[tuple[str, ...], list[Finding]] = {}
    for one in findings:
        groups.setdefault((one.standing, one.verdict, one.check, one.words, one.action, one.owner), []).append(one)
    rows = sorted(
        groups.values(), key=lambda several: (_STANDINGS.index(several[0].standing), _ORDER.index(several[0].verdict))
    )
    return joined([(fold({one.node for one in several}), several[0]) for several in rows])


def joined(rows: "Sequence[tuple[str, Finding]]") -> "list[tuple[str, Finding]]":
    """The rows with those as one that tell the same of several things, or why several checks could not be made. Pure.

    A tool that hangs is one trouble, though a score of checks rest on it, and so are eight devices of a node that all
    lack the same.
    """
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for nodes, one in rows:
        check = "" if one.verdict == "unknown" else one.check
        alike.setdefault((nodes, one.standing, one.verdict, check, one.message, one.action), []).append(one)
    return [(key[0], _one_of(several)) for key, several in alike.items()]


def _one_of(several: "Sequence[Finding]") -> "Finding":
    """One finding in the place of several that tell the same."""
    first = several[0]
    if len(several) == 1:
        return first
    checks, abouts = {one.check for one in several}, {one.about for one in several if one.about}
    if len(checks) > 1:
        return replace(first, check=f"{first.check} and {len(checks) - 1} more", about="")
    return replace(first, about=f"{first.about} and {len(abouts) - 1} more") if len(abouts) > 1 else first


def untested(report: "Report") -> list[str]:
    """`not tested, for the tool is not there: dcgmi, fio on gpu[01-04]`; a line for nodes that lack the same."""
    from aiops.layers.l0_nodes.nodeset import fold

    groups: dict[tuple[str, ...], list[str]] = {}
    for node, tools in report.untested.items():
        groups.setdefault(tuple(sorted(set(tools.values()))), []).append(node)
    return [
        f"not tested, for the tool is not there: {', '.join(tools)} on {fold(nodes)}" for tools, nodes in groups.items()
    ]


def hints(report: "Report", out: Collection[str] = (), heads: Collection[str] = ()) -> list[str]:
    """What to type next; `out`: the nodes that are out of service already, `heads`: those that are given no work."""
    from aiops.layers.l0_nodes.nodeset import fold

    counting = [one for one in report.findings if one.counts]
    critical = [one for one in counting if one.verdict == "critical" and one.owner == "node"]
    found = []
    serving = [one for one in critical if one.node not in out and one.node not in heads]
    if serving:
        nodes = fold({one.node for one in serving})
        command = f"aiops node drain {shlex.quote(nodes)} --reason {serving[0].check}"
        found.append(f"take {nodes} out of service with `{command}`")
    if drained := {one.node for one in critical} & set(out):
        found.append(f"repair {fold(drained)}: `aiops node repair {shlex.quote(fold(drained))}`")
    first = next((one for one in sorted(counting, key=_severity) if one.check != "node.reachable"), None)
    return [*found, f"why, and what to do: `aiops health explain {first.check}`"] if first is not None else found


def _severity(finding: "Finding") -> int:
    return _ORDER.index(finding.verdict)


def _verdict(finding: "Finding") -> str:
    return finding.verdict if finding.counts else f"({finding.verdict})"


def _told(finding: "Finding") -> str:
    return finding.words if finding.check == "node.reachable" else f"{finding.check}: {finding.words}"


def _asides(finding: "Finding", screen: Screen) -> list[str]:
    action = _ACTIONS[finding.action] if finding.counts and finding.verdict != "unknown" else ""
    if action and finding.owner == "fabric":
        action = "nothing is to be done on the node"
    parts = [action, _OWNERS[finding.owner] and f"{_OWNERS[finding.owner]} to mend", _ASIDES[finding.standing]]
    if screen.verbose and finding.since is not None:
        parts.append(f"first seen {ago(finding.since, screen.clock.now())}")
    return [part for part in parts if part]
