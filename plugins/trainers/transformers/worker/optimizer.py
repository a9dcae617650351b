"""Optimizer: which it is, what it remembers of each weight, and the learning rate of a step."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from .work import Work


def optimizer_of(work: Work, trained: Mapping[str, Any]) -> Any:
    """The recipe's optimizer. Its rate is set before each step (`rate_at`)."""
    parameters = list(trained.values())
    if work.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=work.rate, weight_decay=work.weight_decay)
    if work.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=work.rate, weight_decay=work.weight_decay)
    if work.optimizer == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(
            parameters, lr=work.rate, weight_decay=work.weight_decay, scale_parameter=False, relative_step=False
        )
    from bitsandbytes.optim import AdamW8bit

    return AdamW8bit(parameters, lr=work.rate, weight_decay=work.weight_decay)


def rate_at(work: Work, step: int) -> float:
    """The learning rate of a step, counted from 0: it rises in `warmup` steps, then falls to 0 at the end, or stays.

    As in transformers' schedules: the first step of a warmup has none, the first after it the whole rate. Pure.
    """
    if step < work.warmup:
        return work.rate * step / work.warmup
    if work.schedule == "constant":
        return work.rate
    done = (step - work.warmup) / max(1, work.steps - work.warmup)
    if work.schedule == "linear":
        return work.rate * (1 - done)
    return work.rate * 0.5 * (1 + math.cos(math.pi * done))


def remembered(optimizer: Any, trained: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What it remembers, by `WEIGHT|NAME`: tensors, of split weights this rank's part; and plain values."""
    tensors: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    seen: set[int] = set()
    for name, parameter in trained.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                # bitsandbytes' states share `qmap1` and `qmap2`, and a safetensors file has nothing shared: hence a
                # copy. Only of these, for copies of all would be the most memory that a run ever takes.
                own = own_part(value)
                place = own.untyped_storage().data_ptr()
                tensors[f"{name}|{key}"] = (own.clone() if place in seen else own).contiguous()
                seen.add(place)
            else:
                plain[f"{name}|{key}"] = value
    return tensors, plain


def remind(optimizer: Any, trained: Mapping[str, Any], tensors: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
    """Have it remember what `remembered` told."""
    for whole, value in {**tensors, **plain}.items():
        name, _, key = whole.rpartition("|")
        parameter = trained[name]
        one = value
        if isinstance(value, torch.Tensor):
            # AdamW counts its steps on the CPU, wherever the weight is.
            one = value.clone() if key == "step" else like(parameter, value)
        optimizer.state[parameter][key] = one


def own_part(value: Any) -> Any:
    """This rank's part of a split tensor; the tensor itself where it is none."""
    return (value.to_local() if hasattr(value, "to_local") else value).detach()


def like(parameter: Any, value: Any) -> Any:
    """A tensor where a weight is, and split like it where it has the shape of its part."""
    if not hasattr(parameter, "to_local"):
        return value.to(parameter.device)
    from torch.distributed.tensor import DTensor

    local = parameter.to_local()
    value = value.to(local.device)
    if value.shape != local.shape:
        return value
    return DTensor.from_local(
        value, parameter.device_mesh, parameter.placements, shape=parameter.shape, stride=parameter.stride()
    )
