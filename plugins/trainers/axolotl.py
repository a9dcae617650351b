"""axolotl: its YAML, checked there by pydantic models.

Keys and values: `axolotl/utils/schemas/*.py`, `prompt_strategies/*` and `cli/train.py` of 0.19.0.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l3_tuning.data.row import Row
from aiops.layers.l3_tuning.recipe import Recipe
from aiops.layers.l3_tuning.run import Run
from aiops.layers.l3_tuning.trainer import Abilities, Proof, Refusal, Rendered

from .hugging_face import ATTENTIONS, OPTIMIZERS, decoder_layer, flat_yaml, handover, last_layers, rendered
from .rows import EVALUATION, TRAIN, conversation, exports, message, messages, text

CONFIG = "axolotl.yaml"
LEARNT = "learnt"
"""The key of a message that says whether it is learnt."""


class Axolotl:
    """The tool."""

    name = "axolotl"
    title = "axolotl"
    proof: Proof = "accepted"
    environment = "axolotl"
    imports = ("torch", "axolotl.cli.train")
    abilities = Abilities(
        methods=frozenset({"pretrain", "sft", "dpo"}),
        adapters=frozenset({"lora", "qlora", "none"}),
        optimizers=frozenset({"adamw", "adamw-8bit", "adafactor", "sgd"}),
        packing=True,
        layers=True,
        options={
            "trust_remote_code": "whether code of the base may run",
            "torch_compile": "compile the model",
            "liger_rope": "kernels of liger-kernel",
            "neftune_noise_alpha": "noise in embeddings",
            "dataloader_num_workers": "processes that load data",
            "context_parallel_size": "devices that share one sequence",
            "peft_use_dora": "DoRA",
            "peft_use_rslora": "rank-stabilised LoRA",
        },
    )

    def refuse(self, recipe: Recipe) -> Iterable[Refusal]:
        """What of a recipe it cannot do past its abilities."""
        if recipe.data.packing and recipe.train.attention != "flash":
            words = "lets rows share samples; axolotl keeps them from seeing each other only with flash attention"
            yield Refusal(("data", "packing"), words, "say `train.attention: flash`, or leave it out")
        if recipe.data.packing and recipe.method == "dpo":
            yield Refusal(
                ("data", "packing"), "lets preferences share samples, which axolotl cannot do", "leave it out"
            )
        if recipe.placement.sharding == "fsdp" and recipe.adapter.kind == "qlora" and recipe.method == "dpo":
            words = "is `fsdp`, which axolotl cannot do for dpo with weights in 4 bits"
            yield Refusal(("placement", "sharding"), words, "say `ddp`, or `adapter.type: lora`")
        if recipe.placement.sharding == "fsdp" and recipe.train.optimizer == "adafactor":
            words = "is `adafactor`, which axolotl cannot share by fsdp"
            yield Refusal(("train", "optimizer"), words, "say `adamw`, or `placement.sharding: ddp`")
        if recipe.method == "dpo" and recipe.data.template is not None:
            words = "is a file; for preferences axolotl takes the template of the base"
            yield Refusal(("data", "template"), words, "put it into the base's tokenizer_config.json")

    def code(self) -> Mapping[str, bytes]:
        """What runs its program."""
        return handover()

    def render(self, run: Run) -> Rendered:
        """The YAML and the rows."""
        writer = _writer(run)
        return rendered(
            run,
            "axolotl.cli.train",
            [f"{run.folder}/{CONFIG}"],
            resume=["--resume-from-checkpoint={}"],
            files={CONFIG: flat_yaml(self._fields(run))},
            exports=exports(run, writer),
            variables={"AXOLOTL_DO_NOT_TRACK": "1"},
        )

    def _fields(self, run: Run) -> dict[str, Any]:
        recipe = run.recipe
        train, data = recipe.train, recipe.data
        found: dict[str, Any] = {
            "base_model": run.base.path,
            "datasets": [_dataset(run, TRAIN)],
            "dataset_prepared_path": f"{run.folder}/prepared",
            "val_set_size": 0.0,
            "sequence_len": data.length,
            "excess_length_strategy": {"error": "raise", "truncate": "truncate", "drop": "drop"}[data.long],
            "sample_packing": data.packing,
            "pad_to_sequence_len": data.packing,
            "train_on_inputs": data.loss == "all",
            "output_dir": run.checkpoints,
            "max_steps": run.steps,
            "num_epochs": train.epochs or 1,
            "micro_batch_size": train.batch,
            "gradient_accumulation_steps": train.accumulate,
            "learning_rate": train.rate,
            "lr_scheduler": train.schedule if train.schedule != "constant" else "constant_with_warmup",
            "warmup_steps": train.warmup,
            "weight_decay": train.weight_decay,
            "max_grad_norm": train.clip,
            "optimizer": _optimizer(recipe),
            "bf16": train.precision == "bf16",
            "fp16": train.precision == "fp16",
            "tf32": False,
            "attn_implementation": ATTENTIONS[train.attention],
            "gradient_checkpointing": train.recompute,
            "seed": train.seed,
            "logging_steps": train.log_every,
            "save_strategy": "steps",
            "save_steps": recipe.checkpoint.every,
            "save_total_limit": recipe.checkpoint.keep,
        }
        if recipe.method == "sft":
            found |= {"chat_template": "tokenizer_default"}
            if data.template is not None:
                found |= {"chat_template": "jinja", "chat_template_jinja": data.template}
        if recipe.method == "dpo":
            found |= {"rl": "dpo", "rl_beta": train.beta, "chat_template": "tokenizer_default"}
        if run.data.held_out is not None:
            found |= {
                "test_datasets": [{**_dataset(run, EVALUATION), "split": "train"}],
                "eval_strategy": "steps",
                "eval_steps": recipe.checkpoint.every,
                "eval_sample_packing": False,
            }
        return {**found, **_adapter(run), **_sharding(run), **recipe.options}


def _optimizer(recipe: Recipe) -> str:
    """The 8-bit AdamW of bitsandbytes cannot be split by FSDP2; torchao's can."""
    if recipe.train.optimizer == "adamw-8bit" and recipe.placement.sharding == "fsdp":
        return "adamw_torch_8bit"
    return OPTIMIZERS[recipe.train.optimizer]


def _adapter(run: Run) -> dict[str, Any]:
    adapter = run.recipe.adapter
    if adapter.kind == "none":
        return {}
    found: dict[str, Any] = {
        "adapter": adapter.kind,
        "load_in_4bit": adapter.kind == "qlora",
        "lora_r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
    }
    if adapter.targets:
        found["lora_target_modules"] = list(adapter.targets)
    else:
        found["lora_target_linear"] = True
    layers = last_layers(run)
    return found if layers is None else found | {"peft_layers_to_transform": layers}


def _sharding(run: Run) -> dict[str, Any]:
    if run.recipe.placement.sharding != "fsdp":
        return {}
    layer = decoder_layer(run.base.config)
    config: dict[str, Any] = {
        "offload_params": False,
        "state_dict_type": "FULL_STATE_DICT",
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "cpu_ram_efficient_loading": run.recipe.adapter.kind != "qlora",
        "reshard_after_forward": True,
        "activation_checkpointing": run.recipe.train.recompute,
    }
    if layer:
        config["transformer_layer_cls_to_wrap"] = layer
    # Activations are recomputed by FSDP itself then: both together are an error there.
    return {"fsdp_version": 2, "fsdp_config": config, "gradient_checkpointing": False}


def _dataset(run: Run, file: str) -> dict[str, Any]:
    recipe, form = run.recipe, run.data.manifest.form
    path = f"{run.folder}/{file}"
    if form == "text":
        return {"path": path, "ds_type": "json", "type": "completion", "field": "text"}
    if form == "preference":
        return {
            "path": path,
            "ds_type": "json",
            "split": "train",
            "type": "chat_template.default",
            "field_messages": "messages",
            "field_chosen": "chosen",
            "field_rejected": "rejected",
        }
    found: dict[str, Any] = {
        "path": path,
        "ds_type": "json",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "train_on_eos": "turn",
    }
    if recipe.data.loss == "all":
        return found | {"roles_to_train": ["system", "user", "assistant", "tool"]}
    return found | {"message_field_training": LEARNT, "roles_to_train": []}


def _writer(run: Run) -> Any:
    form = run.data.manifest.form
    if form == "text":
        return text
    return _preference if form == "preference" else partial(_conversation, run.recipe.data.loss == "all")


def _conversation(everything: bool, row: Row) -> Mapping[str, Any]:
    """A conversation whose messages say which of them are learnt: of a prompt's only the answer."""
    found = conversation(row)
    last = len(row.turns) if row.form == "prompt" else 0
    for number, one in enumerate(found["messages"]):
        one[LEARNT] = everything or (one["role"] == "assistant" and number >= last)
    return found


def _preference(row: Row) -> Mapping[str, Any]:
    return {
        "messages": messages(row.turns),
        "chosen": message(row.answer[-1]),
        "rejected": message(row.rejected[-1]),
    }


@hookimpl
def trainer() -> Axolotl:
    """This tool."""
    return Axolotl()
