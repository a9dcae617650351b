"""Megatron-LM: `iter_NNNNNNN` in one of two layouts, and latest_checkpointed_iteration.txt beside, written last.

`torch`: a folder `mp_rank_TT[_PPP[_EEE]]` for each model-parallel rank. `torch_dist`: torch.distributed.checkpoint with
common.pt and metadata.json. Names: megatron/training/checkpointing.py (`get_checkpoint_name`,
`get_checkpoint_tracker_filename`) and megatron/core/dist_checkpointing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import Contents, Flaw, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement

from .dcp import METADATA, distributed, distributed_flaws
from .parts import folder_name, gaps, whole

TRACKER = "latest_checkpointed_iteration.txt"
COMMON, DOCUMENT = "common.pt", "metadata.json"
_FOLDER = re.compile(r"iter_(\d{7,})|release")
_RANK = re.compile(r"mp_rank_(\d{2})(?:_(\d{3}))?(?:_(\d{3}))?")
_TENSOR, _PIPELINE = "args.tensor_model_parallel_size", "args.pipeline_model_parallel_size"
_KEYS = ("iteration", "args.world_size", _TENSOR, _PIPELINE)


class Megatron:
    """The format."""

    name = "megatron"
    title = "Megatron-LM, one folder per rank or torch_dist"
    origin = "layout from source"
    rank = 85

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:  # noqa: ARG002 - the seam's
        """Folders `iter_N` with files of Megatron."""
        folders = {one.folder for one in listing.entries}
        tops = {path for folder in folders for path in (folder, folder.rpartition("/")[0])}
        for top in sorted(tops):
            if not _FOLDER.fullmatch(folder_name(listing, top)):
                continue
            place = whole(listing, top)
            if any(_is_own(one.path) for one in place.files):
                yield place

    def marker(self, place: Place) -> str | None:
        """What the layout with ranks has not, the other has."""
        return None if any(_RANK.fullmatch(one.folder) for one in place.files) else METADATA

    def readings(self, place: Place) -> Iterable[Reading]:
        """States of ranks, or what all share and the index."""
        for one in place.files:
            if one.path == COMMON or (_RANK.fullmatch(one.folder) and one.name.endswith(".pt")):
                yield Reading(one.path, "torch", _KEYS)
            elif one.path == DOCUMENT:
                yield Reading(one.path, "json", ("sharded_backend",))
        yield from distributed(place, "")

    def judge(self, place: Place, contents: Contents) -> Judgement:
        """Whether all ranks are there, and of one iteration."""
        told = [contents.keys(path) for path in contents.found]
        steps = {one["iteration"] for one in told if isinstance(one.get("iteration"), int)}
        worlds = {one["args.world_size"] for one in told if isinstance(one.get("args.world_size"), int)}
        flaws = [Flaw("", f"it holds iteration {step:,}") for step in sorted(steps) if place.step not in (None, step)]
        ranks = any(_RANK.fullmatch(one.folder) for one in place.files)
        flaws += self._ranks(place, told) if ranks else self._distributed(place, contents)
        return Judgement(
            tuple(flaws),
            steps.pop() if len(steps) == 1 else None,
            worlds.pop() if len(worlds) == 1 else None,
            complete=not ranks,
            elastic=not ranks,
        )

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:
        """The tracker beside the folder names its iteration."""
        above, _, name = place.base.rpartition("/")
        path = f"{above}/{TRACKER}" if above else TRACKER
        found = _FOLDER.fullmatch(name)
        if found is None or all(one.path != path for one in listing.entries):
            return {}
        return {path: str(int(found[1])) if found[1] else name}

    def _distributed(self, place: Place, contents: Contents) -> Iterator[Flaw]:
        yield from distributed_flaws(place, contents, "")
        for path in (COMMON, DOCUMENT):
            if path not in place.named():
                yield Flaw(path, "is missing", "missing")

    def _ranks(self, place: Place, told: list[Mapping[str, object]]) -> Iterator[Flaw]:
        names = {one.folder: {other.name for other in place.files if other.folder == one.folder} for one in place.files}
        there = {tuple(int(part) for part in found.groups() if part is not None): names[folder]
                 for folder in names if (found := _RANK.fullmatch(folder))}  # fmt: skip
        common = set[str]().union(*there.values())
        for dimension in range(max(map(len, there))):
            key = (_TENSOR, _PIPELINE)[dimension] if dimension < 2 else ""  # noqa: PLR2004 - the two that are told
            sizes = {one[key] for one in told if isinstance(one.get(key), int)}
            size = sizes.pop() if len(sizes) == 1 else None
            numbers = {rank[dimension] for rank in there if len(rank) > dimension}
            for number in gaps(numbers, size if isinstance(size, int) else None):
                kind = ("tensor", "pipeline", "expert")[dimension]
                yield Flaw("", f"{kind}-parallel rank {number} is missing", "missing")
        yield from _holes(there)
        for folder in sorted(names):
            for name in sorted(common - names[folder]) if _RANK.fullmatch(folder) else ():
                yield Flaw(f"{folder}/{name}", "is missing", "missing")


def _holes(there: Mapping[tuple[int, ...], object]) -> Iterator[Flaw]:
    """Combinations of ranks that have no folder though each of the numbers occurs."""
    from itertools import product

    width = max(map(len, there))
    sides = [sorted({rank[place] for rank in there if len(rank) == width}) for place in range(width)]
    for rank in product(*sides):
        if rank not in there:
            name = "_".join([f"mp_rank_{rank[0]:02}", *(f"{part:03}" for part in rank[1:])])
            yield Flaw(name, "is missing", "missing")


def _is_own(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return path in {METADATA, COMMON} or (_RANK.fullmatch(folder) is not None and name.endswith(".pt"))


@hookimpl
def checkpoint_format() -> Megatron:
    """The format this plugin knows."""
    return Megatron()
