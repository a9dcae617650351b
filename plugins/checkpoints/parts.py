"""What formats have alike: shards with an index, one file per rank, files of torch.save that know their own name."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from aiops.layers.l2_jobs.checkpoint.facts import Contents, Entry, Flaw, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import step_of, worded_step_of

INDEX = ".index.json"
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.(?P<kind>safetensors|bin)")
_RANK = re.compile(r"[._-]?(?:dp_|mp_)?rank[._-]?(\d+)", re.IGNORECASE)


def folder_name(listing: Listing, folder: str) -> str:
    """The name of a folder; of the root its own."""
    return (folder or listing.root).rpartition("/")[2]


def whole(listing: Listing, folder: str) -> Place:
    """A folder that is a checkpoint with all in it."""
    return Place(folder, step_of(folder_name(listing, folder)), listing.below(folder))


def families(listing: Listing, suffixes: tuple[str, ...]) -> Iterator[Place]:
    """Files with `suffixes` as checkpoints.

    Files with a step in their name are one each, ranks of the same together. Where none in a folder has one, all in it
    belong together, and the folder is the checkpoint if it is called after a step or is not the root.
    """
    for folder, files in sorted(listing.folders().items()):
        own = [one for one in files if one.name.endswith(suffixes) and one.name[0] != "." and not one.link]
        steps = {one.name: step_of(without_rank(without_shard(one.name))) for one in own}
        if not own:
            continue
        if worded_step_of(folder_name(listing, folder)) is not None or (folder and not any(steps.values())):
            yield whole(listing, folder)
            continue
        groups: dict[str, list[Entry]] = {}
        numbered = any(step is not None for step in steps.values())
        for one in own:
            key = without_rank(without_shard(one.name)) if numbered else ""
            groups.setdefault(key, []).append(Entry(one.name, one.size, one.modified))
        for key, group in groups.items():
            index = [Entry(one.name, one.size, one.modified) for one in files if one.name == f"{key}{INDEX}"]
            yield Place(folder, step_of(key) if key else None, (*group, *index), whole=False)


def without_rank(name: str) -> str:
    """A name without the rank in it: what files of several ranks have alike."""
    return _RANK.sub("", name)


def without_shard(name: str) -> str:
    """A name without the number of the shard in it."""
    found = _SHARD.fullmatch(name)
    return f"{found['stem']}.{found['kind']}" if found else name


def rank_of(name: str) -> int | None:
    """The rank in a name; None where there is none."""
    found = _RANK.search(name)
    return int(found[1]) if found else None


def inside(files: Iterable[Entry], folder: str) -> list[Entry]:
    """The files right in a folder of a place; empty for the place itself."""
    return [one for one in files if one.folder == folder]


def stem(path: str) -> str:
    """The name without its last suffix, as torch.save calls an archive after its file."""
    return path.rpartition("/")[2].rpartition(".")[0]


def weights(files: Iterable[Entry]) -> Iterator[Reading]:
    """What is to be read of weights in one or several files, in safetensors or by torch.save."""
    for one in files:
        if one.name.endswith(".safetensors"):
            yield Reading(one.path, "safetensors")
        elif one.name.endswith(INDEX):
            yield Reading(one.path, "json", ("weight_map",))


def weight_flaws(files: Sequence[Entry], contents: Contents) -> Iterator[Flaw]:
    """Whether shards are all there, with their index, and each holds the tensors that the index says.

    Args:
        files: All of one folder.
        contents: What was read of them, see `weights`.
    """
    names = {one.name: one.path for one in files}
    counted: dict[tuple[str, str, int], set[int]] = {}
    for name in names:
        if found := _SHARD.fullmatch(name):
            counted.setdefault((found["stem"], found["kind"], int(found["count"])), set()).add(int(found["number"]))
    for (head, kind, count), numbers in counted.items():
        for number in sorted(set(range(1, count + 1)) - numbers):
            yield Flaw(f"{head}-{number:05}-of-{count:05}.{kind}", "is missing", "missing")
        if count > 1 and f"{head}.{kind}{INDEX}" not in names:
            yield Flaw(f"{head}.{kind}{INDEX}", "is missing: it tells what is in which shard", "missing")
    for name, path in names.items():
        if name.endswith(INDEX):
            yield from _index_flaws(path, names, contents)


def _index_flaws(index: str, names: dict[str, str], contents: Contents) -> Iterator[Flaw]:
    mapped = contents.keys(index).get("weight_map")
    read = contents.found.get(index)
    if not isinstance(mapped, dict) or not mapped:
        if read is None or read.flaw is None:
            yield Flaw(index, "does not tell what is in which shard")
        return
    wanted: dict[str, set[str]] = {}
    for tensor, name in mapped.items():
        wanted.setdefault(str(name), set()).add(str(tensor))
    for name, tensors in sorted(wanted.items()):
        if name not in names:
            yield Flaw(name, "is missing: the index speaks of it", "missing")
            continue
        shard = contents.found.get(names[name])
        held = None if shard is None else shard.values.get("tensors")
        if isinstance(held, list) and (lacking := tensors - set(held)):
            yield Flaw(name, f"lacks {min(lacking)}, which the index says is in it")


def name_flaws(files: Iterable[Entry], contents: Contents) -> Iterator[Flaw]:
    """Files of torch.save in one folder that hold what another of them is called after: they were swapped."""
    read = [(one.path, contents.found[one.path]) for one in files if one.path in contents.found]
    names = {path: str(one.values.get("name")) for path, one in read if one.how == "torch"}
    stems = {stem(path): path for path in names}
    for path, name in names.items():
        if name != stem(path) and name in stems:
            yield Flaw(path, f"holds what belongs in {stems[name]}")


def gaps(numbers: Collection[int], count: int | None = None) -> list[int]:
    """Which of 0, 1, 2 ... are not there: up to the highest, or of `count`."""
    return sorted(set(range(count if count is not None else max(numbers, default=-1) + 1)) - set(numbers))
