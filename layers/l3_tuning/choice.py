"""Choice: which shipped recipe is for a model, by what its config.json says. Pure."""

from collections.abc import Mapping
from typing import Any

_FAMILIES: Mapping[str, tuple[tuple[float, str], ...]] = {
    "llama": (
        (0.25e9, "smollm2-135m-sft-lora"),
        (0.6e9, "smollm-360m-sft-full"),
        (2e9, "llama-3-1b-sft-lora"),
        (5e9, "llama-3-3b-sft-lora"),
        (20e9, "llama-3-8b-sft-lora"),
        (100e9, "llama-3-70b-sft-lora"),
    ),
    "qwen2": ((1e9, "qwen25-05b-sft-full"), (20e9, "qwen25-7b-sft-lora"), (50e9, "qwen25-32b-sft-lora")),
    "qwen3": ((2e9, "qwen3-06b-sft-lora"), (20e9, "qwen3-8b-sft-lora"), (50e9, "qwen3-32b-sft-qlora")),
    "gemma2": ((20e9, "gemma-2-9b-sft-lora"),),
    "gemma3_text": ((3e9, "gemma-3-1b-sft-qlora"),),
    "mistral": ((15e9, "mistral-7b-sft-lora"),),
    "mixtral": ((60e9, "mixtral-8x7b-sft-qlora"),),
}
"""By `model_type` the recipe for models of up to so many parameters."""


def parameters(config: Mapping[str, Any]) -> float | None:
    """About how many parameters a decoder has; None where its config does not say what is needed for that."""
    try:
        hidden, layers, vocabulary = (int(config[key]) for key in ("hidden_size", "num_hidden_layers", "vocab_size"))
        inner, heads = int(config["intermediate_size"]), int(config["num_attention_heads"])
        keys = int(config.get("num_key_value_heads") or heads)
        size = int(config.get("head_dim") or hidden // heads)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    experts = int(config.get("num_local_experts") or 1)
    attention = hidden * size * (2 * heads + 2 * keys)
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return float(layers * (attention + 3 * hidden * inner * experts) + embeddings)


def fitting(config: Mapping[str, Any]) -> str | None:
    """The shipped recipe for a model; None where none is."""
    count = parameters(config)
    if count is None:
        return None
    return next((name for most, name in _FAMILIES.get(str(config.get("model_type")), ()) if count <= most), None)
