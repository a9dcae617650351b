"""Tuned: the weights that were learnt, gathered from all ranks and written as PEFT and transformers would."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import template
from .model import Model
from .ranks import Ranks
from .work import Work


def gathered(work: Work, ranks: Ranks, model: Model) -> dict[str, Any]:
    """All trained weights, whole, on the CPU, on the first rank; all ranks call it, and others keep nothing.

    Each is taken in the type that it is written in, one after the other: an adapter's in fp32, a whole model's in its
    base's.
    """
    import torch

    kind = torch.float32 if work.adapter["kind"] != "none" else kind_of(work)
    found = {}
    for name, one in model.trained.items():
        value = one.full_tensor() if hasattr(one, "full_tensor") else one
        if ranks.first:
            found[name] = value.detach().to(kind).cpu().contiguous()
    return found


def kind_of(work: Work) -> Any:
    """The type of the base's weights, as its config.json says."""
    import torch
    from transformers import AutoConfig

    return getattr(AutoConfig.from_pretrained(work.base, local_files_only=True), "dtype", None) or torch.float32


def write(work: Work, model: Model, weights: Mapping[str, Any]) -> str:
    """Write them below the artefact, with the tokenizer; where, by the name of the part."""
    shutil.rmtree(work.artefact, ignore_errors=True)
    adapted = work.adapter["kind"] != "none"
    part = "adapter" if adapted else "model"
    place = work.artefact / part
    place.mkdir(parents=True)
    if adapted:
        model.net.save_pretrained(place, state_dict=dict(weights))
    else:
        _save_whole(work, model.net, weights, place)
    template.serving_tokenizer(work).save_pretrained(place)
    return part


def _save_whole(work: Work, net: Any, weights: Mapping[str, Any], place: Path) -> None:
    kind = kind_of(work)
    # Of what is not trained only buffers: a weight that is tied to another is that one, and tied again when loaded.
    buffers = net.state_dict().keys() & {name for name, _ in net.named_buffers()}
    state = {**{name: net.get_buffer(name).to(kind).cpu() for name in sorted(buffers)}, **weights}
    net.config.use_cache = True
    net.config.dtype = kind
    net.save_pretrained(place, state_dict=state)
