"""Layout: how many processes share the work, and what a step is made of. Pure."""

import math
from dataclasses import dataclass

from aiops.layers.l3_tuning.data.dataset import Manifest
from aiops.layers.l3_tuning.recipe import Recipe

from .work import work_of


@dataclass(frozen=True, slots=True)
class Layout:
    """How the work is shared.

    Attributes:
        processes: Of each node; `world` of all.
        sharding: How they share it; `none` for one process.
        batch: Samples of one process in one pass; `step` those of all in one step.
        most_tokens: Of a step, at most.
        samples: Of the data, and `tokens`; None before it is prepared. `padding` is the part of a pass that is none of
            the data, about.
        steps: In all; None where they are counted in epochs and the data is not prepared.
        epochs: Likewise, the other way round.
    """

    nodes: int
    devices: int
    processes: int
    world: int
    sharding: str
    batch: int
    accumulate: int
    step: int
    most_tokens: int
    samples: int | None
    tokens: int | None
    steps: int | None
    epochs: float | None

    @property
    def total_tokens(self) -> int | None:
        """That are read in all steps, about; None before the data is prepared."""
        if self.samples is None or self.tokens is None or self.steps is None or not self.samples:
            return None
        return round(self.steps * self.step * self.tokens / self.samples)


def layout_of(recipe: Recipe, manifest: Manifest | None) -> Layout:
    """How the work is shared.

    Args:
        recipe: Resolved.
        manifest: Of the prepared data; None before it is.
    """
    train, place = recipe.train, recipe.placement
    work = work_of(recipe, None if manifest is None else manifest.longest)
    step = work.world * train.batch * train.accumulate
    samples = None if manifest is None else manifest.samples
    steps, epochs = train.steps, train.epochs
    if steps is None and epochs is not None and samples is not None:
        steps = max(math.ceil(epochs * samples / step), 1)
    elif steps is not None and samples:
        epochs = steps * step / samples
    return Layout(
        nodes=place.nodes,
        devices=place.devices,
        processes=place.processes or max(place.devices, 1),
        world=work.world,
        sharding=work.sharding,
        batch=train.batch,
        accumulate=train.accumulate,
        step=step,
        most_tokens=work.tokens * work.world * train.accumulate,
        samples=samples,
        tokens=None if manifest is None else manifest.tokens,
        steps=steps,
        epochs=epochs,
    )
