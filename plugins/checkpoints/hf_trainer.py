"""Hugging Face's Trainer: `checkpoint-N` with weights, optimizer, scheduler, random states and trainer_state.json.

With FSDP or DeepSpeed their own folders lie in it. Names and the order of the save: transformers/trainer.py
(`_save_checkpoint`, `_save_optimizer_and_scheduler`, `_save_rng_state`): trainer_state.json comes last.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import Contents, Entry, Flaw, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement

from . import zero
from .dcp import METADATA, distributed, distributed_flaws
from .parts import folder_name, gaps, inside, name_flaws, weight_flaws, weights, whole

STATE = "trainer_state.json"
ARGUMENTS = "training_args.bin"
_FOLDER = re.compile(r"checkpoint-\d+")
_OWN = re.compile(
    r"trainer_state\.json|training_args\.bin|optimizer\.(pt|bin)|config\.json|adapter_config\.json"
    r"|(model|adapter_model|pytorch_model).*\.(safetensors|bin)"
)
_TORCH = re.compile(
    r"(optimizer|scheduler|scaler)\.(pt|bin)|rng_state(_\d+)?\.pth|training_args\.bin|(adapter|pytorch)_model.*\.bin"
)
_DOCUMENTS = re.compile(
    r"(config|generation_config|adapter_config|tokenizer|tokenizer_config|special_tokens_map)\.json"
)
_WEIGHTS = re.compile(r"(model|adapter_model|pytorch_model).*\.(safetensors|bin)(\.index\.json)?")
_RANDOM = re.compile(r"rng_state(?:_(\d+))?\.pth")


class HfTrainer:
    """The format."""

    name = "hf-trainer"
    title = "Hugging Face Trainer, also with PEFT, FSDP or DeepSpeed"
    origin = "saves of transformers 5.24; inside it FSDP and DeepSpeed from source"
    rank = 90

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:  # noqa: ARG002 - the seam's
        """Folders `checkpoint-N` with files of the Trainer, and any with its state."""
        for folder, files in sorted(listing.folders().items()):
            named = _FOLDER.fullmatch(folder_name(listing, folder)) is not None
            if any(one.name == STATE or (named and _is_own(one.name)) for one in files):
                yield whole(listing, folder)

    def marker(self, place: Place) -> str | None:  # noqa: ARG002
        """Its state is written last."""
        return STATE

    def readings(self, place: Place) -> Iterable[Reading]:
        """All whose structure is known."""
        top = inside(place.files, "")
        yield from weights(top)
        for one in top:
            if one.name == STATE:
                yield Reading(one.path, "json", ("global_step",))
            elif _DOCUMENTS.fullmatch(one.name):
                yield Reading(one.path, "json")
            elif _TORCH.fullmatch(one.name):
                yield Reading(one.path, "torch", ("save_only_model",) if one.name == ARGUMENTS else ())
        for folder, files in _folders(place):
            yield from zero.readings(files)
            yield from distributed(place, folder)

    def judge(self, place: Place, contents: Contents) -> Judgement:
        """Whether all is there that a run goes on from, and of one step."""
        top = inside(place.files, "")
        names = {one.name for one in top}
        flaws = [*weight_flaws(top, contents), *name_flaws(top, contents)]
        if STATE not in names:
            flaws.append(Flaw(STATE, "is missing: it is written last", "missing"))
        step = contents.keys(STATE).get("global_step")
        if isinstance(step, int) and place.step is not None and step != place.step:
            flaws.append(Flaw(STATE, f"is of step {step:,}"))
        engines, shards = [], 0
        for folder, files in _folders(place):
            if zero.has_states(files):
                engines.append(zero.judge(files, contents))
            elif any(one.name == METADATA or one.name.endswith(".distcp") for one in files):
                shards += 1
                flaws += distributed_flaws(place, contents, folder)
        flaws += [flaw for engine in engines for flaw in engine.flaws]
        if not engines and not shards and not any(_WEIGHTS.fullmatch(name) for name in names):
            flaws.append(Flaw("", "it has no weights", "missing"))
        if contents.keys(ARGUMENTS).get("save_only_model") is not True:
            flaws += _lacking(names, has_engine=bool(engines), has_shards=bool(shards))
        ranks = {int(found[1] or 0) for name in names if (found := _RANDOM.fullmatch(name))}
        flaws += [Flaw(f"rng_state_{rank}.pth", "is missing", "missing") for rank in gaps(ranks)]
        world = next((one.world_size for one in engines if one.world_size), len(ranks) or None)
        # Other ranks than the first write their random states at the same time as it its state.
        complete = "rng_state.pth" in names or not ranks
        return Judgement(
            tuple(flaws), step if isinstance(step, int) else None, world, complete=complete, elastic=not engines
        )

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:  # noqa: ARG002
        """None: it takes the highest number."""
        return {}


def _is_own(name: str) -> bool:
    """Whether the Trainer writes such a file: alone in its folder it is what is left of a save, and nobody else's."""
    return any(names.fullmatch(name) for names in (_OWN, _TORCH, _RANDOM))


def _folders(place: Place) -> Iterator[tuple[str, list[Entry]]]:
    """The folders in a place, with the files right in each."""
    for folder in sorted({one.folder for one in place.files} - {""}):
        yield folder, inside(place.files, folder)


def _lacking(names: set[str], *, has_engine: bool, has_shards: bool) -> Iterator[Flaw]:
    """What a run that goes on needs beside weights; with DeepSpeed and FSDP the optimizer lies in their folders."""
    if not (has_engine or has_shards) and not names & {"optimizer.pt", "optimizer.bin"}:
        yield Flaw("optimizer.pt", "is missing", "missing")
    if not has_engine and "scheduler.pt" not in names:
        yield Flaw("scheduler.pt", "is missing", "missing")
    if not any(_RANDOM.fullmatch(name) for name in names):
        yield Flaw("rng_state.pth", "is missing", "missing")


@hookimpl
def checkpoint_format() -> HfTrainer:
    """The format this plugin knows."""
    return HfTrainer()
