"""A recipe as a document again: whole, canonical, with a digest, and compared with another key by key. Pure."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from aiops.layers.l2_jobs.quantity import span

from .recipe import Recipe

QUESTIONS = "evaluation.questions"

BY_CONTENT = (
    "base",
    "data.train",
    "data.evaluation",
    "data.template",
    "data.decontaminate",
    QUESTIONS,
)
"""Keys that hold paths of what has a digest of its own: another path with the same content is the same."""

OUTSIDE = (
    "folder",
    "environment",
    "data.allow",
    "placement.vendor",
    "placement.only",
    "placement.engine",
    "placement.queue",
    "placement.priority",
    "placement.spares",
    "placement.time",
    "checkpoint.keep",
    "train.log_every",
)
"""Keys that say where and when it runs, and nothing of what is learnt: a run may go on with others."""


def document_of(recipe: Recipe) -> dict[str, Any]:
    """All that a recipe says, as recipe.yml says it; what `recipe_file` makes the same recipe of."""
    data, adapter, train, placement = recipe.data, recipe.adapter, recipe.train, recipe.placement
    asked, handing = recipe.evaluation, recipe.handing
    pretrain, dpo = recipe.method == "pretrain", recipe.method == "dpo"
    found: dict[str, Any] = {
        "aiops": 1,
        "kind": "recipe",
        "name": recipe.name,
        "base": recipe.base,
        "method": recipe.method,
        "adapter": {"type": adapter.kind}
        if adapter.kind == "none"
        else {
            "type": adapter.kind,
            "rank": adapter.rank,
            "alpha": adapter.alpha,
            "dropout": adapter.dropout,
            "targets": list(adapter.targets) or None,
            "layers": adapter.layers,
        },
        "data": {
            "train": list(data.train),
            "evaluation": list(data.evaluation) or None,
            "held_out": data.held_out or None,
            "format": data.form,
            "template": data.template,
            "length": data.length,
            "long": data.long,
            "packing": data.packing,
            "loss": None if pretrain or dpo else data.loss,
            "duplicates": data.duplicates,
            "mask": list(data.mask) or None,
            "decontaminate": list(data.decontaminate) or None,
            "allow": list(data.allow) or None,
        },
        "folder": recipe.folder,
        "train": {
            "epochs": train.epochs,
            "steps": train.steps,
            "batch": train.batch,
            "accumulate": train.accumulate,
            "rate": train.rate,
            "warmup": train.warmup,
            "schedule": train.schedule,
            "weight_decay": train.weight_decay,
            "clip": train.clip,
            "optimizer": train.optimizer,
            "precision": train.precision,
            "attention": train.attention,
            "recompute": train.recompute,
            "seed": train.seed,
            "beta": train.beta if dpo else None,
            "log_every": train.log_every,
        },
        "placement": {
            "nodes": placement.nodes,
            "devices": placement.devices,
            "processes": placement.processes,
            "vendor": placement.vendor,
            "only": list(placement.only) or None,
            "sharding": placement.sharding,
            "engine": placement.engine,
            "queue": placement.queue,
            "priority": placement.priority,
            "spares": placement.spares,
            "time": None if placement.time is None else span(placement.time),
        },
        "checkpoint": {"every": recipe.checkpoint.every, "keep": recipe.checkpoint.keep},
        "evaluation": {
            "questions": asked.questions,
            "right": asked.right or None,
            "tokens": asked.tokens if asked.questions else None,
            "loss": asked.loss,
        },
        "register": {
            "name": handing.name,
            "alias": handing.alias,
            "merge": handing.merge or None,
            "gguf": list(handing.gguf) or None,
        },
        "trainer": recipe.trainer,
        "environment": recipe.environment,
        "options": dict(sorted(recipe.options.items())) or None,
    }
    return _without_nothing(found)


def _without_nothing(found: Mapping[str, Any]) -> dict[str, Any]:
    whole = {key: _without_nothing(one) if isinstance(one, dict) else one for key, one in found.items()}
    return {key: one for key, one in whole.items() if one is not None and one != {}}


def yaml_of(document: Mapping[str, Any], head: str = "") -> str:
    """A document as YAML, always the same for the same one.

    Args:
        document: What it says.
        head: Lines of comment in front.
    """
    import yaml

    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)
    return "".join(f"# {line}\n" for line in head.splitlines()) + text


def flat(document: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Its values by dotted key: `train.rate`."""
    for key, one in document.items():
        if isinstance(one, Mapping):
            yield from flat(one, f"{above}{key}.")
        else:
            yield f"{above}{key}", one


def digest_of(recipe: Recipe, questions: str | None = None) -> str:
    """sha256 of all that decides what is learnt, in canonical JSON: without paths of what has a digest of its own.

    Args:
        recipe: Resolved.
        questions: sha256 of the file of its evaluation's questions; None where it asks none, or before it is read.
    """
    left = (*BY_CONTENT, *OUTSIDE)
    kept = {key: one for key, one in flat(document_of(recipe)) if key not in left}
    if questions is not None:
        kept[QUESTIONS] = questions
    return sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def differences(old: Recipe, new: Recipe) -> tuple[tuple[str, Any, Any], ...]:
    """Keys that decide what is learnt and differ, each with its old and new value; None for what is not said."""
    left = (*BY_CONTENT, *OUTSIDE)
    before, after = dict(flat(document_of(old))), dict(flat(document_of(new)))
    keys = sorted({*before, *after} - set(left))
    return tuple((key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key))
