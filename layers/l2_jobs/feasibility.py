"""Whether a job can run on this cluster at all: what no waiting would mend is told before anything starts. Pure.

A node that is drained, ill or busy counts as there, and so does an accelerator: a job that only has to wait for it is
not wrong. Placement, which comes later, gives what is well.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from aiops.layers.core.errors import Problem
from aiops.layers.core.places import Path, nearest
from aiops.layers.l0_nodes.nodeset import fold

from .checkpoint.checkpoint import Checkpoint, Wanted, fits
from .job import Job
from .job_conflicts import image_of
from .job_file import JobFile
from .node import Place

Obstacle = tuple[Path, str, str | None]
"""The key that is at fault, what is wrong, what would fit."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a cluster has beside its nodes.

    Attributes:
        containers: Names of the plugins of the kind `container`; `formats` of the kind `checkpoint_format`.
    """

    containers: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


def obstacles(file: JobFile, job: Job, places: Sequence[Place], offer: Offer) -> list[Problem]:
    """All that keeps `job` from ever running on `places`, each with its line.

    Args:
        file: Where it was read from.
        job: What was made of it.
        places: All nodes of the cluster, closed ones too.
        offer: What else there is.
    """
    found = [*_names(job, places), *_nodes(job, places), *_plugins(job, offer)]
    return [file.places.problem(path, words, hint) for path, words, hint in found]


def candidates(job: Job, places: Sequence[Place]) -> tuple[Place, ...]:
    """The nodes that a job may be placed on, those that are closed just now too."""
    pool = [place for place in places if not job.nodes.chosen or place.name in job.nodes.chosen]
    pool = [place for place in pool if job.engine in (None, place.engine)]
    return tuple(place for place in pool if not _unfit(job, place))


def _unfit(job: Job, place: Place) -> bool:
    wanted = job.devices
    if wanted.vendor is not None and place.vendor != wanted.vendor:
        return True
    return place.has < wanted.count or (wanted.share is not None and not place.shares)


def _names(job: Job, places: Sequence[Place]) -> Iterator[Obstacle]:
    known = {place.name: place for place in places}
    missing = [name for name in job.nodes.chosen if name not in known]
    for name in missing[:5]:
        near = nearest(name, tuple(known))
        hint = f"did you mean `{near}`?" if near else "`aiops node list` shows all nodes"
        yield ("nodes", "only"), f"`nodes.only`: there is no node `{name}` in this cluster", hint
    if len(missing) > len(missing[:5]):
        yield ("nodes", "only"), f"`nodes.only`: nor are there {fold(missing[5:])}", None
    chosen = [known[name] for name in job.nodes.chosen if name in known]
    by_engine: dict[str, list[str]] = {}
    for place in chosen:
        by_engine.setdefault(place.engine, []).append(place.name)
    if job.engine is None and len(by_engine) > 1:
        words = " and ".join(f"{fold(names)} of {engine}" for engine, names in sorted(by_engine.items()))
        yield ("nodes", "only"), f"`nodes.only` mixes nodes of two engines: {words}", "choose nodes of one engine"
    for engine, names in sorted(by_engine.items()):
        if job.engine is not None and engine != job.engine:
            yield _other_engine(job, engine, fold(names), len(names))


def _other_engine(job: Job, engine: str, names: str, count: int) -> Obstacle:
    belong = "belongs" if count == 1 else "belong"
    if job.launch == "srun":
        hint = "say `launch: torchrun` or `command`, or choose nodes of Slurm"
        return ("launch",), f"`launch: srun` needs Slurm, and {names} {belong} to the engine {engine}", hint
    hint = f"say `engine: {engine}`, or choose other nodes"
    return ("nodes", "only"), f"{names} {belong} to the engine {engine}, and `engine` is `{job.engine}`", hint


def _nodes(job: Job, places: Sequence[Place]) -> Iterator[Obstacle]:
    """The first filter that leaves no node, or too few; what comes after it says nothing new."""
    pool: Sequence[Place] = [place for place in places if not job.nodes.chosen or place.name in job.nodes.chosen]
    if not pool:
        if not places:
            yield ("nodes",), "this cluster has no nodes for jobs", "`aiops node list` shows all nodes"
        return
    of_engine = [place for place in pool if job.engine in (None, place.engine)]
    if not of_engine:
        if not job.nodes.chosen:
            yield _no_engine(job, pool)
        return
    of_vendor = [place for place in of_engine if job.devices.vendor in (None, place.vendor)]
    if not of_vendor:
        vendors = sorted({place.vendor for place in of_engine if place.vendor})
        hint = f"there are accelerators of {', '.join(vendors)}" if vendors else "there are nodes without accelerators"
        yield ("devices", "vendor"), f"no node has accelerators of `{job.devices.vendor}`", hint
        return
    able = [place for place in of_vendor if not _unfit(job, place)]
    if not able:
        yield _no_devices(job, of_vendor)
        return
    yield from _too_few(job, able, of_vendor)


def _no_engine(job: Job, pool: Sequence[Place]) -> Obstacle:
    other = pool[0].engine
    if job.launch == "srun":
        hint = "say `launch: torchrun` or `command`"
        return ("launch",), f"`launch: srun` needs Slurm, and all nodes belong to the engine {other}", hint
    hint = f"say `engine: {other}`; which one a node belongs to is said by `aiops_engine` of the inventory"
    return ("engine",), f"no node belongs to the engine {job.engine}", hint


def _no_devices(job: Job, pool: Sequence[Place]) -> Obstacle:
    wanted = job.devices
    most = max(place.has for place in pool)
    if wanted.share is not None and most:
        hint = "take whole ones, `devices: 1`; whether they may be shared is said by `aiops_share_devices`"
        return ("devices", "share"), "`devices.share`: no node may share its accelerators", hint
    if not most:
        return ("devices",), "no node that the job may use has an accelerator", "leave `devices` out"
    there = sum(place.has == most for place in pool)
    fit = f"`devices: {most}`"
    nodes = -(-wanted.count * job.nodes.least // most)
    if nodes <= there:
        fit = f"`devices: {most}` with `nodes: {nodes}` are as many"
    words = f"`devices` asks for {wanted.count} of each node, and no node has more than {most}"
    return ("devices", "count") if job.devices.vendor else ("devices",), words, fit


def _too_few(job: Job, able: Sequence[Place], pool: Sequence[Place]) -> Iterator[Obstacle]:
    best = max(_alike(able, job), key=len)
    names, count = fold(place.name for place in best), len(best)
    which = _which(job)
    if count < job.nodes.least:
        alone = len(best) < len(able)
        kind = f" of one {'maker' if len({place.engine for place in able}) == 1 else 'engine'}" if alone else ""
        words = f"the job needs {job.nodes.least} nodes{which}, and there are {count}{kind}: {names}"
        hint = f"`nodes: {count}`"
        smaller = _with_fewer_devices(job, pool)
        yield ("nodes", "min"), words, f"{hint}, or {smaller}" if smaller else hint
    elif count < job.nodes.least + job.spares:
        words = f"`spares` asks for {job.spares} beside {job.nodes.least} nodes{which}, and there are {count}: {names}"
        left = count - job.nodes.least
        yield ("spares",), words, f"`spares: {left}`"


def _which(job: Job) -> str:
    if job.devices.share is not None:
        return " whose accelerators may be shared"
    if not job.devices.count:
        return ""
    vendor = f" of {job.devices.vendor}" if job.devices.vendor else ""
    return f" with {job.devices.count} accelerator{'s' * (job.devices.count > 1)}{vendor}"


def _with_fewer_devices(job: Job, pool: Sequence[Place]) -> str | None:
    """How many devices of each node would let the job have its nodes."""
    for count in range(job.devices.count - 1, 0, -1):
        if any(len(alike) >= job.nodes.least for alike in _alike([p for p in pool if p.has >= count], job)):
            return f"`devices: {count}`"
    return None


def _alike(places: Iterable[Place], job: Job) -> list[list[Place]]:
    """Nodes that an attempt may have together: of one engine, and of one maker where it takes devices."""
    groups: dict[tuple[str, str | None], list[Place]] = {}
    for place in places:
        key = (place.engine, place.vendor if job.devices.count else None)
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def _plugins(job: Job, offer: Offer) -> Iterator[Obstacle]:
    asked: list[tuple[Path, str, str, tuple[str, ...], Callable[[str], str]]] = []
    if job.image is not None:
        name = image_of(job.image)[0]
        asked.append((("image",), name, "kind of container", offer.containers, lambda near: f"`{near}://...`"))
        paths: dict[Path, str] = {("folder",): job.folder}
        if job.checkpoint is not None:
            paths["checkpoint", "path"] = job.checkpoint.path
        for path, folder in paths.items():
            if "," in folder or ":" in folder:
                yield path, f"{folder} has a comma or a colon, and no container can be given such a path", None
    if job.checkpoint is not None:
        name = job.checkpoint.format.partition(":")[0]
        known = ("auto", *offer.formats)
        asked.append((("checkpoint", "format"), name, "format of checkpoints", known, lambda near: f"`{near}`"))
    for path, name, what, known, shown in asked:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {shown(near)}?" if near else f"known are {', '.join(known) or 'none'}"
            yield path, f"there is no {what} `{name}`", hint


def misfit(file: JobFile, job: Job, checkpoint: Checkpoint) -> Problem | None:
    """Why `job` cannot go on from `checkpoint` on any number of nodes that it allows; None where it can."""
    asked = job.checkpoint.format if job.checkpoint else None
    found = [
        fits(checkpoint, Wanted(asked, nodes * job.processes))
        for nodes in range(job.nodes.most, job.nodes.least - 1, -1)
    ]
    first = next(iter(found), None)
    if first is None or None in found:
        return None
    any_format = fits(checkpoint, Wanted(None, job.nodes.most * job.processes)) is None
    path: Path = ("checkpoint", "format") if any_format else ("nodes",)
    return file.places.problem(path, first.message, first.hint)
