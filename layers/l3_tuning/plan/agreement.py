"""Agreement: whether all nodes have the same base, data and versions, and room for a run beside its memory. Pure.

What no node has said is unknown, never good.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l2_jobs.world import Settings
from aiops.layers.l3_tuning.recipe import Recipe

from .disk import DiskNeed
from .ending import EndingPlan
from .machine import Machine

State = Literal["ok", "warn", "bad", "unknown"]

ENOUGH_SHARED = 1 << 30
"""Bytes of /dev/shm where processes of one node talk over NCCL: as NVIDIA's guide asks for in containers (NCCL user
guide, troubleshooting, shared memory: `--shm-size=1g`)."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - it is asked about, and nothing is kept there

PORTS = range(*Settings().ports)
"""Where the port of a job's rendezvous is chosen from, unless `jobs.ports` of aiops.toml says otherwise."""

VERSIONS = ("python", "torch", "transformers", "peft", "trl", "accelerate", "driver")


@dataclass(frozen=True, slots=True)
class Remark:
    """What was found of one thing.

    Attributes:
        subject: What it is about.
        words: What was found, with the nodes.
        hint: What to do; None where nothing is to be done.
    """

    subject: str
    state: State
    words: str
    hint: str | None = None


def remarks(recipe: Recipe, need: DiskNeed, ending: EndingPlan, machines: Sequence[Machine]) -> tuple[Remark, ...]:
    """All that is known of the nodes beside the memory that steps take; of imagined ones what was said of them."""
    asked = [one for one in machines if not one.imagined]
    if not asked:
        return () if ending.limit is None else (_end(ending),)
    return tuple(_remarks(recipe, need, ending, asked))


def _remarks(recipe: Recipe, need: DiskNeed, ending: EndingPlan, machines: Sequence[Machine]) -> Iterator[Remark]:
    silent: dict[str, list[str]] = {}
    for why in dict.fromkeys(one.silent for one in machines if one.nameless):
        yield Remark("nodes", "unknown", f"none could be asked: {why}")
    for one in machines:
        if one.silent and not one.nameless:
            silent.setdefault(one.silent, []).append(one.name)
    for why, names in silent.items():
        yield Remark("nodes", "unknown", f"{fold(names)}: {why}", f"`aiops node facts {fold(names)}` asks again")
    yield _end(ending)
    yield _disk(recipe, need, machines)
    yield _shared(recipe, machines)
    yield _ports(machines)
    yield same(machines, "base", lambda one: one.base, recipe.base, missing="is not there, or could not be read")
    if len(recipe.data.train) == 1 and any(one.data for one in machines):
        yield same(machines, "data", lambda one: one.data, recipe.data.train[0], missing="is not there")
    if recipe.placement.devices:
        yield from _built(machines)
    for name in VERSIONS:
        known = [one for one in machines if name in one.versions]
        if known or name in {"python", "torch"}:
            yield same(machines, name, lambda one, name=name: one.versions.get(name), name, missing="was not found")  # type: ignore[misc]


def _built(machines: Sequence[Machine]) -> Iterator[Remark]:
    """A torch for processors on nodes whose accelerators are to be used."""
    reasons: dict[str, list[str]] = {}
    for one in machines:
        why = one.torch.unfit(one.vendor) if one.torch is not None else None
        if why is not None:
            reasons.setdefault(why, []).append(one.name)
    for why, names in reasons.items():
        hint = (
            f"name a lock file with such a torch in `aiops_environment_locks` for {fold(names)} (docs/environments.md)"
        )
        yield Remark("accelerators", "bad", f"{fold(names)}: {why}", hint)


def same(
    machines: Sequence[Machine],
    subject: str,
    value: Callable[[Machine], str | None],
    what: str,
    *,
    missing: str,
) -> Remark:
    """Whether all nodes have the same of something: the majority is what others are compared with."""
    groups: dict[str, list[str]] = {}
    for one in machines:
        found = value(one)
        if found is not None:
            groups.setdefault(found, []).append(one.name)
    without = [one.name for one in machines if value(one) is None]
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    if len(ordered) > 1:
        parts = [f"{_short(name)} on {fold(nodes)}" for name, nodes in ordered]
        odd = [node for _, nodes in ordered[1:] for node in nodes]
        return Remark(subject, "bad", f"{what} differs: {'; '.join(parts)}", f"make {fold(odd)} like the others")
    if without:
        told = f"; {_short(ordered[0][0])} on {fold(ordered[0][1])}" if ordered else ""
        return Remark(subject, "unknown", f"{what} {missing} on {fold(without)}{told}", None)
    return Remark(subject, "ok", f"{_short(ordered[0][0])} on all", None)


def _disk(recipe: Recipe, need: DiskNeed, machines: Sequence[Machine]) -> Remark:
    known = {one.name: one.free for one in machines if one.free is not None}
    if not known:
        return Remark("disk", "unknown", f"nobody has said how much is free in {recipe.folder}")
    least = min(known, key=lambda name: (known[name], name))
    if known[least] < need.total:
        hint = f"keep fewer checkpoints: `--set checkpoint.keep=1`; or free space in {recipe.folder}"
        words = f"{gib(need.total)} are needed, {gib(known[least])} are free on {least}"
        return Remark("disk", "bad", words, hint)
    silent = [one.name for one in machines if one.free is None]
    words = f"{gib(need.total)} of {gib(known[least])} free"
    if silent:
        return Remark("disk", "unknown", f"{words}; unknown on {fold(silent)}")
    return Remark("disk", "ok", words)


def _end(plan: EndingPlan) -> Remark:
    """Whether the first rank's node has memory for the end of the run."""
    total = plan.ending.total
    words = f"{gib(total.likely)}, at most {gib(total.high)}, {plan.ending.moment}"
    if plan.limit is None:
        return Remark("at the end", "unknown", f"{words}; nobody has said what memory nodes have")
    words = f"{words}, of {gib(plan.limit)} on {plan.least}"
    if plan.verdict == "fits":
        if plan.unknown:
            return Remark("at the end", "unknown", f"{words}; unknown on {fold(plan.unknown)}")
        return Remark("at the end", "ok", words)
    sets = " ".join(f"--set {one}" for one in plan.sets)
    hint = f"make it elsewhere: `{sets}`" if sets else "choose nodes with more memory: `placement.only`"
    return Remark("at the end", "warn" if plan.verdict == "tight" else "bad", words, hint)


def _shared(recipe: Recipe, machines: Sequence[Machine]) -> Remark:
    place = recipe.placement
    needed = ENOUGH_SHARED if place.devices and (place.processes or place.devices) > 1 else 0
    if not needed:
        return Remark("shared memory", "ok", "none is needed")
    short = [one.name for one in machines if one.shared is not None and one.shared < needed]
    if short:
        hint = "mount a larger one there: `mount -o remount,size=8G /dev/shm`"
        return Remark("shared memory", "bad", f"{SHARED_MEMORY} has less than {gib(needed)} on {fold(short)}", hint)
    silent = [one.name for one in machines if one.shared is None]
    if silent:
        return Remark("shared memory", "unknown", f"{SHARED_MEMORY} of {fold(silent)} was not seen")
    return Remark("shared memory", "ok", f"{SHARED_MEMORY} has {gib(needed)} or more")


def _ports(machines: Sequence[Machine]) -> Remark:
    silent = [one.name for one in machines if one.ports is None]
    full = [one.name for one in machines if one.ports is not None and not set(PORTS) - set(one.ports)]
    span = f"{PORTS[0]} to {PORTS[-1]}"
    if full:
        return Remark("ports", "bad", f"all ports from {span} are taken on {fold(full)}")
    if silent:
        return Remark("ports", "unknown", f"taken ports of {fold(silent)} were not seen")
    most = max(len(set(one.ports or ()) & set(PORTS)) for one in machines)
    return Remark("ports", "ok", f"{len(PORTS) - most:,} or more of {span} are free")


def gib(size: float) -> str:
    """`94.2 GiB`, `512 MiB`."""
    if size >= 1 << 40:
        return f"{size / (1 << 40):.1f} TiB"
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"


def _short(value: str) -> str:
    return value[:12] if len(value) == _DIGEST else value


_DIGEST = 64
"""Digits of a sha256."""
