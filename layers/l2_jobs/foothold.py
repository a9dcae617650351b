"""What the nodes have said of a job's account and folders, judged. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from aiops.layers.core.errors import Problem
from aiops.layers.core.places import Path
from aiops.layers.l0_nodes.nodeset import fold

from .footing import Footing, Ground
from .job import Job
from .job_file import JobFile


def footing_obstacles(file: JobFile, job: Job, footings: Mapping[str, Footing]) -> list[Problem]:
    """What is wrong with a job's account and folders on the nodes that it may be placed on.

    Nodes that did not answer say nothing: they are asked again before anything is started there.

    Args:
        file: Where the job was read from.
        job: The job.
        footings: By node, of all that it may be placed on.
    """
    told = [one for one in footings.values() if not one.silent]
    found = [*_account(job, told)]
    keys: list[tuple[Path, str]] = [(("folder",), job.folder)]
    if job.checkpoint is not None:
        keys.append((("checkpoint", "path"), job.checkpoint.path))
    for path, folder in keys:
        found.extend(_folder(job, path, folder, told))
    return [file.places.problem(path, words, hint) for path, words, hint in found]


def _account(job: Job, told: Sequence[Footing]) -> Iterator[tuple[Path, str, str]]:
    user, uid = job.owner.user, job.owner.uid
    missing = [one.node for one in told if one.uid is None]
    hint = "have it made the same everywhere: name it in `aiops_users` of the inventory, then `aiops cluster deploy`"
    if missing:
        yield ("nodes",), f"there is no account `{user}` on {fold(missing)}", _or_without(job, told, missing, hint)
    others: dict[int, list[str]] = {}
    for one in told:
        if one.uid is not None and one.uid != uid:
            others.setdefault(one.uid, []).append(one.node)
    for number, names in sorted(others.items()):
        words = f"`{user}` has the number {uid} where the job was submitted, and {number} on {fold(names)}"
        yield ("nodes",), words, _or_without(job, told, names, hint)


def _folder(job: Job, path: Path, folder: str, told: Sequence[Footing]) -> Iterator[tuple[Path, str, str]]:
    key = ".".join(str(part) for part in path)
    reasons: dict[str, list[str]] = {}
    for one in told:
        ground = _ground(one, folder)
        if ground is not None and ground.why is not None:
            reasons.setdefault(ground.why, []).append(one.node)
    for why, names in sorted(reasons.items()):
        all_of_them = len(names) == len(told)
        hint = f"make it for {job.owner.user}, `mkdir -p {folder}`, or name one that is there"
        if why != "it is not there":
            hint = f"`ls -ld {folder}` shows whose it is; the job runs as {job.owner.user}"
        where = "any node" if all_of_them and len(names) > 1 else fold(names)
        words = f"`{key}` {folder} will not do on {where}: {why}"
        yield path, words, hint if all_of_them else _or_without(job, told, names, hint)
    away = [one.node for one in told if (ground := _ground(one, folder)) is not None and ground.same is False]
    there = [one.node for one in told if (ground := _ground(one, folder)) is not None and ground.same]
    if away and there:
        words = f"`{key}` {folder} is not the same folder on {fold(away)} as on {fold(there)}"
        hint = "a job that is moved would not find its checkpoints: name a folder that all nodes share"
        yield path, words, _or_without(job, told, away, hint)


def _ground(footing: Footing, folder: str) -> Ground | None:
    return next((ground for ground in footing.grounds if ground.path == folder), None)


def _or_without(job: Job, told: Iterable[Footing], without: Sequence[str], hint: str) -> str:
    """The hint, and the other nodes where they are enough."""
    left = [one.node for one in told if one.node not in without]
    return f"{hint}; or say `only: {fold(left)}` of `nodes`" if len(left) >= job.nodes.least else hint
