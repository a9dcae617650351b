"""Which nodes a cluster's runs have left unfinished, and so are deployed again by `--retry-failed`."""

from collections.abc import Collection, Iterable

from .run import INTERRUPTED, Result, Runs
from .status import RESET, standing

_UNFINISHED = frozenset({"failed", "blocked", INTERRUPTED})
_ALWAYS = frozenset({"connect", "preflight", "verify", "resume", RESET})


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
    results = list(runs.latest_results(cluster))
    for run in runs.newest(cluster=cluster):
        if run.status == INTERRUPTED:
            results += runs.cut_off(run.id)
    return unfinished(results, phases)
