"""Lightning: one `*.ckpt` file of torch.save each, or a folder of that name from its FSDP and DeepSpeed strategies.

Names and keys: lightning/pytorch/callbacks/model_checkpoint.py, trainer/connectors/checkpoint_connector.py
(`dump_checkpoint`), strategies/fsdp.py (`meta.pt` beside torch.distributed.checkpoint) and strategies/deepspeed.py.
"""

from collections.abc import Iterable, Iterator, Mapping

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import Contents, Entry, Flaw, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement, worded_step_of

from . import zero
from .dcp import METADATA, distributed, distributed_flaws
from .parts import folder_name, inside

SUFFIX = ".ckpt"
META = "meta.pt"
_ENGINE = "checkpoint"
_KEYS = ("global_step", "epoch", "pytorch-lightning_version")


class Lightning:
    """The format."""

    name = "lightning"
    title = "Lightning"
    origin = "saves of lightning 2.6; its folders from source"
    rank = 82

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:  # noqa: ARG002 - the seam's
        """Files and folders with that suffix; a link to another (`last.ckpt`) is none of its own."""
        folders = {one.folder for one in listing.entries}
        tops = {path for folder in folders for path in (folder, folder.rpartition("/")[0])}
        for top in sorted(tops):
            name = folder_name(listing, top)
            if name.endswith(SUFFIX):
                yield Place(top, worded_step_of(name), listing.below(top))
        for one in listing.entries:
            if one.name.endswith(SUFFIX) and not one.link:
                entry = Entry(one.name, one.size, one.modified)
                yield Place(one.folder, worded_step_of(one.name), (entry,), whole=False)

    def marker(self, place: Place) -> str | None:
        """In a folder: what is written when the shards are."""
        if not place.whole:
            return None
        return METADATA if any(one.name.endswith(".distcp") for one in place.files) else None

    def readings(self, place: Place) -> Iterable[Reading]:
        """The file; or what all share, and the shards."""
        if not place.whole:
            yield Reading(place.files[0].path, "torch", _KEYS)
            return
        if META in place.named():
            yield Reading(META, "torch", _KEYS)
        yield from zero.readings(inside(place.files, _ENGINE))
        yield from distributed(place, "")

    def judge(self, place: Place, contents: Contents) -> Judgement:
        """Whether it is of the step that its name tells; a plain torch.save called so tells none, and is good too."""
        told = contents.keys(META if place.whole else place.files[0].path)
        step = told.get("global_step")
        engine = zero.judge(inside(place.files, _ENGINE), contents) if inside(place.files, _ENGINE) else None
        flaws = list(self._flaws(place, contents, step))
        if engine is not None:
            flaws += engine.flaws
        return Judgement(
            tuple(flaws),
            step if isinstance(step, int) else None,
            None if engine is None else engine.world_size,
            complete=engine is None or engine.complete,
            elastic=engine is None,
        )

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:  # noqa: ARG002
        """None."""
        return {}

    def _flaws(self, place: Place, contents: Contents, step: object) -> Iterator[Flaw]:
        if place.whole:
            yield from _sharded_flaws(place, contents)
        if isinstance(step, int) and place.step is not None and step != place.step:
            yield Flaw("", f"it is of step {step:,}, its name says {place.step:,}")


def _sharded_flaws(place: Place, contents: Contents) -> Iterator[Flaw]:
    """What is wrong with a folder of the FSDP strategy."""
    if inside(place.files, _ENGINE):
        return
    yield from distributed_flaws(place, contents, "")
    if META not in place.named():
        yield Flaw(META, "is missing", "missing")


@hookimpl
def checkpoint_format() -> Lightning:
    """The format this plugin knows."""
    return Lightning()
