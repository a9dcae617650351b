"""torchtitan: which bases are its models, what it is told, what it is not asked."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.l3_tuning.trainer_contract import LLAMA, PAIR, ROWS, a_recipe, a_run

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.data.row import Row, Turn
from aiops.layers.l3_tuning.recipe import Recipe, TrainPlan
from aiops.layers.l3_tuning.trainer import Rendered, refusals
from aiops.plugins.trainers.torchtitan import SETTINGS, Torchtitan
from aiops.plugins.trainers.torchtitan.models import FLAVORS, flavor_of, unfit

ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
ROPE = {**ROPE, "original_max_position_embeddings": 8192}
LLAMA_31: Mapping[str, Any] = {**LLAMA, "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "rope_scaling": ROPE}
QWEN: Mapping[str, Any] = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "rope_scaling": None,
}


def packed(method: Any = "sft", **changes: Any) -> Recipe:
    recipe = a_recipe(method, "none", trainer="torchtitan", **changes)
    return replace(recipe, data=replace(recipe.data, packing=True))


def told(recipe: Recipe, base: Mapping[str, Any] | None = None) -> dict[str, str]:
    return {".".join(map(str, one.path)): one.words for one in refusals(recipe, Torchtitan(), base)}


def rendered(recipe: Recipe, config: Mapping[str, Any] = LLAMA_31) -> Rendered:
    return Torchtitan().render(a_run(recipe, Torchtitan(), config=config))


def words(found: Rendered) -> dict[str, str]:
    given = found.command[found.command.index("--") + 1 :]
    pairs = [one.removeprefix("--").partition("=") for one in given if one.startswith("--")]
    return {name: value for name, _, value in pairs}


# Bases


@pytest.mark.parametrize(("config", "title"), [(LLAMA_31, "llama3 8B"), (QWEN, "qwen3 0.6B")])
def test_a_base_of_its_own_is_known_however_its_config_is_written(config: Mapping[str, Any], title: str) -> None:
    assert unfit(config) is None
    found = flavor_of(config)
    assert found is not None
    assert found.title == title
    theta = config["rope_theta"]
    newer = {key: one for key, one in config.items() if key not in {"rope_theta", "rope_scaling"}}
    newer["rope_parameters"] = {"rope_theta": theta, **(config["rope_scaling"] or {"rope_type": "default"})}
    assert unfit(newer) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "qwen2"}, "is of the kind `qwen2`, of which torchtitan has no models"),
        ({"model_type": None}, "is of the kind `None`"),
        ({"hidden_size": 576}, "differs from llama3 8B in hidden_size 576 (there 4096)"),
        ({"rope_scaling": None}, "in positions none (there llama3 8.0 1.0 4.0 8192)"),
        ({"rope_scaling": {**ROPE, "factor": 32.0}}, "in positions llama3 32.0 1.0 4.0 8192 (there llama3 8.0"),
        ({"rope_theta": 10000.0}, "in rope_theta 10000.0 (there 500000.0)"),
        ({"tie_word_embeddings": True}, "in tie_word_embeddings True (there False)"),
        ({"vocab_size": 128264}, "in vocab_size 128264 (there 128256)"),
    ],
)
def test_another_base_is_refused_with_what_differs(changes: dict[str, Any], words: str) -> None:
    (found,) = [one for one in refusals(packed(), Torchtitan(), {**LLAMA_31, **changes}) if one.path == ("base",)]
    assert words in found.words
    assert found.hint


def test_a_base_that_says_nothing_is_refused_and_none_at_hand_is_not() -> None:
    assert "base" in told(packed(), {})
    assert told(packed()) == {}


def test_a_base_that_is_none_of_its_models_is_not_rendered_for() -> None:
    with pytest.raises(InputError, match="differs from llama3 8B in hidden_size") as caught:
        rendered(packed(), {**LLAMA_31, "hidden_size": 576})
    assert caught.value.code == "recipe.base"


def test_its_models_are_told_apart() -> None:
    assert len({one.title for one in FLAVORS}) == len(FLAVORS)
    for one in FLAVORS:
        rope = dict(zip(("rope_type", *list(ROPE)[1:]), one.shape["positions"] or ("default",), strict=False))
        config = {key: value for key, value in one.shape.items() if key != "positions"}
        config = {key: value for key, value in config.items() if key != "rope_theta"}
        config["rope_parameters"] = {**rope, "rope_theta": one.shape["rope_theta"]}
        assert unfit(config) is None
        assert flavor_of(config) == one


# What it cannot do


def test_what_it_cannot_do_is_refused_by_name() -> None:
    assert told(packed()) == {}
    assert list(told(a_recipe("sft", "none"))) == ["data.packing"]
    assert {"adapter.type"} <= set(told(a_recipe("sft", "lora")))
    assert "its export leaves the adapter out" in told(a_recipe("sft", "lora"))["adapter.type"]
    assert {"method"} <= set(told(a_recipe("dpo", "none")))
    data = packed().data
    for change, key in (
        (replace(data, long="truncate"), "data.long"),
        (replace(data, template="/x.jinja"), "data.template"),
        (replace(data, loss="all"), "data.loss"),
    ):
        assert list(told(replace(packed(), data=change))) == [key]
    for plan, where in (
        ({"precision": "fp16"}, "train.precision"),
        ({"precision": "fp32", "attention": "flash"}, "train.precision"),
        ({"attention": "eager"}, "train.attention"),
        ({"optimizer": "adafactor"}, "train.optimizer"),
    ):
        assert list(told(packed(train=TrainPlan(steps=1, **plan)))) == [where]  # type: ignore[arg-type]
    assert list(told(packed(options={"compile": "yes", "float8": True}))) == ["options.float8", "options.compile"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (PAIR, None),
        (Row("prompt", turns=(Turn("user", "2 + 2 ="),), answer=(Turn("assistant", "4"),)), None),
        (ROWS["chat"], "is a conversation of system, user, assistant; torchtitan learns one question"),
        (replace(PAIR, tools=({"type": "function"},)), "calls tools"),
    ],
)
def test_conversations_that_it_does_not_learn_are_refused_row_by_row(row: Row, why: str | None) -> None:
    (export,) = rendered(packed()).exports
    assert export.refuse is not None
    found = export.refuse(row)
    assert (found is None) == (why is None)
    assert why is None or (found or "").startswith(why)


# What it is told


def test_the_words_and_settings_say_what_the_recipe_says() -> None:
    recipe = packed(
        "pretrain", train=TrainPlan(steps=9, batch=2, accumulate=4, schedule="constant", clip=0.0, warmup=3)
    )
    found = rendered(replace(recipe, data=replace(recipe.data, held_out=0.01)))
    said = words(found)
    assert said["training.global_batch_size"] == str(2 * 4 * 16)
    assert (said["training.max_norm"], said["lr_scheduler.decay_ratio"]) == ("inf", "0.0")
    assert (said["parallelism.data_parallel_shard_degree"], said["checkpoint.export_dtype"]) == ("16", "bfloat16")
    settings = json.loads(found.files[SETTINGS])
    assert (settings["model"], settings["flavor"], settings["attention"]) == ("llama3", "8B", "flex")
    assert settings["evaluation"].endswith("/rows/evaluation.jsonl")
    assert (found.checkpoint_format, found.output, found.bare) == ("dcp", "checkpoints", True)
    assert found.variables["TORCHTITAN_RECIPE"].endswith(f"/{SETTINGS}")


def test_fewer_rows_than_ranks_would_wait_for_ever() -> None:
    run = a_run(packed(), Torchtitan(), config=LLAMA_31)
    few = replace(run, data=replace(run.data, manifest=replace(run.data.manifest, rows=15)))
    with pytest.raises(InputError, match="there are 15 rows for 16 ranks"):
        Torchtitan().render(few)
    held = replace(run.data.manifest, rows=15)
    some = Torchtitan().render(replace(run, data=replace(run.data, held_out=held)))
    assert json.loads(some.files[SETTINGS])["evaluation"] is None


def test_its_own_code_is_kept_with_the_run() -> None:
    code = Torchtitan().code()
    assert set(code) == {"handover.py", "torchtitan_recipe.py"}
    assert b"aiops." not in code["torchtitan_recipe.py"]  # nothing of ours is there
