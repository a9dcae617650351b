"""The files that DeepSpeed's engine writes into one folder, wherever that is: its own, a trainer's, Lightning's.

Names and keys: deepspeed/runtime/engine.py (`_get_ckpt_name`, `_get_zero_ckpt_name`, `_save_checkpoint`) and
runtime/pipe/module.py (`ckpt_layer_path`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from aiops.layers.l2_jobs.checkpoint.facts import Contents, Entry, Flaw, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement

from .parts import gaps, name_flaws

KEYS = ("dp_world_size", "mp_world_size", "global_steps")
STATES = re.compile(r".*_(?:model|optim)_states\.pt")
_MODEL = re.compile(r"mp_rank_(\d+)_model_states\.pt")
_ZERO = re.compile(r"((?:bf16_|fp16_)?)zero_pp_rank_(\d+)_mp_rank_(\d+)_(model|optim)_states\.pt")
_LAYER = re.compile(r"layer_(\d+)-model_(\d+)-model_states\.pt")


def has_states(files: Sequence[Entry]) -> bool:
    """Whether files of a folder are of DeepSpeed."""
    return any(STATES.fullmatch(one.name) for one in files)


def readings(files: Sequence[Entry]) -> Iterator[Reading]:
    """What is to be read of them."""
    for one in files:
        if STATES.fullmatch(one.name):
            yield Reading(one.path, "torch", KEYS)


def judge(files: Sequence[Entry], contents: Contents) -> Judgement:
    """Whether all ranks are there, by the numbers that the files themselves tell."""
    told = [contents.keys(one.path) for one in files if one.name.endswith("_model_states.pt")]
    sizes = {key: {one[key] for one in told if isinstance(one.get(key), int)} for key in KEYS}
    flaws = [
        Flaw("", f"its files tell different values of {key}: {', '.join(map(str, sorted(found)))}")
        for key, found in sizes.items()
        if len(found) > 1
    ]
    data, model, step = (next(iter(sizes[key]), None) if len(sizes[key]) == 1 else None for key in KEYS)
    flaws += _missing(files, data, model)
    flaws += name_flaws(files, contents)
    return Judgement(
        tuple(flaws),
        step,
        data * model if data and model else None,
        complete=data is not None,
        elastic=False,
    )


def _missing(files: Sequence[Entry], data: int | None, model: int | None) -> Iterator[Flaw]:
    names = [one.name for one in files]
    folder = files[0].folder if files else ""
    head = f"{folder}/" if folder else ""
    models = {int(found[1]) for name in names if (found := _MODEL.fullmatch(name))}
    zero: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for found in filter(None, map(_ZERO.fullmatch, names)):
        zero.setdefault((found[1], found[4]), set()).add((int(found[3]), int(found[2])))
    layers: dict[int, set[int]] = {}
    for found in filter(None, map(_LAYER.fullmatch, names)):
        layers.setdefault(int(found[1]), set()).add(int(found[2]))
    has_whole_models = any(kind == "model" for _, kind in zero)
    if not models and not has_whole_models:
        yield Flaw(f"{head}mp_rank_00_model_states.pt", "is missing", "missing")
    for rank in gaps(models, model if models and not layers else None):
        yield Flaw(f"{head}mp_rank_{rank:02}_model_states.pt", "is missing", "missing")
    for (prefix, kind), pairs in zero.items():
        columns = {column for column, _ in pairs}
        count = data if data is not None else max(row for _, row in pairs) + 1
        for column in sorted(columns | models | set(range(model or 0))):
            for row in gaps({row for own, row in pairs if own == column}, count):
                name = f"{prefix}zero_pp_rank_{row}_mp_rank_{column:02}_{kind}_states.pt"
                yield Flaw(head + name, "is missing", "missing")
    yield from _missing_layers(head, layers)


def _missing_layers(head: str, layers: Mapping[int, set[int]]) -> Iterator[Flaw]:
    """Each layer has as many parts as the one that has most."""
    width = max((max(columns) + 1 for columns in layers.values()), default=0)
    for number, columns in sorted(layers.items()):
        for column in gaps(columns, width):
            yield Flaw(f"{head}layer_{number:02}-model_{column:02}-model_states.pt", "is missing", "missing")
