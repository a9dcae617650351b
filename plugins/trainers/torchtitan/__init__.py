"""torchtitan: words of its command line, and a module of ours that it asks for what these cannot say.

Words and values: `config/configs.py`, `components/*` and `hf_datasets/text_datasets.py` of 0.3.0. It trains all weights
of its own models on text or on single questions with their answers, and always lets rows share samples.
"""

import json
import math
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from aiops.layers.core.errors import InputError
from aiops.layers.core.plugin import hookimpl
from aiops.layers.l3_tuning.data.row import Row
from aiops.layers.l3_tuning.recipe import Attention, Recipe
from aiops.layers.l3_tuning.run import Run
from aiops.layers.l3_tuning.trainer import Abilities, Proof, Refusal, Rendered
from aiops.plugins.trainers.hugging_face import DTYPES, handover, own_template, rendered
from aiops.plugins.trainers.rows import EVALUATION, TRAIN, conversation, exports, text

from .models import flavor_of, unfit

SETTINGS = "torchtitan.json"
MODULE = "torchtitan_recipe"
_ATTENTIONS: Mapping[Attention, str] = {"sdpa": "flex", "flash": "varlen"}
"""Of its own for language models these two keep rows of a sample apart; the first is PyTorch's, without a package."""

_KEPT = 2
"""It keeps at least so many checkpoints: of the newest it does not know whether it is whole."""

_PATIENCE = 1800
"""Seconds that ranks wait for each other: the first writes checkpoints meanwhile. Its own 100 are too few for that."""


class Torchtitan:
    """The tool."""

    name = "torchtitan"
    title = "torchtitan"
    proof: Proof = "accepted"
    environment = "torchtitan"
    imports = ("torch", "torchtitan.trainer")
    abilities = Abilities(
        methods=frozenset({"pretrain", "sft"}),
        adapters=frozenset({"none"}),
        precisions=frozenset({"bf16", "fp32"}),
        attentions=frozenset(_ATTENTIONS),
        packing=True,
        loss_all=False,
        options={
            "compile": "compile the model and the loss",
            "cpu_offload": "keep weights, gradients and the optimizer in the nodes' memory",
        },
        unfit=unfit,
    )

    def refuse(self, recipe: Recipe) -> Iterable[Refusal]:
        """What of a recipe it cannot do past its abilities."""
        yield from own_template(recipe, self.title)
        if recipe.adapter.kind == "lora":
            words = "is `lora`, which torchtitan can train and cannot write: its export leaves the adapter out"
            yield Refusal(("adapter", "type"), words, "say `none`, or `trainer: aiops`")
        if not recipe.data.packing:
            words = "is not asked for, and torchtitan always lets rows share samples; they do not see each other"
            yield Refusal(("data", "packing"), words, "say `packing: true`, or `trainer: aiops`")
        if recipe.data.long == "truncate":
            words = "is `truncate`; torchtitan leaves out conversations that are longer, and goes on with longer text"
            yield Refusal(("data", "long"), words, "say `drop` or `error`")
        if recipe.train.attention == "flash" and recipe.train.precision == "fp32":
            words = "is `fp32`, and torchtitan's flash attention calculates in bf16"
            yield Refusal(("train", "precision"), words, "say `bf16`, or `attention: sdpa`")
        for name in self.abilities.options:
            if not isinstance(recipe.options.get(name, False), bool):
                yield Refusal(("options", name), "is neither true nor false", f"`{name}: true`")

    def code(self) -> Mapping[str, bytes]:
        """What runs its program, and what it asks."""
        return {**handover(), f"{MODULE}.py": (files(__package__) / "registry.py").read_bytes()}

    def render(self, run: Run) -> Rendered:
        """The words, the settings and the rows.

        Raises:
            InputError: The base is none of its models, or there are fewer rows than ranks (`recipe.base`,
                `recipe.rows`).
        """
        if run.data.manifest.rows < run.world:
            raise InputError(
                f"there are {run.data.manifest.rows} rows for {run.world} ranks, and torchtitan gives each its own",
                code="recipe.rows",
                hints=["fewer nodes or devices: `placement:` of the recipe", "or `trainer: aiops`"],
            )
        words = [word for name, value in self._fields(run).items() for word in _words(name, value)]
        form = run.data.manifest.form
        return rendered(
            run,
            "torchtitan.train",
            ["--module", MODULE, "--config", "recipe", *words],
            files={SETTINGS: (json.dumps(self._settings(run), indent=1) + "\n").encode()},
            exports=exports(run, text) if form == "text" else exports(run, conversation, _no_pair),
            variables={"TORCHTITAN_RECIPE": f"{run.folder}/{SETTINGS}"},
            checkpoint_format="dcp",
            bare=True,
        )

    def _settings(self, run: Run) -> dict[str, Any]:
        flavor = flavor_of(run.base.config)
        if flavor is None:
            words, hint = unfit(run.base.config) or ("is none of torchtitan's models", "`trainer: aiops` trains any")
            raise InputError(f"{run.base.path} {words}", code="recipe.base", hints=[hint])
        train, held_out = run.recipe.train, run.data.held_out
        # A rank without rows of its own would look for one for ever.
        held = held_out is not None and held_out.rows >= run.world
        batches = 1 if held_out is None else max(1, math.ceil(held_out.samples / (train.batch * run.world)))
        return {
            "model": flavor.module,
            "flavor": flavor.name,
            "attention": _ATTENTIONS[train.attention],
            "method": run.recipe.method,
            "rows": f"{run.folder}/{TRAIN}",
            "evaluation": f"{run.folder}/{EVALUATION}" if held else None,
            "evaluation_steps": batches,
            "every": run.recipe.checkpoint.every,
            "rate": train.rate,
            "weight_decay": train.weight_decay,
            "recompute": train.recompute,
            "steps": run.steps,
            "metrics": run.metrics,
        }

    def _fields(self, run: Run) -> dict[str, Any]:
        recipe = run.recipe
        train = recipe.train
        split = recipe.placement.sharding == "fsdp"
        kept = str(run.base.config.get("dtype") or run.base.config.get("torch_dtype"))
        found: dict[str, Any] = {
            "hf_assets_path": run.base.path,
            "dump_folder": run.folder,
            "training.local_batch_size": train.batch,
            "training.global_batch_size": train.batch * train.accumulate * run.world,
            "training.seq_len": recipe.data.length,
            "training.steps": run.steps,
            # No clipping is a norm that is never passed; 0 would cut all gradients to nothing.
            "training.max_norm": train.clip or "inf",
            "training.dtype": "float32",
            "training.mixed_precision_param": DTYPES[train.precision],
            "lr_scheduler.warmup_steps": train.warmup,
            "lr_scheduler.decay_type": train.schedule if train.schedule != "constant" else "linear",
            "parallelism.data_parallel_shard_degree": run.world if split else 1,
            "parallelism.data_parallel_replicate_degree": 1 if split else run.world,
            "checkpoint.enable": True,
            "checkpoint.folder": "checkpoints",
            "checkpoint.interval": recipe.checkpoint.every,
            "checkpoint.keep_latest_k": max(_KEPT, recipe.checkpoint.keep),
            "checkpoint.initial_load_in_hf": True,
            "checkpoint.last_save_in_hf": True,
            "checkpoint.export_dtype": kept if kept in {"bfloat16", "float16", "float32"} else "bfloat16",
            "comm.init_timeout_seconds": _PATIENCE,
            "comm.train_timeout_seconds": _PATIENCE,
            "metrics.log_freq": train.log_every,
            "metrics.disable_color_printing": True,
            "debug.seed": train.seed,
            "training.disable_cuda_graphs": train.attention == "flash",
            "training.enable_cpu_offload": bool(recipe.options.get("cpu_offload", False)),
            "compile.enable": bool(recipe.options.get("compile", False)),
        }
        if train.schedule == "constant":
            found["lr_scheduler.decay_ratio"] = 0.0
        return found


def _words(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    return [f"--{name}={value}"]


def _no_pair(row: Row) -> str | None:
    """Why a conversation is not one that it learns; None where it is."""
    turns = (*row.turns, *row.answer)
    if [one.role for one in turns] != ["user", "assistant"]:
        roles = ", ".join(one.role for one in turns)
        return f"is a conversation of {roles}; torchtitan learns one question of the user's and its answer"
    if row.tools or any(one.calls for one in turns):
        return "calls tools, which torchtitan does not learn"
    return None


@hookimpl
def trainer() -> Torchtitan:
    """This tool."""
    return Torchtitan()
