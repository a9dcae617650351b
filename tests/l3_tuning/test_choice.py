"""Which shipped recipe a model's config.json leads to."""

from typing import Any

import pytest
from tests.l3_tuning.trainer_contract import LLAMA

from aiops.layers.l3_tuning.beginning import beginning
from aiops.layers.l3_tuning.choice import _FAMILIES, fitting, parameters
from aiops.layers.l3_tuning.recipe_file import read_recipe
from aiops.layers.l3_tuning.shipped import shipped


KEYS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
)


def config(kind: str, *sizes: int, **more: Any) -> dict[str, Any]:
    return {"model_type": kind, **dict(zip(KEYS, sizes, strict=True)), **more}


@pytest.mark.parametrize(
    ("said", "billions", "name"),
    [
        (LLAMA, 8.03, "llama-3-8b-sft-lora"),
        (config("llama", 2048, 8192, 16, 32, 8, 128256, tie_word_embeddings=True), 1.24, "llama-3-1b-sft-lora"),
        (config("llama", 576, 1536, 30, 9, 3, 49152, tie_word_embeddings=True), 0.134, "smollm2-135m-sft-lora"),
        (config("qwen2", 896, 4864, 24, 14, 2, 151936, tie_word_embeddings=True), 0.494, "qwen25-05b-sft-full"),
        (config("mixtral", 4096, 14336, 32, 32, 8, 32000, num_local_experts=8), 46.7, "mixtral-8x7b-sft-qlora"),
        (config("llama", 16384, 53248, 126, 128, 8, 128256), 405.8, None),
        (config("gpt2", 768, 3072, 12, 12, 12, 50257), None, None),
    ],
)
def test_a_model_leads_to_the_recipe_of_its_family_and_size(
    said: Any, billions: float | None, name: str | None
) -> None:
    count = parameters(said)
    if billions is not None:
        assert count is not None
        assert count / 1e9 == pytest.approx(billions, rel=0.02)
    assert fitting(said) == name


def test_what_says_too_little_leads_to_none() -> None:
    assert fitting({}) is None
    assert fitting({"model_type": "llama", "hidden_size": "x"}) is None


def test_all_that_is_chosen_is_shipped() -> None:
    chosen = {name for family in _FAMILIES.values() for _, name in family}
    assert chosen <= set(shipped())


@pytest.mark.parametrize("name", [None, *shipped()])
def test_what_is_begun_can_be_read(name: str | None) -> None:
    text = beginning(name, None)
    assert read_recipe(text, "recipe.yml", folder="/").document.extends == name
    body = "".join(line.removeprefix("# ") + "\n" for line in text.partition("to be changed here:\n")[2].splitlines())
    if name is not None:  # what stands there behind `#` is right once the marks are taken off
        kept = "aiops: 1\nname: a\nbase: /m\nfolder: /r\n"
        read_recipe(kept + body, "recipe.yml", folder="/", partial=True)
