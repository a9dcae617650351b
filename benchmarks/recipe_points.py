"""What recipe_memory.py compares estimates with: published peaks, and trainings that it runs itself.

Published: the tables of torchtune's README ("Memory and training speed", "Optimization flags"; commit 7d470bf of
github.com/meta-pytorch/torchtune) and the config files that they name (recipes/configs/llama3_1, llama3_2). They are
of the allocator, so an estimate is compared without what the driver takes for itself. What is said of each
row: batch 2, packed to 2048 tokens, compiled; of the ladder: batch 2, packed to 4096 tokens, each row with what those
above it have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiops.layers.l3_tuning.plan.work import HALF, Work


@dataclass(frozen=True)
class Point:
    """A training whose peak is known, or can be measured.

    Attributes:
        config: Its config.json.
        work: What is done.
        measured: GiB; None before it was measured.
        doubt: What of its configuration is not said; another reading of it is `other`.
    """

    name: str
    config: Mapping[str, Any]
    work: Work
    measured: float | None = None
    doubt: str = ""
    other: Work | None = None


def _llama(hidden: int, layers: int, inner: int, heads: int, *, tied: bool = False) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128_256,
        "tie_word_embeddings": tied,
    }


_3B = _llama(3072, 28, 8192, 24, tied=True)
_8B = _llama(4096, 32, 14336, 32)
_70B = _llama(8192, 80, 28672, 64)
_405B = _llama(16384, 126, 53248, 128)

_TARGETS = ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""`lora_attn_modules: [q_proj, v_proj, output_proj]`, `apply_lora_to_mlp: True` of the config files."""

_NO_RECOMPUTE = (
    "the config file recomputes and fits a 4090; the figure of an A6000 is explained only without recomputing, and the "
    "table does not say it"
)
_OFFLOADED = "whether activations are offloaded is not said; the config file does not"
_BATCH = "the README says batch 2 of all rows, the config file has batch 1; the file's is taken, the other beside it"
_RANK = (
    "the config files have rank 64 in the version that we read, those of other sizes 8; which one the row had is not "
    "said; the file's is taken, the other beside it"
)


def _tune(**more: Any) -> Work:
    """All in bf16 as torchtune keeps it, states of AdamW too."""
    said: dict[str, Any] = {"compute": HALF, "frozen": HALF, "trained": HALF, "state": HALF, "batch": 2, "masked": True}
    return Work(**{**said, **more})


def _row(**more: Any) -> Work:
    return _tune(length=2048, compiled=True, loss="compiled", **more)


def _rung(**more: Any) -> Work:
    return _tune(**{"length": 4096, "adapter": "none", "recompute": False, **more})


_PAGED: dict[str, Any] = {"adapter": "none", "optimizer": "adamw-8bit", "paged": True, "step_in_backward": True}
_LORA: dict[str, Any] = {"adapter": "lora", "rank": 8, "targets": _TARGETS}
_OFF: dict[str, Any] = {"compiled": True, "loss": "compiled", "recompute": True, "offloaded": True}
_ADAPTED: dict[str, Any] = {"targets": _TARGETS, **_OFF}

PUBLISHED = (
    Point("8B full, 4090", _8B, _row(**_PAGED), 18.9),
    Point("8B full, A6000", _8B, _row(**_PAGED, recompute=False), 37.4, _NO_RECOMPUTE),
    Point("8B LoRA, 4090", _8B, _row(**_LORA), 16.2, _OFFLOADED, _row(**_LORA, offloaded=True)),
    Point("8B LoRA, A6000", _8B, _row(**_LORA, recompute=False), 30.3, _NO_RECOMPUTE),
    Point("8B QLoRA, 4090", _8B, _row(**{**_LORA, "adapter": "qlora"}), 7.4),
    Point("70B LoRA, 8 x A100", _70B, _row(**{**_LORA, "rank": 16}, world=8, sharding="fsdp"), 27.6),
    Point(
        "405B QLoRA, 8 x A100",
        _405B,
        _row(**{**_LORA, "adapter": "qlora", "rank": 16}, batch=1, world=8, sharding="fsdp"),
        44.8,
        _BATCH,
        _row(**{**_LORA, "adapter": "qlora", "rank": 16}, world=8, sharding="fsdp"),
    ),
    Point("3B packed", _3B, _rung(), 60.0),
    Point("3B + compile", _3B, _rung(compiled=True), 51.0),
    Point("3B + chunked loss", _3B, _rung(compiled=True, loss="compiled"), 42.9),
    Point("3B + recompute", _3B, _rung(compiled=True, loss="compiled", recompute=True), 24.9),
    Point(
        "3B + step in backward",
        _3B,
        _rung(compiled=True, loss="compiled", recompute=True, step_in_backward=True),
        23.1,
    ),
    Point("3B + offloading", _3B, _rung(**_OFF, step_in_backward=True), 21.8),
    Point("3B + 8-bit AdamW", _3B, _rung(**_OFF, step_in_backward=True, optimizer="adamw-8bit"), 17.6),
    Point(
        "3B LoRA",
        _3B,
        _rung(**_ADAPTED, adapter="lora", rank=64),
        8.5,
        _RANK,
        _rung(**_ADAPTED, adapter="lora", rank=8),
    ),
    Point(
        "3B QLoRA",
        _3B,
        _rung(**_ADAPTED, adapter="qlora", rank=64),
        4.6,
        _RANK,
        _rung(**_ADAPTED, adapter="qlora", rank=8),
    ),
)


def _small(kind: str, hidden: int, layers: int, inner: int, heads: int, keys: int, vocabulary: int, **more: Any) -> Any:  # noqa: PLR0917
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "vocab_size": vocabulary,
        "tie_word_embeddings": False,
        **more,
    }


_WIDE = _small("llama", 512, 8, 1408, 8, 4, 32_000)
_DEEP = _small("llama", 384, 16, 1024, 6, 2, 8_000)
_SMOLLM2 = _small("llama", 576, 30, 1536, 9, 3, 49_152, tie_word_embeddings=True)
_QWEN3 = _small("qwen3", 512, 8, 1408, 8, 2, 16_000, head_dim=64)
_QWEN2 = _small("qwen2", 448, 8, 2432, 7, 1, 24_000, tie_word_embeddings=True)
_PHI3 = _small("phi3", 512, 8, 1408, 8, 8, 16_000, pad_token_id=0, eos_token_id=1, bos_token_id=1)
_MIXTRAL = _small("mixtral", 384, 6, 768, 6, 2, 16_000, num_local_experts=4, num_experts_per_tok=2)


def _here(**more: Any) -> Work:
    said: dict[str, Any] = {"compute": 4, "frozen": 4, "trained": 4, "state": 4, "processors": True, "recompute": False}
    return Work(**{**said, **more})


TRIALS = (
    Point("wide full b4 l256", _WIDE, _here(adapter="none", batch=4, length=256)),
    Point("wide full b4 l512 recompute", _WIDE, _here(adapter="none", batch=4, length=512, recompute=True)),
    Point("wide LoRA b8 l256", _WIDE, _here(batch=8, length=256)),
    Point("wide LoRA b2 l512 recompute", _WIDE, _here(batch=2, length=512, recompute=True)),
    Point("wide DPO LoRA b2 l256", _WIDE, _here(method="dpo", batch=2, length=256)),
    Point("deep full b8 l256 sgd", _DEEP, _here(adapter="none", batch=8, length=256, optimizer="sgd")),
    Point("deep full b4 l256 adafactor", _DEEP, _here(adapter="none", batch=4, length=256, optimizer="adafactor")),
    Point("deep full b2 l256 accumulate 2", _DEEP, _here(adapter="none", batch=2, length=256, accumulate=2)),
    Point("deep LoRA b4 l512 eager", _DEEP, _here(batch=4, length=512, attention="eager")),
    Point("deep LoRA b4 l512 packed", _DEEP, _here(batch=1, length=2048, masked=True)),
    Point("deep DPO full b2 l256", _DEEP, _here(method="dpo", adapter="none", batch=2, length=256)),
    Point("SmolLM2 full b1 l256 recompute", _SMOLLM2, _here(adapter="none", batch=1, length=256, recompute=True)),
    Point("SmolLM2 LoRA b2 l256", _SMOLLM2, _here(batch=2, length=256)),
    Point("SmolLM2 LoRA top 6 b4 l128", _SMOLLM2, _here(batch=4, length=128, layers=6)),
    Point("SmolLM2 DPO LoRA b1 l256 recompute", _SMOLLM2, _here(method="dpo", batch=1, length=256, recompute=True)),
    Point("Qwen3 LoRA q,v b8 l256", _QWEN3, _here(batch=8, length=256, targets=("q_proj", "v_proj"))),
    Point("Qwen3 full b4 l256", _QWEN3, _here(adapter="none", batch=4, length=256)),
    Point("Qwen2 LoRA r64 b4 l256", _QWEN2, _here(batch=4, length=256, rank=64)),
    Point("Phi-3 full b4 l256", _PHI3, _here(adapter="none", batch=4, length=256)),
    Point("Mixtral full b4 l128", _MIXTRAL, _here(adapter="none", batch=4, length=128)),
)
"""Trained here, all in fp32: on processors bf16 is many times slower. SmolLM2 has its real sizes and random weights."""
