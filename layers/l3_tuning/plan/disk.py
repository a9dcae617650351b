"""Disk: what a run writes into its folder. Pure."""

from dataclasses import dataclass

from aiops.layers.l3_tuning.data.dataset import Manifest
from aiops.layers.l3_tuning.recipe import Recipe

from .memory import trained_parameters
from .model import Model
from .work import FULL, HALF, work_of

_GGUF = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32}
"""Bytes of a weight by type: q8_0 is blocks of 32 bytes with a scale of 2 (ggml, `block_q8_0`)."""

_TOKEN = 4 + 1
"""Bytes of a token: its number and its mask (`data/dataset.py`); of packed data 4 more for its row."""

_SEGMENT = 4
_SAMPLE = 16


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """Bytes that a run writes.

    Attributes:
        checkpoint: One; there are `kept` and one more while it is written.
        artefact: The tuned model, in all the forms that are asked for.
        data: Tokens; None before the data is prepared. Whoever knows them has them on the disk: they are told, and not
            counted once more.
        there: What lies there of checkpoints already; new ones take their place.
    """

    checkpoint: int
    kept: int
    artefact: int
    data: int | None
    there: int = 0

    @property
    def total(self) -> int:
        """What has to be free for it, at its most."""
        return max(self.checkpoint * (self.kept + 1) - self.there, 0) + self.artefact


def disk_need(recipe: Recipe, model: Model, manifest: Manifest | None, there: int = 0) -> DiskNeed:
    """What a run writes.

    Args:
        recipe: Resolved.
        model: Its base.
        manifest: Of the prepared data; None before it is.
        there: Bytes of the checkpoints of a run that goes on.
    """
    work = work_of(recipe)
    trained = trained_parameters(model, work)
    states = {"adamw": 2 * FULL, "adamw-8bit": 2}.get(recipe.train.optimizer, 0)
    whole = recipe.adapter.kind == "none"
    saved = HALF if work.compute == HALF else FULL
    artefact = trained * saved if whole else trained * FULL
    if recipe.handing.merge and not whole:
        artefact += model.stored or model.total * saved  # the base's own files, with an adapter put into them
    artefact += sum(int(model.total * _GGUF.get(kind, float(FULL))) for kind in recipe.handing.gguf)
    data = None
    if manifest is not None:
        each = _TOKEN + (_SEGMENT if manifest.packed else 0)
        data = manifest.tokens * each + manifest.samples * _SAMPLE * (3 if manifest.form == "preference" else 1)
    return DiskNeed(trained * (FULL + states), recipe.checkpoint.keep, artefact, data, there)
