"""State: what a checkpoint of this trainer holds, written through `aiops.checkpoint`, no pickle in it.

Where ranks hold the same weights the first one writes them; where weights are split each writes its part. So that a
checkpoint that lacks a rank is never whole, each rank writes at least its name.
"""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from aiops import checkpoint

from .model import Model
from .optimizer import own_part, remembered, remind
from .ranks import Ranks
from .work import Work


def save(work: Work, ranks: Ranks, model: Model, optimizer: Any, scaler: Any, *, step: int) -> str:
    """Save the state after `step` steps; all ranks call it. The path of the checkpoint."""

    def write(folder: str) -> None:
        place = Path(folder)
        document: dict[str, Any] = {"rank": ranks.rank, "step": step}
        if model.split or ranks.first:
            weights = {name: own_part(one).contiguous() for name, one in model.trained.items()}
            tensors, plain = remembered(optimizer, model.trained)
            save_file(weights, place / f"weights-{ranks.rank}.safetensors")
            save_file(tensors, place / f"optimizer-{ranks.rank}.safetensors")
            document |= {"optimizer": plain, "scaler": scaler.state_dict()}
        (place / f"rank-{ranks.rank}.json").write_text(json.dumps(document))

    return checkpoint.save(
        work.checkpoints,
        step,
        write,
        keep=max(2, work.keep),
        data={"digests": dict(work.digests), "world": work.world, "steps": work.steps, "trainer": "aiops"},
        rank=ranks.rank,
        world_size=ranks.world,
    )


def load(folder: Path, ranks: Ranks, model: Model, optimizer: Any, scaler: Any) -> None:
    """Go on from a checkpoint that `work.refuse_changed` has let pass."""
    import torch

    number = ranks.rank if model.split else 0
    weights = load_file(folder / f"weights-{number}.safetensors")
    with torch.no_grad():
        for name, one in model.trained.items():
            own_part(one).copy_(weights.pop(name))
    if weights:
        raise ValueError(f"{folder} has weights that this model has not: {', '.join(sorted(weights)[:3])}")
    document = json.loads((folder / f"rank-{number}.json").read_text())
    tensors = load_file(folder / f"optimizer-{number}.safetensors")
    remind(optimizer, model.trained, tensors, document["optimizer"])
    scaler.load_state_dict(document["scaler"])
