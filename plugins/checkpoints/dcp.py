"""torch.distributed.checkpoint, and TorchTitan, which writes so: `step-N/.metadata`, `__RANK_N.distcp`."""

from collections.abc import Iterable, Mapping

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import Contents, Flaw, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement

from .parts import whole

METADATA = ".metadata"
SUFFIX = ".distcp"


class Dcp:
    """The format."""

    name = "dcp"
    title = "torch.distributed.checkpoint, TorchTitan"
    origin = "saves of torch 2.13"
    rank = 50

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:  # noqa: ARG002 - the seam's
        """Folders with a `.metadata` or files of ranks."""
        for folder, files in sorted(listing.folders().items()):
            if any(one.name == METADATA or one.name.endswith(SUFFIX) for one in files):
                yield whole(listing, folder)

    def marker(self, place: Place) -> str | None:  # noqa: ARG002
        """It is renamed to that once all ranks have written."""
        return METADATA

    def readings(self, place: Place) -> Iterable[Reading]:
        """`.metadata` and all that it refers to."""
        yield from distributed(place, "")

    def judge(self, place: Place, contents: Contents) -> Judgement:
        """What is wrong the reading has told, but for the index itself."""
        return Judgement(tuple(distributed_flaws(place, contents, "")))

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:  # noqa: ARG002
        """None: TorchTitan takes the highest step that has a `.metadata`."""
        return {}


def distributed(place: Place, folder: str) -> Iterable[Reading]:
    """What is to be read of a folder of a place, if it is of this format."""
    path = f"{folder}/{METADATA}" if folder else METADATA
    if path in place.named():
        yield Reading(path, "dcp")


def distributed_flaws(place: Place, contents: Contents, folder: str) -> Iterable[Flaw]:
    """Whether the index is there that all else follows from."""
    path = f"{folder}/{METADATA}" if folder else METADATA
    if path not in place.named():
        yield Flaw(path, "is missing: it is written last", "missing")
    elif path not in contents.found:
        yield Flaw(path, "could not be read", "unreadable")


@hookimpl
def checkpoint_format() -> Dcp:
    """The format this plugin knows."""
    return Dcp()
