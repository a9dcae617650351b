"""ms-swift: the words of `swift sft`, `swift pt` and `swift rlhf`; it has no file of settings.

Arguments and values: `swift/arguments/*.py`, `swift/trainers/arguments.py` and `swift/cli/*.py` of 4.6.0.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l3_tuning.data.row import Row
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.run import Run
from aiops.layers.l3_tuning.trainer import Abilities, Proof, Refusal, Rendered

from .hugging_face import ATTENTIONS, DTYPES, OPTIMIZERS, handover, last_layers, own_template, rendered
from .rows import EVALUATION, TRAIN, conversation, exports, messages

_MODULES = {"sft": "swift.cli.sft", "pretrain": "swift.cli.pt", "dpo": "swift.cli.rlhf"}
_BASE_TEMPLATE = "dummy"
"""A template of its own must be named where it would have to guess; with `template_backend jinja` the base's counts."""

_KINDS = {"llama": "llama"}
"""What it calls kinds of models, by the `model_type` of config.json, where several of its own have one architecture:
it refuses to guess. They differ in their templates, and ours is the base's."""

_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of a decoder's layer by their usual names, where layers are chosen and targets are not."""


class MsSwift:
    """The tool."""

    name = "ms-swift"
    title = "ms-swift"
    proof: Proof = "accepted"
    environment = "ms-swift"
    imports = ("torch", "swift.arguments")
    abilities = Abilities(
        methods=frozenset({"pretrain", "sft", "dpo"}),
        adapters=frozenset({"lora", "qlora", "none"}),
        optimizers=frozenset({"adamw", "adamw-8bit", "adafactor", "sgd"}),
        processors=True,
        packing=True,
        layers=True,
        options={
            "model_type": "which of its kinds of models the base is, where its config.json leaves that open",
            "template": "one of its own chat templates, instead of the base's",
            "use_liger_kernel": "kernels of liger-kernel",
            "use_rslora": "rank-stabilised LoRA",
            "use_dora": "DoRA",
            "neftune_noise_alpha": "noise in embeddings",
            "dataset_num_proc": "processes that tokenise",
            "dataloader_num_workers": "processes that load data",
            "sequence_parallel_size": "devices that share one sequence",
        },
    )

    def refuse(self, recipe: Recipe) -> Iterable[Refusal]:
        """What of a recipe it cannot do past its abilities."""
        yield from own_template(recipe, self.title)
        if recipe.data.packing and recipe.train.attention != "flash":
            words = "lets rows share samples, which ms-swift does with flash attention only"
            yield Refusal(("data", "packing"), words, "say `train.attention: flash`, or leave it out")
        if recipe.placement.sharding == "fsdp" and recipe.adapter.kind == "qlora":
            words = "is `fsdp`, which ms-swift cannot do with weights in 4 bits"
            yield Refusal(("placement", "sharding"), words, "say `ddp`, or `adapter.type: lora`")

    def code(self) -> Mapping[str, bytes]:
        """What runs its program."""
        return handover()

    def render(self, run: Run) -> Rendered:
        """The words and the rows."""
        writer = {"text": _text, "preference": _preference}.get(run.data.manifest.form, conversation)
        words = [word for name, value in self._fields(run).items() for word in _words(name, value)]
        return rendered(
            run,
            _MODULES[run.recipe.method],
            words,
            resume=["--resume_from_checkpoint", "{}"],
            exports=exports(run, writer),
            own_template="template" in run.recipe.options,
        )

    def _fields(self, run: Run) -> dict[str, Any]:
        recipe = run.recipe
        train, data = recipe.train, recipe.data
        found: dict[str, Any] = {
            "model": run.base.path,
            "use_hf": True,
            "template_backend": "swift" if "template" in recipe.options else "jinja",
            "dataset": f"{run.folder}/{TRAIN}",
            "split_dataset_ratio": 0,
            "dataset_shuffle": False,
            "strict": True,
            "max_length": data.length,
            # Longer rows are judged when the data is prepared: none is left that this could drop.
            "truncation_strategy": "right" if data.long == "truncate" else "delete",
            "packing": data.packing,
            "output_dir": run.checkpoints,
            "add_version": False,
            "max_steps": run.steps,
            "per_device_train_batch_size": train.batch,
            "gradient_accumulation_steps": train.accumulate,
            "learning_rate": train.rate,
            "lr_scheduler_type": train.schedule if train.schedule != "constant" else "constant_with_warmup",
            "warmup_steps": train.warmup,
            "weight_decay": train.weight_decay,
            "max_grad_norm": train.clip,
            "optim": OPTIMIZERS[train.optimizer],
            "torch_dtype": DTYPES[train.precision],
            "bf16": train.precision == "bf16",
            "fp16": train.precision == "fp16",
            "attn_impl": ATTENTIONS[train.attention],
            "gradient_checkpointing": train.recompute,
            "seed": train.seed,
            "data_seed": train.seed,
            "logging_steps": train.log_every,
            "save_strategy": "steps",
            "save_steps": recipe.checkpoint.every,
            "save_total_limit": recipe.checkpoint.keep,
            "report_to": "none",
        }
        if "template" not in recipe.options:
            found["template"] = _BASE_TEMPLATE
        kind = _KINDS.get(str(run.base.config.get("model_type")))
        if kind is not None:
            found["model_type"] = kind
        if recipe.method == "sft":
            last = run.data.manifest.form == "prompt"
            found["loss_scale"] = "all" if data.loss == "all" else "last_round" if last else "default"
        if recipe.method == "dpo":
            found |= {"rlhf_type": "dpo", "beta": train.beta}
        if recipe.placement.devices == 0:
            found |= {"use_cpu": True, "ddp_backend": "gloo"}
        if recipe.placement.sharding == "fsdp":
            found["fsdp"] = "fsdp2"
        if run.data.held_out is not None:
            found |= {
                "val_dataset": f"{run.folder}/{EVALUATION}",
                "eval_strategy": "steps",
                "eval_steps": recipe.checkpoint.every,
                "per_device_eval_batch_size": train.batch,
            }
        return {**found, **_adapter(run), **recipe.options}


def _adapter(run: Run) -> dict[str, Any]:
    adapter = run.recipe.adapter
    if adapter.kind == "none":
        return {"tuner_type": "full"}
    found: dict[str, Any] = {
        "tuner_type": "lora",
        "lora_rank": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
    }
    layers = last_layers(run)
    if layers is not None:
        names = "|".join(re.escape(one) for one in adapter.targets or _LINEAR)
        found["target_regex"] = rf".*\.layers\.({'|'.join(map(str, layers))})\..*({names})"
    else:
        found["target_modules"] = list(adapter.targets) or ["all-linear"]
    if adapter.kind == "qlora":
        dtype = DTYPES[run.recipe.train.precision]
        found |= {"quant_method": "bnb", "quant_bits": 4, "bnb_4bit_quant_type": "nf4"}
        found |= {"bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": dtype}
    return found


def _words(name: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *(json.dumps(one) if isinstance(one, bool | int | float) else str(one) for one in values)]


def _text(row: Row) -> Mapping[str, Any]:
    """Its continued pre-training takes a text for an answer without a question."""
    return {"messages": [{"role": "assistant", "content": row.text}]}


def _preference(row: Row) -> Mapping[str, Any]:
    return {**conversation(row), "rejected_messages": messages((*row.turns, *row.rejected))}


@hookimpl
def trainer() -> MsSwift:
    """This tool."""
    return MsSwift()
