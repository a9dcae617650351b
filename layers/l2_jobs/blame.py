"""Blame: from all that was told of an attempt to one fault. Pure. The first cause wins over its echoes.

In this order: what the kernel of one of its nodes says of its hardware; a node that was lost; what the logs say, where
that is a cause and no echo; a node that health has found critical; what was seen of the attempt itself (a hang, a loss,
an exit); an echo that the logs tell.
"""

import signal
from collections.abc import Iterable, Mapping
from dataclasses import replace

from .attempt import Attempt
from .fault.fault import Evidence, Fault, usual_fault
from .fault.fault_class import FAULT_CLASSES, HEALTHY, Causer, FaultClass
from .node import Place
from .report import Ended, Exited, NotStarted, Signed, ended_with
from .track import Track
from .watch import Watch

ECHOES = frozenset({"nccl_timeout", "nccl_network", "rendezvous_failure", "hang", "process_exit", "ascend_npu"})
"""What survivors tell when something else has gone wrong first."""

AMBIGUOUS = ECHOES - {"process_exit"}
"""Faults that lie between nodes, so that none of them is told from the others by what was seen. That a process has
ended, and nothing says why, is most often the program's."""

KILLED = ECHOES | {"host_oom"}
"""What is told of a rank that somebody has killed, by the others and by whoever has started it: torchrun names memory
as the usual reason. Where the kernel says whether it was, that is known better."""

TOGETHER = 1.0
"""Seconds after the first end within which that of a killed rank is its cause: the others tell of the connections that
they lose, and words come from several nodes."""

BEFORE = 60.0
"""Seconds before the first thing that was told in which a kernel's line may be its cause."""

AFTER = 15.0
"""Seconds after it in which a node that falls silent may be its cause: the others notice a dead peer before we do."""

_CLASSES: Mapping[str, FaultClass] = {one.name: one for one in FAULT_CLASSES}
_SCHEDULER: Mapping[str, str] = {
    "PREEMPTED": "preempted",
    "TIMEOUT": "preempted",
    "DEADLINE": "preempted",
    "REVOKED": "preempted",
    "CANCELLED": "preempted",
    "OUT_OF_MEMORY": "host_oom",
    "NODE_FAIL": "node_lost",
    "BOOT_FAIL": "slurm_infra",
    "LAUNCH_FAILED": "slurm_infra",
    "RECONFIG_FAIL": "slurm_infra",
}


def blame(  # noqa: PLR0911 - one return for each cause, in order
    attempt: Attempt,
    watch: Watch,
    places: Mapping[str, Place],
    lost: Mapping[str, str],
    now: float,
    *,
    seen: Fault | None = None,
    diagnosis: Fault | None = None,
    asked_at: float | None = None,
) -> Fault:
    """The fault of an attempt.

    Args:
        attempt: The attempt.
        watch: What was told.
        places: The nodes, for what health says of them.
        lost: Nodes that were lost, with how that is known.
        now: The time.
        seen: What it was found by while it ran.
        diagnosis: What its logs say; None where they say nothing, or were not read yet.
        asked_at: When we asked it to end; what it tells afterwards is our own doing.
    """
    track = watch.track(attempt.key)
    first = _first(track, seen, asked_at, now)
    diagnosis = None if diagnosis is None or _says_nothing(diagnosis, track, asked_at) else diagnosis
    killed = _killed(track, first)
    if killed is not None:
        if diagnosis is not None and diagnosis.kind in (ECHOES if killed.oom is None else KILLED):
            diagnosis = None
        if seen is not None and seen.kind in ECHOES - {"hang"}:
            seen = None
    hardware = hardware_fault(attempt, watch, first - BEFORE, now)
    if hardware is not None:
        return hardware
    gone = {
        node: words
        for node, words in lost.items()
        if (watch.node(node).silent or first) <= first + AFTER or (seen is not None and seen.kind == "node_lost")
    }
    if gone:
        return node_lost(gone, now)
    if diagnosis is not None and diagnosis.kind not in ECHOES and (seen is None or seen.kind in ECHOES):
        return replace(diagnosis, at=first)
    own = seen if seen is not None and seen.kind != "process_exit" else None
    told = own or _told(track, killed, asked_at, now)
    ambiguous = told is None or told.kind in ECHOES
    critical = sorted(n for n in attempt.allocation.nodes if n in places and places[n].verdict == "critical")
    if ambiguous and len(critical) == 1:
        evidence = [
            Evidence("health", f"health finds {critical[0]} critical", critical[0], at=places[critical[0]].verdict_at)
        ]
        kind = (told or diagnosis or usual_fault("process_exit", now)).kind
        rest = told.evidence if told is not None else ()
        return Fault(
            kind, "node", retryable=True, bad_node=True, nodes=(critical[0],), evidence=(*evidence, *rest), at=now
        )
    if told is not None and told.kind != "process_exit":
        return told
    if diagnosis is not None:
        return replace(diagnosis, at=first)
    return (
        told or seen or usual_fault("process_exit", now, evidence=[Evidence("agent", "it ended, and nothing says why")])
    )


def _says_nothing(diagnosis: Fault, track: Track, asked_at: float | None) -> bool:
    """Whether logs show no fault, or just torchrun's report of an end that was seen, where it had time for one."""
    if diagnosis.kind == HEALTHY or not diagnosis.echo:
        return diagnosis.kind == HEALTHY
    end = _first_exit(track, float("inf") if asked_at is None else asked_at)
    return end is not None and end.status is not None


def node_lost(nodes: Mapping[str, str], now: float) -> Fault:
    """Nodes that are gone: no reason to take them out, for it may be a cable, and a start needs a verdict."""
    evidence = tuple(Evidence("agent", words, node, at=now) for node, words in sorted(nodes.items()))
    return Fault("node_lost", "node", True, False, tuple(sorted(nodes)), evidence, now)


def hardware_fault(attempt: Attempt, watch: Watch, since: float, now: float) -> Fault | None:
    """The first line of a kernel of the attempt's nodes, or an immediate one of its logs, that names its cause."""
    lines: Iterable[Signed] = (one for node in attempt.allocation.nodes for one in watch.kernel.get(node, ()))
    signs = sorted((one for one in lines if since <= one.at <= now), key=lambda one: one.at)
    for one in signs:
        usual = _CLASSES.get(one.kind)
        if usual is not None and one.immediate and usual.causer in {"node", "network", "storage"}:
            return usual_fault(one.kind, one.at, nodes=[one.node], evidence=[_evidence(one)])
    return None


def immediate_fault(attempt: Attempt, watch: Watch, since: float, now: float) -> Fault | None:
    """A fault though all processes still run, by a line of a kernel or of a log."""
    found = hardware_fault(attempt, watch, since, now)
    if found is not None:
        return found
    track = watch.track(attempt.key)
    leaving = any(one.status == 0 for group in track.groups.values() for one in group.exits)
    for one in track.signs:
        if leaving and one.kind in ECHOES:
            continue  # those that are still there tell of connections to one that has done its work
        if one.immediate and one.kind in _CLASSES and one.kind != HEALTHY:
            fault = usual_fault(one.kind, one.at, nodes=[one.node], evidence=[_evidence(one)])
            return fault if fault.bad_node else replace(fault, nodes=())
    return None


def _evidence(one: Signed) -> Evidence:
    return Evidence(one.source, one.text, one.node, one.rank, at=one.at)


def _first(track: Track, seen: Fault | None, asked_at: float | None, now: float) -> float:
    """When the first thing was told that was no doing of ours."""
    times = [seen.at] if seen is not None else []
    for group in track.groups.values():
        times += [one.at for one in group.exits if one.status != 0]
        if group.ended is not None and group.ended.end != "done":
            times.append(group.ended.at)
    return min((at for at in times if asked_at is None or at <= asked_at), default=now)


def _told(track: Track, killed: Exited | None, asked_at: float | None, now: float) -> Fault | None:
    """What the attempt itself, or Slurm, has told of its end."""
    refused = [group.refused for group in track.groups.values() if group.refused is not None]
    if refused:
        return _refused(min(refused, key=lambda one: (one.causer != "user", one.at)))
    if track.scheduled is not None and track.scheduled.state in _SCHEDULER:
        text = f"Slurm says {track.scheduled.state} {track.scheduled.reason}".strip()
        return usual_fault(
            _SCHEDULER[track.scheduled.state], track.scheduled.at, evidence=[Evidence("scheduler", text)]
        )
    before = float("inf") if asked_at is None else asked_at
    one = killed or _first_exit(track, before)
    if one is not None:
        text = f"rank {one.rank} on {one.node} {ended_with(one.status)}"
        if one.oom:
            text += ": the kernel did it, for want of memory"
        evidence = [Evidence("kernel" if one.oom else "exit", text, one.node, one.rank, at=one.at)]
        return usual_fault("host_oom" if one.oom else "process_exit", one.at, evidence=evidence)
    ends = [group.ended for group in track.groups.values() if group.ended is not None and group.ended.at <= before]
    ends = [one for one in ends if one.end != "done"]
    return _ended(min(ends, key=lambda one: (_ORDER.index(one.end), one.at)), now) if ends else None


def _first_exit(track: Track, before: float) -> Exited | None:
    """The first process that has ended badly, up to then."""
    exits = [one for group in track.groups.values() for one in group.exits if one.status != 0 and one.at <= before]
    return min(exits, key=lambda one: (one.at, one.rank), default=None)


def _killed(track: Track, first: float) -> Exited | None:
    """The rank by whose death the attempt ended, where one was killed: no process does that to itself.

    A launcher that ends a rank because we ask it to tells of no exit, so whoever asked first does not matter.
    """
    exits = [one for group in track.groups.values() for one in group.exits if one.at <= first + TOGETHER]
    killed = [one for one in exits if one.status == -signal.SIGKILL]
    return min(killed, key=lambda one: (one.at, one.rank), default=None)


_ORDER = ("superseded", "failed", "time_limit", "lost", "lease", "stopped", "done")


def _refused(one: NotStarted) -> Fault:
    evidence = (Evidence("agent", one.reason, one.node, at=one.at),)
    if one.causer == "user":
        return usual_fault("user_config", one.at, evidence=evidence)
    if one.causer == "storage":
        return usual_fault("storage_io", one.at, nodes=[one.node], evidence=evidence)
    if one.causer == "scheduler":  # a newer attempt was there, or this one was ended before: no node is to blame
        return usual_fault("slurm_infra", one.at, evidence=evidence)
    causer: Causer = "network" if one.causer == "network" else "node"
    return Fault("node_unreachable", causer, True, False, (one.node,), evidence, one.at)


def _ended(one: Ended, now: float) -> Fault:
    reason = f": {one.reason}" if one.reason else ""
    words = {
        "superseded": "something newer has taken its place",
        "failed": f"its processes {ended_with(one.status)}",
        "time_limit": "its time was over",
        "lost": "its unit is gone without a word",
        "lease": "it heard neither the head nor a peer, and ended its processes",
        "stopped": "somebody else stopped it",
        "done": "",
    }
    source = "exit" if one.end == "failed" else "agent"
    evidence = (Evidence(source, f"{words[one.end]}{reason}", one.node, at=one.at),)  # type: ignore[arg-type]
    kinds = {"time_limit": "preempted", "stopped": "preempted", "superseded": "slurm_infra"}
    if one.end == "lease":
        return Fault("node_lost", "network", True, False, (one.node,), evidence, now)
    return usual_fault(kinds.get(one.end, "process_exit"), one.at, evidence=evidence)
