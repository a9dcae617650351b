"""DeepSpeed: a folder for each tag, and `latest` beside them that names one."""

from collections.abc import Iterable, Mapping

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import Contents, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement

from . import zero
from .parts import inside, whole

LATEST = "latest"


class DeepSpeed:
    """The format."""

    name = "deepspeed"
    title = "DeepSpeed"
    origin = "saves of deepspeed 0.19 (ZeRO 1); all else from source"
    rank = 80

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:  # noqa: ARG002 - the seam's
        """Folders with states of ranks."""
        for folder, files in sorted(listing.folders().items()):
            if zero.has_states(files):
                yield whole(listing, folder)

    def marker(self, place: Place) -> str | None:  # noqa: ARG002
        """None in the folder itself."""
        return None

    def readings(self, place: Place) -> Iterable[Reading]:
        """States of models, layers and optimizers."""
        return zero.readings(inside(place.files, ""))

    def judge(self, place: Place, contents: Contents) -> Judgement:
        """Whether all ranks are there."""
        verdict = zero.judge(inside(place.files, ""), contents)
        return Judgement(
            verdict.flaws,
            verdict.step if place.step is None else None,
            verdict.world_size,
            verdict.complete,
            verdict.elastic,
        )

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:
        """`latest` beside the folder names it."""
        above, _, name = place.base.rpartition("/")
        path = f"{above}/{LATEST}" if above else LATEST
        return {path: name} if name and any(one.path == path for one in listing.entries) else {}


@hookimpl
def checkpoint_format() -> DeepSpeed:
    """The format this plugin knows."""
    return DeepSpeed()
