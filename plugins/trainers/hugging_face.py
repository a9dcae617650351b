"""What tools have in common: names of transformers, on whose Trainer most stand, and how their programs are run."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from aiops.layers.l3_tuning.recipe import Attention, Optimizer, Precision, Recipe
from aiops.layers.l3_tuning.run import Run, processes_of
from aiops.layers.l3_tuning.trainer import Refusal, Rendered

OPTIMIZERS: Mapping[Optimizer, str] = {
    "adamw": "adamw_torch",
    "adamw-8bit": "adamw_bnb_8bit",
    "adafactor": "adafactor",
    "sgd": "sgd",
}
"""Names of transformers' `optim`."""

ATTENTIONS: Mapping[Attention, str] = {"sdpa": "sdpa", "eager": "eager", "flash": "flash_attention_2"}
DTYPES: Mapping[Precision, str] = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
HANDOVER = "handover.py"
PROGRESS = r"aiops: step (?P<step>\d+)/\d+ loss (?P<loss>[\d.]+(?:e[-+]?\d+)?)"
"""What `handover.py` prints; it must be one line, for the launcher looks at each line for itself."""


def handover() -> dict[str, bytes]:
    """The code that a run keeps."""
    return {HANDOVER: (files(__package__) / HANDOVER).read_bytes()}


def rendered(
    run: Run,
    module: str,
    words: Sequence[str],
    *,
    resume: Sequence[str] = (),
    fresh: Sequence[str] = (),
    checkpoint_format: str = "hf-trainer",
    **more: Any,
) -> Rendered:
    """A run whose ranks are a tool's own module.

    Args:
        run: The run.
        module: What `python -m` would run.
        words: That it is given in any case.
        resume: More, where it goes on; `{}` is the checkpoint.
        fresh: More, where it begins.
        checkpoint_format: What its checkpoints are.
        more: Other attributes of `Rendered`.
    """
    given = [
        *(part for word in resume for part in ("--resume", word)),
        *(p for word in fresh for p in ("--fresh", word)),
    ]
    command = (
        f"{run.environment}/bin/torchrun",
        f"{run.worker}/{HANDOVER}",
        module,
        run.metrics,
        *given,
        "--",
        *words,
    )
    return Rendered(
        command=command,
        launch="torchrun",
        processes=processes_of(run.recipe),
        checkpoint_format=checkpoint_format,
        progress=PROGRESS,
        output="checkpoints",
        **more,
    )


def decoder_layer(config: Mapping[str, Any]) -> str | None:
    """The class of a decoder's layers, which FSDP splits by; None where the base does not say what it is.

    By the custom of transformers' model files: `LlamaForCausalLM` is made of `LlamaDecoderLayer`.
    """
    names = config.get("architectures") or []
    name = str(names[0]) if names else ""
    return f"{name.removesuffix('ForCausalLM')}DecoderLayer" if name.endswith("ForCausalLM") else None


def last_layers(run: Run) -> list[int] | None:
    """Numbers of the decoder's last layers where only these get adapters; None for all."""
    wanted, count = run.recipe.adapter.layers, run.base.config.get("num_hidden_layers")
    if wanted is None or not isinstance(count, int):
        return None
    return list(range(max(0, count - wanted), count))


def own_template(recipe: Recipe, tool: str) -> Iterable[Refusal]:
    """That a chat template of the recipe's cannot be handed to a tool."""
    if recipe.data.template is not None:
        yield Refusal(
            ("data", "template"),
            f"is a file, and {tool} takes the template of the base only",
            "put it into the base's tokenizer_config.json, or `trainer: aiops`",
        )


def flat_yaml(fields: Mapping[str, Any]) -> bytes:
    """A file of settings, one key a line in our order: people read it too."""
    lines = [f"{name}: {_inline(value)}" for name, value in fields.items()]
    return ("\n".join(["# Rendered by aiops; a change here is not part of the recipe.", *lines]) + "\n").encode()


def _inline(value: Any) -> str:
    """JSON is YAML, but for floats like `2e-05`, which YAML 1.1 takes for text."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_inline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, float) and "e" in repr(value) and "." not in repr(value):
        return repr(value).replace("e", ".0e")
    return json.dumps(value, ensure_ascii=False)
