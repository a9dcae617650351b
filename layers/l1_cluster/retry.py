"""Which nodes a cluster's runs have left unfinished, and so are deployed again by `--retry-failed`."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from aiops.layers.core.event import Event

from .run import INTERRUPTED, Result, Runs
from .status import RESET, standing

_UNFINISHED = frozenset({"failed", "blocked", INTERRUPTED})
_ALWAYS = frozenset({"connect", "preflight", "verify", "resume", RESET})
VERIFY = "verify"


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
    latest = {(one.phase, one.node): one for one in runs.latest_results(cluster)}
    results, waiting = list(latest.values()), set[str]()
    begun: dict[str, list[Event]] = {}
    for event in runs.begun(run.id for run in runs.newest(cluster=cluster) if run.status == INTERRUPTED):
        begun.setdefault(event.run, []).append(event)
    for events in begun.values():
        results += cut_off(events, latest)
        waiting |= not_come_to(events, latest, phases)
    return unfinished(results, phases) | waiting


Latest = Mapping[tuple[str, str], Result]
"""The last result of each phase and node."""


def cut_off(events: Iterable[Event], latest: Latest) -> list[Result]:
    """What a run that was cut off had begun on a node and nobody has ended since, as `interrupted`. Pure.

    Args:
        events: What it had planned and begun, oldest first.
        latest: The last results in any run, this one too.
    """
    begun = {
        (event.data["phase"], node): Result(
            event.run, event.data["phase"], node, INTERRUPTED, seconds=None, reason=None, at=event.at
        )
        for event in events
        if event.kind == "phase_started"
        for node in event.data["nodes"]
    }
    return [one for key, one in begun.items() if key not in latest or latest[key].at < one.at]


def not_come_to(events: Sequence[Event], latest: Latest, phases: Collection[str]) -> frozenset[str]:
    """The nodes that a run which was cut off had planned to change, where that is not done and verified. Pure.

    A planned phase is done once that very phase has a result on the node. What the run itself has done counts once
    the node was verified; what a later run has done, at once.

    Args:
        events: As for `cut_off`.
        latest: As for `cut_off`.
        phases: Those that there are.
    """
    planned = next((event for event in events if event.kind == "plan_made"), None)
    if planned is None or not any(one.kind == "phase_started" and one.seq > planned.seq for one in events):
        return frozenset()  # it was cut off while it asked
    since = {key: one for key, one in latest.items() if one.at > planned.at}
    waiting = set()
    for phase, nodes in planned.data.get("planned", {}).items():
        for node in nodes if phase in phases else ():
            one = since.get((phase, node))
            done = one is not None and (one.run != planned.run or (VERIFY, node) in since)
            if not done and (RESET, node) not in since:
                waiting.add(node)
    return frozenset(waiting)
