"""Mistakes of a recipe.yml that lie between its keys: each alone would do. Pure."""

from collections.abc import Callable, Iterator

from aiops.layers.core.places import Path

from .recipe import LEARNS, learner
from .recipe_document import NEEDED, RecipeDocument

Conflict = tuple[Path, str, str | None]
"""Where, what is wrong, what would fit."""

_EXAMPLES = {
    ("name",): "for example `name: facts`",
    ("base",): "the folder of a model, for example `base: /shared/models/llama-3.1-8b-instruct`",
    ("data", "train"): "files or folders of rows, for example `train: [/shared/data/facts]`",
    ("folder",): "a folder that all nodes share, for example `folder: /shared/runs/facts`",
}


def said(document: RecipeDocument, path: Path) -> object:
    """What stands at a path of keys."""
    found: object = document
    for part in path:
        found = getattr(found, "register_" if part == "register" else str(part), None)
    return found


def missing(document: RecipeDocument) -> Iterator[Conflict]:
    """What is needed before anything can run, and is not said."""
    for path in NEEDED:
        if not said(document, path):
            yield path, f"`{'.'.join(str(part) for part in path)}` is missing", _EXAMPLES[path]
    if document.train.epochs is None and document.train.steps is None:
        yield (
            ("train", "epochs"),
            "neither `train.epochs` nor `train.steps` is said",
            "for example `train: {epochs: 3}`",
        )


def _length(document: RecipeDocument) -> Iterator[Conflict]:
    train = document.train
    if train.epochs is not None and train.steps is not None:
        yield ("train", "steps"), "`train.epochs` and `train.steps` are both said", "leave one of the two out"
    if train.steps is not None and train.warmup >= train.steps:
        words = f"`train.warmup` is {train.warmup}, and there are {train.steps} steps in all"
        yield ("train", "warmup"), words, f"less than {train.steps}, or 0"


def _adapter(document: RecipeDocument) -> Iterator[Conflict]:
    adapter = document.adapter
    if adapter.type == "none":
        for key in ("layers", "targets"):
            if getattr(adapter, key):
                words = f"`adapter.{key}` is said, and `adapter.type` is `none`: all weights are trained"
                yield ("adapter", key), words, "leave it out, or say `type: lora`"
    if len(set(adapter.targets)) < len(adapter.targets):
        twice = next(one for one in adapter.targets if adapter.targets.count(one) > 1)
        yield ("adapter", "targets"), f"`adapter.targets` names `{twice}` twice", None


def _data(document: RecipeDocument) -> Iterator[Conflict]:
    data, method = document.data, document.method
    if data.evaluation and data.held_out:
        words = "`data.evaluation` names held-out files, and `data.held_out` holds out a part of `train` too"
        yield ("data", "held_out"), words, "leave one of the two out"
    fits = LEARNS[method]
    if data.format not in ("auto", *fits):
        words = f"`data.format` is `{data.format}`, and `method: {method}` learns {' or '.join(fits)}"
        yield ("data", "format"), words, f"`format: {fits[0]}`, or `method: {learner(data.format)}`"
    if data.packing and method == "dpo":
        words = "`data.packing` puts rows together, and dpo compares the two answers of each row"
        yield ("data", "packing"), words, "leave it out"
    if data.loss == "answer" and method == "pretrain":
        yield ("data", "loss"), "`data.loss` is `answer`, and text has none", "leave it out, or `loss: all`"
    if data.loss == "all" and method == "dpo":
        words = "`data.loss` is `all`, and dpo compares answers, not prompts"
        yield ("data", "loss"), words, "leave it out"
    if data.template is not None and method == "pretrain":
        yield ("data", "template"), "`data.template` is said, and text has no turns", "leave it out"


def _method(document: RecipeDocument) -> Iterator[Conflict]:
    if document.train.beta is not None and document.method != "dpo":
        words = f"`train.beta` is said, and `method` is `{document.method}`"
        yield ("train", "beta"), words, "leave it out: only dpo has it"


def _processors(document: RecipeDocument) -> Iterator[Conflict]:
    """What makes no sense on processors: bf16 and fp16 are emulated there, tens of times slower than fp32."""
    if document.placement.devices:
        return
    train, placement = document.train, document.placement
    if train.precision in ("bf16", "fp16"):
        words = f"`train.precision` is `{train.precision}`, and `placement.devices: 0` trains on processors"
        yield ("train", "precision"), words, "`precision: fp32`, or leave it out: processors emulate the others"
    if train.attention == "flash":
        words = "`train.attention` is `flash`, which processors do not have"
        yield ("train", "attention"), words, "`attention: sdpa`, or leave it out"
    if placement.vendor is not None:
        words = f"`placement.vendor` is `{placement.vendor}`, and `placement.devices` is 0"
        yield ("placement", "vendor"), words, "leave it out, or say how many `devices`"
    if placement.sharding == "fsdp":
        words = "`placement.sharding` is `fsdp`, and there is nothing to save on processors"
        yield ("placement", "sharding"), words, "`sharding: ddp`, or leave it out"


def _sharding(document: RecipeDocument) -> Iterator[Conflict]:
    placement = document.placement
    ranks = placement.nodes * (placement.processes or max(placement.devices, 1))
    if placement.sharding == "none" and ranks > 1:
        words = f"`placement.sharding` is `none`, and there are {ranks} processes"
        yield ("placement", "sharding"), words, "`ddp` or `fsdp`, or leave it out"
    if placement.sharding in ("ddp", "fsdp") and ranks == 1:
        words = f"`placement.sharding` is `{placement.sharding}`, and there is one process"
        yield ("placement", "sharding"), words, "`none`, or leave it out"
    if placement.devices and placement.processes is not None and placement.processes > placement.devices:
        words = f"`placement.processes` is {placement.processes}, for {placement.devices} devices"
        yield ("placement", "processes"), words, "at most one for each device; leave it out for that"
    if document.adapter.type == "qlora" and placement.sharding == "fsdp":
        words = "`placement.sharding` is `fsdp`, and `adapter.type: qlora` keeps its base in 4 bits"
        yield ("placement", "sharding"), words, "`ddp`, or `adapter.type: lora`"
    if placement.only and len(placement.only) < placement.nodes:
        words = f"`placement.only` names {len(placement.only)} of the {placement.nodes} nodes that are asked for"
        yield ("placement", "only"), words, f"name more, or set `placement.nodes` to {len(placement.only)}"


def _evaluation(document: RecipeDocument) -> Iterator[Conflict]:
    asked = document.evaluation
    if asked.right is not None and asked.questions is None:
        words = "`evaluation.right` is said, and there are no questions"
        yield ("evaluation", "right"), words, "name a file of them: `questions: exam.jsonl`"
    if asked.questions is not None and asked.right is None:
        words = "`evaluation.questions` is said, and not how many must be right"
        yield ("evaluation", "questions"), words, "for example `right: 80%`"
    if asked.questions is not None and document.method == "pretrain":
        words = "`evaluation.questions` is said, and `method: pretrain` teaches no answers"
        yield ("evaluation", "questions"), words, "judge it by `loss:`"
    if asked.loss is not None and not document.data.evaluation and not document.data.held_out:
        words = "`evaluation.loss` is said, and no rows are held out"
        yield ("evaluation", "loss"), words, "`data.held_out: 2%`, or name files in `data.evaluation`"


def _register(document: RecipeDocument) -> Iterator[Conflict]:
    handing = document.register_
    full = document.adapter.type == "none"
    if handing.merge and full:
        words = "`register.merge` is said, and `adapter.type: none` leaves nothing to merge"
        yield ("register", "merge"), words, "leave it out"
    if handing.gguf and not handing.merge and not full:
        words = "`register.gguf` asks for whole models, and an adapter is trained"
        yield ("register", "gguf"), words, "add `merge: true`"
    if len(set(handing.gguf)) < len(handing.gguf):
        yield ("register", "gguf"), "`register.gguf` names one twice", None


def _paths(document: RecipeDocument) -> Iterator[Conflict]:
    data = document.data
    for number, one in enumerate(data.train):
        for key in ("evaluation", "decontaminate"):
            if one in getattr(data, key):
                words = f"`data.train` names {one}, which `data.{key}` names too"
                yield ("data", "train", number), words, "name other files, or hold out a part with `held_out`"


_CHECKS: tuple[tuple[frozenset[str], Callable[[RecipeDocument], Iterator[Conflict]]], ...] = (
    (frozenset({"train"}), _length),
    (frozenset({"adapter"}), _adapter),
    (frozenset({"data", "method"}), _data),
    (frozenset({"train", "method"}), _method),
    (frozenset({"train", "placement"}), _processors),
    (frozenset({"placement", "adapter"}), _sharding),
    (frozenset({"evaluation", "data", "method"}), _evaluation),
    (frozenset({"register", "adapter"}), _register),
    (frozenset({"data"}), _paths),
)


def conflicts(document: RecipeDocument, spoiled: frozenset[str] = frozenset()) -> Iterator[Conflict]:
    """What is wrong between the keys.

    Args:
        document: A document that fits the model.
        spoiled: Top keys whose values are not the user's, for those were wrong by themselves: nothing is said of them.
    """
    for keys, check in _CHECKS:
        if not keys & spoiled:
            yield from check(document)
