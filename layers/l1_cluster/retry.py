"""Which nodes a cluster's runs have left unfinished, and so are deployed again by `--retry-failed`."""

from collections.abc import Collection, Iterable
from datetime import datetime

from .run import INTERRUPTED, Result, Runs
from .status import RESET, standing

_UNFINISHED = frozenset({"failed", "blocked", INTERRUPTED})
_ALWAYS = frozenset({"connect", "preflight", "verify", "resume", RESET})

_ASKED = frozenset({"connect", "preflight"})
"""Nothing is done to a node in these."""


def unfinished(results: Iterable[Result], phases: Collection[str]) -> frozenset[str]:
    """The nodes whose last word in some phase is not a good one. Pure.

    Args:
        results: Of any runs; for each phase and node the last one counts.
        phases: Those that there are; what a phase did that is no more says nothing.
    """
    known = _ALWAYS.union(phases)
    latest: dict[tuple[str, str], Result] = {}
    for one in sorted(results, key=lambda one: (one.at, one.run)):
        if one.phase in known:
            latest[one.phase, one.node] = one
    return frozenset(one.node for one in standing(latest.values()) if one.outcome in _UNFINISHED and one.phase != RESET)


def failed_nodes(runs: Runs, cluster: str, phases: Collection[str]) -> frozenset[str]:
    """The nodes of `cluster` that its runs have left failed, blocked or interrupted."""
    latest = runs.latest_results(cluster)
    results, waiting = list(latest), set[str]()
    for run in runs.newest(cluster=cluster):
        if run.status == INTERRUPTED:
            results += runs.cut_off(run.id)
            events = runs.events(run.id)
            planned = next((event for event in events if event.kind == "plan_made"), None)
            if planned is not None and any(one.kind == "phase_started" and one.seq > planned.seq for one in events):
                waiting |= not_come_to(run.id, planned.at, planned.data["nodes"], latest)
    return unfinished(results, phases) | waiting


def not_come_to(run: str, at: datetime, nodes: Iterable[str], latest: Iterable[Result]) -> frozenset[str]:
    """Those of the nodes that a run which was cut off had planned to change, and that nothing was done to since. Pure.

    Args:
        run: The run.
        at: When it had planned.
        nodes: What it had planned to change.
        latest: The last results of all phases and nodes.
    """
    done = {
        one.node
        for one in latest
        if (one.run == run and one.phase == "verify") or (one.run != run and one.at > at and one.phase not in _ASKED)
    }
    return frozenset(nodes) - done
