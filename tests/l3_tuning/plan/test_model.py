"""Parameters are counted exactly, from config.json and from the weights' own headers."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.plan.architecture import model_of
from aiops.layers.l3_tuning.plan.model import adapter_parameters
from aiops.layers.l3_tuning.plan.model_folder import header, read_model

from .models import KNOWN, LLAMA_8B, MIXTRAL, SMOLLM2, config

TINY = config("llama", (8, 2, 16, 2, 1, 32), tie_word_embeddings=False)
"""Of a layer: 2 x 64 for queries and output, 2 x 32 for keys and values, 384 for the rest, 2 norms of 8."""


@pytest.mark.parametrize("name", KNOWN)
def test_known_models_are_counted_exactly(name: str) -> None:
    said, parameters = KNOWN[name]
    assert model_of(said).total == parameters
    assert model_of(said).known


def test_a_tiny_model_by_hand() -> None:
    model = model_of(TINY)
    assert model.layer == 2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 16 + 2 * 8
    assert model.total == 2 * model.layer + 2 * 32 * 8 + 8
    assert model.outside == 2 * 32 * 8 + 8


def test_of_experts_only_the_active_ones_see_a_token() -> None:
    model = model_of(MIXTRAL)
    assert model.used == 12_879_925_248  # 12.9 B, as published
    assert (model.experts, model.active) == (8, 2)
    assert model.intermediate == 2 * 14336
    assert "gate_proj" not in model.linears


def test_layers_without_experts_are_dense() -> None:
    said = config("qwen3_moe", (64, 4, 128, 4, 2, 100), num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32)
    sparse, mixed = model_of(said), model_of({**said, "mlp_only_layers": [0]})
    assert sparse.total - mixed.total == 64 * 4 + 4 * 3 * 64 * 32 - 3 * 64 * 128


def test_adapters_are_counted_by_hand() -> None:
    model = model_of(TINY)
    assert adapter_parameters(model, 4, ("q_proj",), None) == 2 * 4 * (8 + 8)
    assert adapter_parameters(model, 4, ("k_proj", "down_proj"), 1) == 4 * (8 + 4 + 16 + 8)
    # All seven of Llama-3.1-8B with rank 16, as PEFT tells of it.
    assert adapter_parameters(model_of(LLAMA_8B), 16, (), None) == 41_943_040


def test_an_unknown_architecture_is_said() -> None:
    model = model_of({**TINY, "model_type": "mamba9"})
    assert not model.known
    assert "mamba9" in model.notes[0]


def test_the_text_part_of_a_larger_model_counts() -> None:
    inner = {**SMOLLM2, "model_type": "gemma3_text", "head_dim": 64}
    assert model_of({"model_type": "gemma3", "text_config": inner}).kind == "gemma3_text"


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size"])
@pytest.mark.parametrize("value", [None, 0, -1, 1.5, "many", True, [3]])
def test_what_is_no_count_is_told(key: str, value: object) -> None:
    with pytest.raises(InputError, match=key):
        model_of({**TINY, key: value})


@given(
    st.dictionaries(st.sampled_from([*TINY, "head_dim", "num_local_experts"]), st.none() | st.integers() | st.text())
)
def test_no_config_breaks_it(values: dict[str, Any]) -> None:
    try:
        assert model_of({**TINY, **values}).total > 0
    except InputError as error:
        assert error.code == "plan.config"  # noqa: PT017 - either is right


def written(path: Path, shapes: dict[str, tuple[int, ...]], *, cut: bool = False) -> None:
    """A safetensors file without its weights."""
    head = json.dumps(
        {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    )
    path.write_bytes(struct.pack("<Q", len(head)) + head.encode()[: -5 if cut else None])


def test_headers_count_over_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    model = model_of(TINY)
    assert read_model(tmp_path) == model
    written(tmp_path / "model-1.safetensors", {"model.layers.0.a": (model.layer,), "model.layers.1.a": (model.layer,)})
    written(tmp_path / "model-2.safetensors", {"model.embed_tokens.weight": (32, 8), "lm_head.weight": (32, 8)})
    found = read_model(tmp_path)
    assert found.source == "headers"
    assert found.total == model.total  # the norm that is missing does not make it another model
    written(tmp_path / "model-3.safetensors", {"model.layers.1.b": (10, 10)})
    other = read_model(tmp_path)
    assert other.total == 2 * model.layer + 2 * 32 * 8 + 100
    assert f"{other.total:,}" in other.notes[-1]


def test_quantised_weights_say_nothing_of_parameters(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**TINY, "quantization_config": {"bits": 4}}))
    written(tmp_path / "model.safetensors", {"model.layers.0.a": (3,)})
    assert read_model(tmp_path).source == "config"


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "\x00"])
def test_what_is_no_config_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        read_model(tmp_path)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        read_model(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        read_model(tmp_path / "nowhere")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_headers(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    file.write_bytes(content)
    try:
        header(file)
    except InputError as error:
        assert error.code == "plan.base"  # noqa: PT017 - either is right


def test_a_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    written(tmp_path / "a.safetensors", {"x": (1,)}, cut=True)
    with pytest.raises(InputError, match="cut off"):
        header(tmp_path / "a.safetensors")
