"""What torch.save writes: one file each, one for each rank, or a folder of several."""

from collections.abc import Iterable, Mapping

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import Contents, Flaw, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement

from .parts import families, gaps, inside, name_flaws, rank_of

SUFFIXES = (".pt", ".pth", ".pth.tar", "pytorch_model.bin")
"""`.bin` and `.tar` alone are too often data."""

_KEYS = ("step", "global_step", "iteration", "iter")


class TorchSave:
    """The format."""

    name = "torch"
    title = "torch.save"
    origin = "saves of torch 2.13"
    rank = 10

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:  # noqa: ARG002 - the seam's
        """Files with the usual suffixes."""
        return families(listing, SUFFIXES)

    def marker(self, place: Place) -> str | None:  # noqa: ARG002
        """None: the end of each file tells that it is whole, nothing tells that all are there."""
        return None

    def readings(self, place: Place) -> Iterable[Reading]:
        """The files."""
        for one in place.files:
            if one.name.endswith(SUFFIXES):
                yield Reading(one.path, "torch", _KEYS)

    def judge(self, place: Place, contents: Contents) -> Judgement:
        """Whether there is one for each rank, and none was swapped with another."""
        ranks: dict[str, set[int]] = {}
        for one in inside(place.files, ""):
            rank = rank_of(one.name)
            if rank is not None:
                ranks.setdefault(one.name.rpartition("rank")[0], set()).add(rank)
        world = max((max(found) + 1 for found in ranks.values()), default=None)
        flaws = [
            Flaw("", f"rank {rank} of {head or 'its files'} is missing", "missing")
            for head, found in sorted(ranks.items())
            for rank in gaps(found, world)
        ]
        flaws += name_flaws(inside(place.files, ""), contents)
        steps = {value for one in contents.found.values() for value in one.keys.values() if isinstance(value, int)}
        told = steps.pop() if len(steps) == 1 else None
        alone = world is None and len(list(self.readings(place))) == 1
        return Judgement(
            tuple(flaws), told if place.step is None else None, world, complete=alone, elastic=world is None
        )

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:  # noqa: ARG002
        """None."""
        return {}


@hookimpl
def checkpoint_format() -> TorchSave:
    """The format this plugin knows."""
    return TorchSave()
