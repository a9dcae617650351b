"""LLaMA-Factory: a flat YAML of its arguments, and dataset_info.json beside its rows.

Fields and values: `llamafactory/hparams/*.py` and `data/parser.py` of 0.9.5. Unknown ones are an error there.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l3_tuning.data.row import Row
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.run import Run
from aiops.layers.l3_tuning.trainer import Abilities, Proof, Refusal, Rendered

from .hugging_face import OPTIMIZERS, decoder_layer, flat_yaml, handover, own_template, rendered
from .rows import conversation, exports, message, messages, text

CONFIG = "llamafactory.yaml"
INFO = "rows/dataset_info.json"
_ATTENTIONS = {"sdpa": "sdpa", "eager": "disabled", "flash": "fa2"}
_STAGES = {"sft": "sft", "pretrain": "pt", "dpo": "dpo"}
_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function",
    "system_tag": "system",
}


class LlamaFactory:
    """The tool."""

    name = "llamafactory"
    title = "LLaMA-Factory"
    proof: Proof = "accepted"
    environment = "llamafactory"
    imports = ("torch", "llamafactory.hparams")
    abilities = Abilities(
        methods=frozenset({"pretrain", "sft", "dpo"}),
        adapters=frozenset({"lora", "qlora", "none"}),
        optimizers=frozenset({"adamw", "adamw-8bit", "adafactor", "sgd"}),
        processors=True,
        packing=True,
        options={
            "template": "one of its own chat templates, instead of the base's",
            "enable_liger_kernel": "kernels of liger-kernel",
            "use_rslora": "rank-stabilised LoRA",
            "use_dora": "DoRA",
            "neftune_noise_alpha": "noise in embeddings",
            "preprocessing_num_workers": "processes that tokenise",
            "dataloader_num_workers": "processes that load data",
        },
    )

    def refuse(self, recipe: Recipe) -> Iterable[Refusal]:
        """What of a recipe it cannot do past its abilities."""
        yield from own_template(recipe, self.title)
        if recipe.data.packing and recipe.method != "sft":
            words = "lets rows share samples; of LLaMA-Factory's methods only sft keeps them from seeing each other"
            yield Refusal(("data", "packing"), words, "leave it out, or `trainer: aiops`")
        if recipe.placement.sharding == "fsdp" and recipe.adapter.kind == "qlora":
            words = "is `fsdp`, which LLaMA-Factory cannot do with weights in 4 bits"
            yield Refusal(("placement", "sharding"), words, "say `ddp`, or `adapter.type: lora`")

    def code(self) -> Mapping[str, bytes]:
        """What runs its program."""
        return handover()

    def render(self, run: Run) -> Rendered:
        """The YAML, the list of data sets and the rows."""
        part = {"train": {"file_name": "train.jsonl", **_layout(run)}}
        if run.data.held_out is not None:
            part["evaluation"] = {"file_name": "evaluation.jsonl", **_layout(run)}
        return rendered(
            run,
            "llamafactory.launcher",
            [f"{run.folder}/{CONFIG}"],
            resume=["resume_from_checkpoint={}"],
            fresh=["overwrite_output_dir=true"],  # else it takes the newest that is there, whole or not
            files={
                CONFIG: flat_yaml(self._fields(run)),
                INFO: (json.dumps(part, indent=2) + "\n").encode(),
            },
            exports=exports(run, _writer(run)),
            own_template="template" in run.recipe.options,
        )

    def _fields(self, run: Run) -> dict[str, Any]:
        recipe = run.recipe
        train, data = recipe.train, recipe.data
        found: dict[str, Any] = {
            "model_name_or_path": run.base.path,
            "stage": _STAGES[recipe.method],
            "do_train": True,
            "finetuning_type": "full" if recipe.adapter.kind == "none" else "lora",
            "dataset_dir": f"{run.folder}/rows",
            "dataset": "train",
            "cutoff_len": data.length,
            "packing": data.packing,
            "output_dir": run.checkpoints,
            "max_steps": run.steps,
            "per_device_train_batch_size": train.batch,
            "gradient_accumulation_steps": train.accumulate,
            "learning_rate": train.rate,
            "lr_scheduler_type": train.schedule if train.schedule != "constant" else "constant_with_warmup",
            "warmup_steps": train.warmup,
            "weight_decay": train.weight_decay,
            "max_grad_norm": train.clip,
            "optim": OPTIMIZERS[train.optimizer],
            "bf16": train.precision == "bf16",
            "fp16": train.precision == "fp16",
            "flash_attn": _ATTENTIONS[train.attention],
            "disable_gradient_checkpointing": not train.recompute,
            "seed": train.seed,
            "data_seed": train.seed,
            "logging_steps": train.log_every,
            "save_strategy": "steps",
            "save_steps": recipe.checkpoint.every,
            "save_total_limit": recipe.checkpoint.keep,
            "report_to": "none",
            "ddp_timeout": 1800,
        }
        if recipe.method == "sft":
            found |= {
                "neat_packing": data.packing,
                "train_on_prompt": data.loss == "all",
                "mask_history": data.loss == "answer" and run.data.manifest.form == "prompt",
            }
        if recipe.method == "dpo":
            found |= {"pref_loss": "sigmoid", "pref_beta": train.beta}
        if recipe.placement.devices == 0:
            found |= {"use_cpu": True, "ddp_backend": "gloo"}
        if run.data.held_out is not None:
            found |= {
                "eval_dataset": "evaluation",
                "do_eval": True,
                "eval_strategy": "steps",
                "eval_steps": recipe.checkpoint.every,
                "per_device_eval_batch_size": train.batch,
            }
        return {**found, **_adapter(recipe), **_sharding(run), **recipe.options}


def _adapter(recipe: Recipe) -> dict[str, Any]:
    adapter = recipe.adapter
    if adapter.kind == "none":
        return {}
    found: dict[str, Any] = {
        "lora_rank": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
        "lora_target": ",".join(adapter.targets) or "all",
    }
    if adapter.kind == "qlora":
        found |= {
            "quantization_bit": 4,
            "quantization_method": "bnb",
            "quantization_type": "nf4",
            "double_quantization": True,
        }
    return found


def _sharding(run: Run) -> dict[str, Any]:
    if run.recipe.placement.sharding != "fsdp":
        return {}
    layer = decoder_layer(run.base.config)
    wrapped = {"transformer_layer_cls_to_wrap": [layer]} if layer else {}
    return {"fsdp": "full_shard auto_wrap", "fsdp_config": {"version": 2, "reshard_after_forward": True, **wrapped}}


def _layout(run: Run) -> dict[str, Any]:
    """What dataset_info.json says of a file of rows."""
    form = run.data.manifest.form
    if form == "text":
        return {"columns": {"prompt": "text"}}
    columns = {"messages": "messages", "tools": "tools"}
    if form == "preference":
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    return {"formatting": "openai", "ranking": form == "preference", "columns": columns, "tags": _TAGS}


def _writer(run: Run) -> Any:
    form = run.data.manifest.form
    if form == "text":
        return text
    return _preference if form == "preference" else _conversation


def _conversation(row: Row) -> Mapping[str, Any]:
    """Every row has the same columns there, or the loader takes none of them."""
    return {**conversation(row), "tools": json.dumps([dict(tool) for tool in row.tools]) if row.tools else ""}


def _preference(row: Row) -> Mapping[str, Any]:
    tools = json.dumps([dict(tool) for tool in row.tools]) if row.tools else ""
    chosen, rejected = message(row.answer[-1]), message(row.rejected[-1])
    return {"messages": messages(row.turns), "chosen": chosen, "rejected": rejected, "tools": tools}


@hookimpl
def trainer() -> LlamaFactory:
    """This tool."""
    return LlamaFactory()
