"""What `aiops train --dry-run` says: what would run on each node, and why the other nodes are not used. Pure."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiops.layers.l0_nodes.nodeset import fold

from .allocation import Slot
from .attempt import Attempt
from .job import Job
from .node import Place
from .quantity import memory, span

_SECRET = re.compile(r"(?:token|secret|passw|passphrase|credential|api_?key|access_?key|private_?key)", re.IGNORECASE)
WITHHELD = "(withheld)"


@dataclass(frozen=True, slots=True)
class RankGroup:
    """What would run on one node.

    Attributes:
        node_rank: Its number among the attempt's nodes.
        ranks: The first and the last of its processes, counted over the attempt.
        devices: Their indices; empty for none.
        share: Of the one device; None where whole ones are taken.
        environment: What its processes would see, values that may be secrets withheld.
    """

    node: str
    node_rank: int
    ranks: tuple[int, int]
    devices: tuple[int, ...]
    share: float | None
    vendor: str | None
    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What would run.

    Attributes:
        unit: The systemd unit of each rank group.
        groups: By node rank; empty where nothing can be placed now.
        unused: Why each other node is not used, by node.
    """

    job: Job
    attempt: Attempt | None
    unit: str | None
    groups: tuple[RankGroup, ...]
    unused: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        job, attempt = self.job, self.attempt
        return {
            "job": job.id,
            "owner": {"user": job.owner.user, "uid": job.owner.uid},
            "attempt": attempt.key.number if attempt else None,
            "engine": attempt.engine if attempt else job.engine,
            "unit": self.unit,
            "folder": job.folder,
            "image": job.image,
            "environment": job.stack,
            "resume": {"path": attempt.resume, "step": attempt.step} if attempt and attempt.resume else None,
            "limits": {
                "time": job.limits.time,
                "memory": job.limits.memory,
                "processors": job.limits.processors,
                "stop": job.limits.stop,
            },
            "groups": [
                {
                    "node": group.node,
                    "node_rank": group.node_rank,
                    "ranks": list(group.ranks),
                    "devices": list(group.devices),
                    "share": group.share,
                    "vendor": group.vendor,
                    "argv": list(group.argv),
                    "environment": dict(group.environment),
                }
                for group in self.groups
            ],
            "unused": dict(self.unused),
        }

    def lines(self) -> tuple[str, ...]:
        """All of it, for people."""
        return tuple(_lines(self))


def explain_launch(
    job: Job,
    attempt: Attempt | None,
    places: Sequence[Place],
    specs: Mapping[str, Mapping[str, Any]],
    avoid: Mapping[str, str] | None = None,
) -> LaunchPlan:
    """What an attempt would be.

    Args:
        job: The job.
        attempt: As placement would have it now; None where there is no room for it now.
        places: All nodes.
        specs: What each launcher of the attempt would be given (docs/decisions/jobs.md), by node. What Slurm's srun
            runs has none.
        avoid: Nodes that the job is kept away from, with the reason.
    """
    known = {place.name: place for place in places}
    slots = attempt.allocation.slots if attempt else ()
    vendors = {slot.node: known[slot.node].vendor if slot.node in known else None for slot in slots}
    groups = tuple(_group(job, rank, slot, vendors, specs) for rank, slot in enumerate(slots))
    chosen = {slot.node for slot in slots}
    first = known.get(slots[0].node) if slots else None
    otherwise = "it is not needed" if len(chosen) >= job.nodes.most else "there is no room on it now"
    unused = {
        place.name: next(_reasons(job, place, first, avoid or {}), otherwise)
        for place in places
        if place.name not in chosen
    }
    return LaunchPlan(job, attempt, attempt.key.unit if attempt else None, groups, unused)


def _group(
    job: Job, rank: int, slot: Slot, vendors: Mapping[str, str | None], specs: Mapping[str, Mapping[str, Any]]
) -> RankGroup:
    spec = specs.get(slot.node, {})
    processes = spec.get("processes", job.processes)
    first = spec.get("first_rank", rank * processes)
    environment = spec.get("environment", job.environment)
    return RankGroup(
        node=slot.node,
        node_rank=rank,
        ranks=(first, first + processes - 1),
        devices=slot.devices,
        share=slot.share if job.devices.share is not None else None,
        vendor=vendors[slot.node] if slot.devices else None,
        argv=tuple(spec.get("argv", job.command)),
        environment={name: WITHHELD if _SECRET.search(name) else str(environment[name]) for name in environment},
    )


def _reasons(job: Job, place: Place, first: Place | None, avoid: Mapping[str, str]) -> Iterator[str]:
    """Why a node cannot be used: first what never changes, then what does."""
    wanted = job.devices
    if job.nodes.chosen and place.name not in job.nodes.chosen:
        yield "it is not named in `nodes.only`"
    if job.engine not in (None, place.engine) or (first is not None and place.engine != first.engine):
        yield f"it belongs to the engine {place.engine}"
    if wanted.vendor not in (None, place.vendor):
        yield f"it has no accelerators of {wanted.vendor}"
    if first is not None and wanted.count and place.vendor != first.vendor:
        yield f"its accelerators are of another maker than those of {first.name}"
    if len(place.devices) < wanted.count:
        are = "is" if len(place.devices) == 1 else "are"
        yield f"{len(place.devices)} of its accelerators {are} well, and the job takes {wanted.count}"
    if wanted.share is not None and not place.shares:
        yield "its accelerators may not be shared"
    if place.name in avoid:
        yield f"the job is kept away from it: {avoid[place.name]}"
    if place.closed:
        yield place.closed
    if place.verdict in ("critical", "unknown"):
        yield f"its health is {place.verdict}"


def _lines(plan: LaunchPlan) -> Iterator[str]:
    yield from _head(plan)
    common = _common(plan.groups)
    for number, (name, value) in enumerate(common.items()):
        yield _row("" if number else "all see", f"{name}={shlex.quote(value)}")
    for group in plan.groups:
        yield ""
        yield _row(group.node, _seat(group))
        yield _row("", shlex.join(group.argv))
        for name, value in group.environment.items():
            if name not in common:
                yield _row("", f"{name}={shlex.quote(value)}")
    reasons: dict[str, list[str]] = {}
    for node, reason in plan.unused.items():
        reasons.setdefault(reason, []).append(node)
    for number, (reason, names) in enumerate(reasons.items()):
        if not number:
            yield ""
        yield _row("" if number else "not used", f"{fold(names)}: {reason}")


def _head(plan: LaunchPlan) -> Iterator[str]:
    job, attempt = plan.job, plan.attempt
    if attempt is None:
        yield f"{job.id} · nothing can be placed now: it would wait"
    else:
        count = len(plan.groups)
        words = (job.id, f"attempt {attempt.key.number}", f"{count} node{'s' * (count != 1)}{_each(plan)}")
        yield " · ".join((*words, attempt.engine))
    yield ""
    yield _row("account", f"{job.owner.user} ({job.owner.uid})")
    if plan.unit:
        yield _row("unit", f"{plan.unit}{_limits(job)}")
    yield _row("folder", job.folder)
    if job.image:
        yield _row("image", job.image)
    if job.stack:
        yield _row("environment", job.stack)
    if attempt is not None and attempt.resume:
        step = f"at step {attempt.step:,} from " if attempt.step is not None else ""
        yield _row("goes on", f"{step}{attempt.resume}")
    elif attempt is not None:
        yield _row("begins", "at the beginning: it has no checkpoint")


def _row(name: str, words: str) -> str:
    return f"  {name:<10}  {words}".rstrip()


def _each(plan: LaunchPlan) -> str:
    devices, first = plan.job.devices, plan.groups[0]
    if devices.share is not None:
        return f" × {devices.share:.0%} of a device of {first.vendor}"
    return f" × {devices.count} {first.vendor}" if devices.count else ""


def _limits(job: Job) -> str:
    limits = job.limits
    words = [
        *([f"{memory(limits.memory)} of memory"] if limits.memory is not None else []),
        *([f"{limits.processors:g} processors"] if limits.processors is not None else []),
        *([f"{span(limits.time)} in all"] if limits.time is not None else []),
    ]
    return f", at most {', '.join(words)}" if words else ""


def _seat(group: RankGroup) -> str:
    first, last = group.ranks
    ranks = f"rank {first}" if first == last else f"ranks {first} to {last}"
    if not group.devices:
        return ranks
    devices = ", ".join(str(index) for index in group.devices)
    part = f"{group.share:.0%} of " if group.share is not None else ""
    return f"{ranks}, {part}device{'s' * (len(group.devices) > 1)} {devices}"


def _common(groups: Sequence[RankGroup]) -> dict[str, str]:
    """What the processes of all nodes see alike."""
    if not groups:
        return {}
    first, *others = groups
    return {
        name: value
        for name, value in first.environment.items()
        if all(one.environment.get(name) == value for one in others)
    }
