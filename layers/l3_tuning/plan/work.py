"""Work: what one process of a training does in a step, as far as it takes memory. Pure.

It can say more than a recipe can: published figures are of trainers with other habits, and are compared as they were
made (benchmarks/recipe_memory.py).
"""

from dataclasses import dataclass, replace
from typing import Literal

from aiops.layers.l3_tuning.recipe import AdapterKind, Attention, Method, Optimizer, Recipe, Sharding

LossKind = Literal["whole", "chunked", "compiled", "rows"]
"""How the loss is made of logits: of all at once; in parts of which one at a time is in 32 bits, all being kept
(`chunked`), or none being kept (`compiled`); or in rows of few tokens, never holding all logits (`rows`)."""

HALF, FULL = 2, 4
"""Bytes of a number in bf16 or fp16, and in fp32."""


@dataclass(frozen=True, slots=True)
class Work:
    """One process of a training.

    Attributes:
        batch: Samples in a pass, pairs of preferences for dpo; `length` tokens each.
        accumulate: Passes to a step: gradients outlive a pass where there are several.
        rank: Of adapters; `targets` and `layers` as in a recipe; `dropout` whether they have any.
        compute: Bytes of a number that is calculated with.
        frozen: Bytes of a weight that is not trained; `trained` of one that is, and of its gradient; `state` of one
            number of the optimizer's.
        attention: The kernel.
        masked: Whether attention is given a mask: packed rows, or samples of several lengths in a batch.
        recompute: Activations inside layers are computed again.
        world: Processes of all nodes together.
        processors: Whether it trains on processors.
        loss: How the loss is made of logits.
        compiled: Whether layers are compiled: element-wise steps are computed again, not kept.
        step_in_backward: Whether each weight is changed, and its gradient freed, as soon as that is there.
        offloaded: Whether what recomputing keeps is moved to the node's memory.
        paged: Whether the optimizer's states are in the node's memory.
        casts: Whether weights in fp32 are cast for calculating, and the copies kept through a pass (autocast).
    """

    method: Method = "sft"
    adapter: AdapterKind = "lora"
    rank: int = 16
    targets: tuple[str, ...] = ()
    layers: int | None = None
    dropout: bool = False
    batch: int = 1
    length: int = 2048
    accumulate: int = 1
    compute: int = HALF
    frozen: int = HALF
    trained: int = FULL
    state: int = FULL
    optimizer: Optimizer = "adamw"
    attention: Attention = "sdpa"
    masked: bool = False
    recompute: bool = True
    world: int = 1
    sharding: Sharding = "none"
    processors: bool = False
    loss: LossKind = "whole"
    compiled: bool = False
    step_in_backward: bool = False
    offloaded: bool = False
    paged: bool = False
    casts: bool = False

    @property
    def tokens(self) -> int:
        """That are calculated with in one pass. A pair of preferences is two samples."""
        return self.batch * self.length * (2 if self.method == "dpo" else 1)

    @property
    def shards(self) -> int:
        """Among how many processes weights, gradients and states are split."""
        return self.world if self.sharding == "fsdp" else 1


def work_of(recipe: Recipe, longest: int | None = None) -> Work:
    """What the shipped trainer does of a recipe.

    Args:
        recipe: Resolved.
        longest: Tokens of the longest sample, once the data is prepared: no pass is longer.
    """
    train, adapter, place = recipe.train, recipe.adapter, recipe.placement
    processes = place.processes or max(place.devices, 1)
    world = place.nodes * processes
    compute = FULL if train.precision == "fp32" else HALF
    whole = adapter.kind == "none"
    sharding: Sharding = place.sharding if world > 1 else "none"
    return Work(
        method=recipe.method,
        adapter=adapter.kind,
        rank=adapter.rank,
        targets=adapter.targets,
        layers=adapter.layers,
        dropout=adapter.dropout > 0,
        batch=train.batch,
        length=min(recipe.data.length, longest) if longest else recipe.data.length,
        accumulate=train.accumulate,
        compute=compute,
        frozen=compute,
        trained=FULL,
        state=FULL,
        optimizer=train.optimizer,
        attention=train.attention,
        masked=recipe.data.packing,
        recompute=train.recompute,
        world=world,
        sharding=sharding,
        processors=place.devices == 0,
        casts=whole and compute == HALF and sharding != "fsdp",
    )


def alone(work: Work) -> Work:
    """The same without others."""
    return replace(work, world=1, sharding="none")
