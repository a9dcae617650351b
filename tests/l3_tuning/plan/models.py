"""Models whose sizes everybody knows, as config.json tells of them."""

from typing import Any

from aiops.layers.l3_tuning.data.dataset import Manifest
from aiops.layers.l3_tuning.recipe import Adapter, AdapterKind, DataPlan, Placement, Recipe, TrainPlan


def config(kind: str, sizes: tuple[int, int, int, int, int, int], **more: Any) -> dict[str, Any]:
    """A config.json: hidden, layers, intermediate, heads, heads of keys, vocabulary."""
    hidden, layers, inner, heads, keys, vocabulary = sizes
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": inner,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "vocab_size": vocabulary,
        **more,
    }


LLAMA_8B = config("llama", (4096, 32, 14336, 32, 8, 128_256), tie_word_embeddings=False)
LLAMA_70B = config("llama", (8192, 80, 28672, 64, 8, 128_256), tie_word_embeddings=False)
LLAMA_1B = config("llama", (2048, 16, 8192, 32, 8, 128_256), tie_word_embeddings=True, head_dim=64)
SMOLLM2 = config("llama", (576, 30, 1536, 9, 3, 49_152), tie_word_embeddings=True)
QWEN25_7B = config("qwen2", (3584, 28, 18944, 28, 4, 152_064), tie_word_embeddings=False)
MIXTRAL = config("mixtral", (4096, 32, 14336, 32, 8, 32_000), num_local_experts=8, num_experts_per_tok=2)

KNOWN = {
    "Llama-3.1-8B": (LLAMA_8B, 8_030_261_248),
    "Llama-3.1-70B": (LLAMA_70B, 70_553_706_496),
    "Llama-3.2-1B": (LLAMA_1B, 1_235_814_400),
    "SmolLM2-135M": (SMOLLM2, 134_515_008),
    "Mistral-7B-v0.1": (config("mistral", (4096, 32, 14336, 32, 8, 32_000)), 7_241_732_096),
    "Qwen2.5-7B": (QWEN25_7B, 7_615_616_512),
    "Qwen2.5-0.5B": (config("qwen2", (896, 24, 4864, 14, 2, 151_936), tie_word_embeddings=True), 494_032_768),
    "Qwen3-0.6B": (
        config("qwen3", (1024, 28, 3072, 16, 8, 151_936), head_dim=128, tie_word_embeddings=True),
        596_049_920,
    ),
    "Qwen3-8B": (config("qwen3", (4096, 36, 12288, 32, 8, 151_936), head_dim=128), 8_190_735_360),
    "Qwen3-30B-A3B": (
        config(
            "qwen3_moe",
            (2048, 48, 6144, 32, 4, 151_936),
            head_dim=128,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=768,
            decoder_sparse_step=1,
            mlp_only_layers=[],
        ),
        30_532_122_624,
    ),
    "Gemma-2-2B": (config("gemma2", (2304, 26, 9216, 8, 4, 256_000), head_dim=256), 2_614_341_888),
    "Gemma-2B": (config("gemma", (2048, 18, 16384, 8, 1, 256_000), head_dim=256), 2_506_172_416),
    "Phi-3-mini": (config("phi3", (3072, 32, 8192, 32, 32, 32_064)), 3_821_079_552),
    "Mixtral-8x7B": (MIXTRAL, 46_702_792_704),
}
"""As their publishers count them, and as the sum of their files' shapes."""


def recipe(
    *,
    adapter: AdapterKind = "lora",
    train: TrainPlan | None = None,
    placement: Placement | None = None,
    length: int = 2048,
    **more: Any,
) -> Recipe:
    """A recipe that is right."""
    return Recipe(
        "facts",
        "/shared/base",
        more.pop("method", "sft"),
        DataPlan(("/shared/data",), length=length),
        "/shared/runs",
        adapter=Adapter(adapter),
        train=train or TrainPlan(steps=100),
        placement=placement or Placement(sharding="none"),
        **more,
    )


def manifest(samples: int = 1000, tokens: int = 500_000, longest: int = 700) -> Manifest:
    """Of prepared data."""
    return Manifest("d" * 64, "prompt", samples, samples, tokens, tokens // 2, longest, False, 2048, 32_000)
