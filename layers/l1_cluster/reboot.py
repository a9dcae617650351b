"""What is decided about reboots of nodes in service: a few at a time, each only once nothing runs on it any more.

Pure: `clearance` looks, has `advance` decide, and does it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiops.layers.l0_nodes.nodeset import fold

from .draining import Hold, Standing

SHARE = 10
"""Per cent of the nodes that may be given work which are out of service for a reboot at the same time, by default."""

UNKNOWN_SECONDS = 60.0
"""How long it may be unknown what runs on a node before it is refused: a controller takes less to start again."""

RETURN_SECONDS = 60.0
"""How long a node that was rebooted has to report to whoever runs work on it."""

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What a deploy may ask of those who work on the cluster.

    Attributes:
        at_once: How many nodes may be out of service at the same time.
        drain_seconds: How long what runs on a node has to end.
    """

    at_once: int
    drain_seconds: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that is to be rebooted.

    Attributes:
        since: When it was set draining, or first seen to be; None before.
        unknown: Since when it has been unknown where it stands.
        held: Whether it is out of service because of us.
        last: Whether it is drained after all others: it will not be back soon.
    """

    node: str
    since: float | None = None
    unknown: float | None = None
    held: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class Rebooted:
    """A node that was rebooted and is as wanted, and that is not yet back in service.

    Attributes:
        session: Its daemon's before the reboot.
    """

    node: str
    since: float
    session: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """All nodes on their way, and those that stay out of service because of us meanwhile."""

    candidates: tuple[Candidate, ...] = ()
    returning: tuple[Rebooted, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done now.

    Attributes:
        drain: To be set draining.
        go: Nothing runs on them: to be worked on and rebooted.
        refused: Why a node is given up, by node.
        resume: To be given work again.
        stay: Out of service because of us, and not soon back: not drained in time, or rebooted and not heard of since.
    """

    drain: tuple[str, ...] = ()
    go: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    resume: tuple[str, ...] = ()
    stay: tuple[str, ...] = ()


def at_once(known: int, share: int = SHARE) -> int:
    """How many of `known` nodes may be out of service at the same time: `share` per cent, at least one."""
    return max(1, known * share // 100)


def advance(queue: Queue, standings: Mapping[str, Standing], limits: Limits, now: float) -> tuple[Queue, Decision]:
    """What to do next, and the queue once that is done. Pure.

    Args:
        queue: Who is on the way.
        standings: The newest; a node that is not in it is given work by nobody.
        limits: What may be asked.
        now: Seconds that never run backwards.
    """
    resume, late, returning = _returns(queue.returning, standings, now)
    stay = list(late)
    go: list[str] = []
    refused: dict[str, str] = {}
    staying: list[Candidate] = []
    for candidate in queue.candidates:
        seen = _seen(candidate, standings.get(candidate.node), now)
        verdict = _verdict(seen, standings.get(candidate.node), limits, now)
        if verdict is None:
            staying.append(seen)
        elif verdict:
            refused[candidate.node] = verdict
            stay += [seen.node] if seen.held and standings[seen.node].state != "in_service" else []
        else:
            go.append(candidate.node)
    held = sum(Hold.of(standings.get(name)) is not None for name in go)
    awaited = len(returning) + held + sum(one.held for one in staying)
    places = limits.at_once - awaited - len(queue.kept) - len(stay)
    if places <= 0 and not awaited:  # and nobody who is out comes back: waiting would have no end
        crowd = _crowd([*queue.kept, *stay], limits.at_once)
        full = _next(staying, standings, len(staying))
        refused |= dict.fromkeys(full, crowd)
        staying = [one for one in staying if one.node not in full]
    drain = _next(staying, standings, places)
    staying = [replace(one, since=now, held=True) if one.node in drain else one for one in staying]
    decision = Decision(drain, tuple(go), refused, resume, tuple(stay))
    return replace(queue, candidates=tuple(staying), returning=returning), decision


def _next(candidates: Sequence[Candidate], standings: Mapping[str, Standing], places: int) -> tuple[str, ...]:
    """The nodes to be drained next: those with the least work first, so that none waits behind a long job."""
    ready = []
    for one in candidates:
        standing = standings.get(one.node)
        if one.since is None and standing is not None and standing.state == "in_service":
            ready.append((one.last, len(standing.work), one.node))
    ready.sort(key=lambda one: one[:2])
    return tuple(node for *_, node in ready[: max(0, places)])


def _returns(
    returning: Sequence[Rebooted], standings: Mapping[str, Standing], now: float
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Rebooted, ...]]:
    """Who is given back, who is late, and who is still awaited; one that others gave back is none of these."""
    resume, late, waiting = [], [], []
    for one in returning:
        standing = standings.get(one.node)
        if standing is None or (standing.state != "unknown" and Hold.of(standing) is None):
            continue
        if standing.session not in {None, one.session}:
            resume.append(one.node)
        elif now - one.since >= RETURN_SECONDS:
            late.append(one.node)
        else:
            waiting.append(one)
    return tuple(resume), tuple(late), tuple(waiting)


def _seen(candidate: Candidate, standing: Standing | None, now: float) -> Candidate:
    """The candidate, with what its newest standing says of how long it waits."""
    if standing is not None and standing.state == "unknown":
        return candidate if candidate.unknown is not None else replace(candidate, unknown=now)
    candidate = replace(candidate, unknown=None)
    if standing is not None and standing.state == "draining":
        since = now if candidate.since is None else candidate.since
        return replace(candidate, since=since, held=Hold.of(standing) is not None)
    return candidate


def _verdict(candidate: Candidate, standing: Standing | None, limits: Limits, now: float) -> str | None:
    """Nothing: it goes; None: it stays; else why it is refused."""
    if standing is None or standing.state in {"down", "drained"}:
        return ""
    if standing.state == "unknown":
        lasted = now - (now if candidate.unknown is None else candidate.unknown)
        told = f"it needs a reboot, and nobody can say what runs on it: {standing.reason}"
        return None if lasted < UNKNOWN_SECONDS else told
    if candidate.since is None or (standing.state == "draining" and now - candidate.since < limits.drain_seconds):
        return None
    if standing.state == "in_service":
        return "it was given work again by somebody else while it drained; it was not rebooted"
    work = running(standing.work) or "what ran on it has not ended yet"
    return f"it was not drained in {spell(limits.drain_seconds)}: {work}; it stays draining and was not rebooted"


def _crowd(out: Sequence[str], limit: int) -> str:
    """Why no more is drained."""
    stay = "stays" if len(out) == 1 else "stay"
    allowed = "one node" if limit == 1 else f"{limit} nodes"
    return (
        f"it needs a reboot and was left as it is, in service: {fold(out)} {stay} out of service already, "
        f"and no more than {allowed} may be at the same time"
    )


def running(words: Sequence[str]) -> str:
    """What runs on a node, in a few words; empty where nothing is named: `it runs job 42 of alice and 3 more`."""
    if not words:
        return ""
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return f"it runs {', '.join(words[:_NAMED])}{more}"


def spell(seconds: float) -> str:
    """`60 min`, `42 s`."""
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"  # noqa: PLR2004 - seconds of a minute
