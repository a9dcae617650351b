"""safetensors: one file each, or shards `model-00001-of-00004.safetensors` with their index."""

from collections.abc import Iterable, Mapping

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import Contents, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement

from .parts import INDEX, families, inside, weight_flaws, weights


class Safetensors:
    """The format."""

    name = "safetensors"
    title = "safetensors, also sharded with an index"
    origin = "saves of safetensors 0.8"
    rank = 20

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:  # noqa: ARG002 - the seam's
        """Files with that suffix, or an index of some."""
        return families(listing, (".safetensors", f".safetensors{INDEX}"))

    def marker(self, place: Place) -> str | None:
        """The index, where there are shards."""
        shards = [one.name for one in place.files if "-of-" in one.name]
        return f"{shards[0].partition('-0')[0]}.safetensors{INDEX}" if shards else None

    def readings(self, place: Place) -> Iterable[Reading]:
        """Headers, and the index."""
        return weights(place.files)

    def judge(self, place: Place, contents: Contents) -> Judgement:
        """Whether all shards are there and hold what the index says."""
        folders = sorted({one.folder for one in place.files})
        flaws = [flaw for folder in folders for flaw in weight_flaws(inside(place.files, folder), contents)]
        count = sum(one.name.endswith(".safetensors") for one in place.files)
        return Judgement(tuple(flaws), complete=count == 1 or any(one.name.endswith(INDEX) for one in place.files))

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:  # noqa: ARG002
        """None."""
        return {}


@hookimpl
def checkpoint_format() -> Safetensors:
    """The format this plugin knows."""
    return Safetensors()
