"""Memory by term: cases worked out by hand, and what must hold of all."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l3_tuning.plan.activations import kept
from aiops.layers.l3_tuning.plan.architecture import KNOWN as ARCHITECTURES
from aiops.layers.l3_tuning.plan.architecture import model_of
from aiops.layers.l3_tuning.plan.calibration import GIB, Calibration, Guess
from aiops.layers.l3_tuning.plan.memory import TERMS, estimate, moments, packed
from aiops.layers.l3_tuning.plan.work import Work, work_of
from aiops.layers.l3_tuning.recipe import Placement, TrainPlan

from .models import KNOWN, LLAMA_8B, MIXTRAL, SMOLLM2, config, recipe

PLAIN = Guess()
EXACT = Calibration(PLAIN, PLAIN, PLAIN)
TINY = model_of(config("llama", (8, 2, 16, 2, 1, 32), tie_word_embeddings=False))
FULL = Work(adapter="none", compute=4, frozen=4, batch=2, length=4, recompute=False, processors=True)
"""Eight tokens in fp32."""

LOSS, END, STEP = "when the loss is made", "when gradients are there", "in the optimizer's step"


def test_a_full_training_by_hand() -> None:
    found = moments(TINY, FULL, PLAIN)
    loss = found[LOSS]
    assert loss.weights == 4 * TINY.total
    assert loss.optimizer == 8 * TINY.total
    assert found[END].gradients == found[STEP].gradients == 4 * TINY.total
    assert loss.logits == 8 * 32 * 12
    # Two norms of 8: input, normed and result each; queries, keys, values, result; the sums of two heads; four of 16.
    layer = 4 * (2 * 3 * 8 + 2 * 8 + 2 * 4 + 2 + 4 * 16)
    assert kept(TINY, FULL) == layer
    assert loss.activations == 8 * (2 * layer + 3 * 4 * 8)
    assert found[STEP].activations == found[STEP].logits == 0
    assert found[STEP].overhead == 2 * 4 * 256  # two copies of the largest weight, the embedding


def test_recomputing_keeps_the_stream_alone() -> None:
    work = replace(FULL, recompute=True)
    assert moments(TINY, work, PLAIN)[LOSS].activations == 8 * (2 * 4 * 8 + 3 * 4 * 8)


def test_adapters_by_hand() -> None:
    work = replace(FULL, adapter="lora", rank=4, targets=("q_proj",))
    found = moments(TINY, work, PLAIN)
    trained = 2 * 4 * 16
    assert found[LOSS].weights == 4 * (TINY.total + trained)
    assert found[LOSS].optimizer == 8 * trained
    assert found[END].gradients == 4 * trained
    # The frozen norms keep no normed one; only what q_proj takes is kept of results, and no product for down_proj.
    assert kept(TINY, work) == 4 * (2 * 8 + 8 + 2 * 8 + 2 * 4 + 2 + 3 * 16 + 4)


def test_only_the_last_layers_keep_anything() -> None:
    whole = replace(FULL, adapter="lora", rank=4)
    top = replace(whole, layers=1)
    layer = kept(TINY, whole)
    found = moments(TINY, whole, PLAIN)[LOSS].activations - moments(TINY, top, PLAIN)[LOSS].activations
    assert found == 8 * layer


def test_four_bits_with_their_constants() -> None:
    # 64 weights: 32 bytes, and one constant of a byte; 256 of these have one of 4 bytes.
    assert packed(64 * 256) == 64 * 256 // 2 + 256 + 4
    work = Work(adapter="qlora", batch=1, length=8)
    model = model_of(LLAMA_8B)
    adapters = 41_943_040 * 4
    left = (model.total - model.quantizable) * 2
    assert model.quantizable == 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
    assert moments(model, work, PLAIN)[LOSS].weights == packed(model.quantizable) + left + adapters


def test_scores_are_kept_by_eager_attention_alone() -> None:
    eager = replace(FULL, attention="eager", masked=True)
    masked = replace(FULL, masked=True)
    assert kept(TINY, eager) - kept(TINY, masked) == 4 * 2 * 4 - 4 * 2
    assert kept(TINY, masked) - kept(TINY, FULL) == 4 * 2 * (8 - 4)  # keys and values once for each head of queries


def test_every_layer_keeps_a_mask_of_its_own() -> None:
    packed_rows = moments(TINY, replace(FULL, masked=True), PLAIN)[LOSS].activations
    same = moments(TINY, FULL, PLAIN)[LOSS].activations + 8 * 2 * (
        kept(TINY, replace(FULL, masked=True)) - kept(TINY, FULL)
    )
    pairs = 2 * 4 * 4
    assert packed_rows - same == pairs + 2 * pairs * 4
    assert moments(TINY, replace(FULL, masked=True, attention="flash"), PLAIN)[LOSS].activations < same


def test_a_pair_of_preferences_is_two_samples_and_a_second_model() -> None:
    dpo = replace(FULL, method="dpo")
    found, single = moments(TINY, dpo, PLAIN)[LOSS], moments(TINY, FULL, PLAIN)[LOSS]
    assert found.logits == 2 * single.logits
    assert found.weights == 2 * single.weights
    adapted = replace(dpo, adapter="lora", rank=1)
    assert moments(TINY, adapted, PLAIN)[LOSS].weights < found.weights


@pytest.mark.parametrize(
    ("optimizer", "each"), [("adamw", 8), ("adamw-8bit", 2 + 8 / 256), ("sgd", 0), ("adafactor", 0.03)]
)
def test_states_by_optimizer(optimizer: str, each: float) -> None:
    model = model_of(SMOLLM2)
    found = moments(model, replace(FULL, optimizer=optimizer), PLAIN)[LOSS]  # type: ignore[arg-type]
    assert found.optimizer / model.total == pytest.approx(each, rel=0.05, abs=0.02)


def test_gradients_outlive_a_pass_where_there_are_several() -> None:
    assert moments(TINY, replace(FULL, accumulate=2), PLAIN)[LOSS].gradients == 4 * TINY.total
    assert moments(TINY, FULL, PLAIN)[LOSS].gradients == 4 * 256  # the output's, whose gradient is the first


def test_fsdp_splits_what_lasts_and_gathers_what_is_used() -> None:
    alone = moments(TINY, FULL, PLAIN)[LOSS]
    split = moments(TINY, replace(FULL, world=4, sharding="fsdp"), PLAIN)[LOSS]
    assert split.weights * 4 == alone.weights
    assert split.optimizer * 4 == alone.optimizer
    assert split.overhead == 4 * (TINY.outside + 2 * TINY.layer + TINY.layer)


def test_ddp_copies_gradients() -> None:
    work = replace(FULL, world=4, sharding="ddp")
    assert moments(TINY, work, PLAIN)[LOSS].overhead == 0
    assert moments(TINY, work, Guess(buckets=True))[LOSS].overhead == 4 * TINY.total


def test_an_optimizer_that_works_on_all_at_once_has_a_copy_of_them() -> None:
    assert moments(TINY, replace(FULL, at_once=True), PLAIN)[STEP].overhead == 4 * TINY.total


def test_casts_last_as_long_as_a_pass() -> None:
    found = moments(TINY, replace(FULL, compute=2, casts=True), PLAIN)
    assert found[LOSS].overhead == 2 * TINY.total
    assert found[STEP].overhead < 2 * TINY.total + 2 * 4 * 256 + 1


def test_an_unknown_architecture_has_wide_bounds() -> None:
    known = model_of(SMOLLM2)
    unknown = model_of({**SMOLLM2, "model_type": "novel"})
    work = Work(adapter="none", recompute=False)
    one, other = estimate(known, work).total, estimate(unknown, work).total
    assert (other.high - other.low) / other.likely > 1.3 * (one.high - one.low) / one.likely


def test_the_moment_and_its_terms_add_up() -> None:
    found = estimate(TINY, FULL, EXACT)
    assert tuple(found.terms) == TERMS
    assert sum(one.likely for one in found.terms.values()) == found.total.likely


def test_a_recipe_as_work() -> None:
    two = Placement(nodes=2, devices=8, sharding="fsdp")
    full = work_of(recipe(adapter="none", placement=two, train=TrainPlan(steps=1, batch=3)), longest=100)
    assert (full.world, full.shards, full.length, full.tokens, full.casts) == (16, 16, 100, 300, False)
    alone = work_of(recipe(adapter="none"))
    assert (alone.sharding, alone.casts, alone.compute, alone.trained) == ("none", True, 2, 4)
    here = work_of(recipe(placement=Placement(devices=0), train=TrainPlan(steps=1, precision="fp32")))
    assert (here.processors, here.frozen, here.world) == (True, 4, 1)


WORKS = st.builds(
    Work,
    method=st.sampled_from(["sft", "pretrain", "dpo"]),
    adapter=st.sampled_from(["lora", "qlora", "none"]),
    rank=st.integers(1, 256),
    layers=st.none() | st.integers(1, 40),
    dropout=st.booleans(),
    batch=st.integers(1, 64),
    length=st.integers(1, 32_768),
    accumulate=st.integers(1, 8),
    compute=st.sampled_from([2, 4]),
    optimizer=st.sampled_from(["adamw", "adamw-8bit", "adafactor", "sgd"]),
    attention=st.sampled_from(["sdpa", "eager", "flash"]),
    masked=st.booleans(),
    recompute=st.booleans(),
    world=st.integers(2, 512),
    sharding=st.sampled_from(["fsdp", "ddp"]),
    processors=st.booleans(),
)
MODELS = st.sampled_from([model_of(said) for said, _ in KNOWN.values()])
QUICK = settings(max_examples=60, deadline=None)


@QUICK
@given(MODELS, WORKS)
def test_bounds_are_in_order(model: object, work: Work) -> None:
    found = estimate(model, work)  # type: ignore[arg-type]
    for one in (found.total, found.runtime, *found.terms.values()):
        assert 0 <= one.low <= one.likely <= one.high


@QUICK
@given(MODELS, WORKS, st.sampled_from(["batch", "length", "rank"]))
def test_more_of_anything_never_takes_less(model: object, work: Work, name: str) -> None:
    more = replace(work, **{name: getattr(work, name) * 2})
    one, other = estimate(model, work).total, estimate(model, more).total  # type: ignore[arg-type]
    assert (one.low, one.likely, one.high) <= (other.low, other.likely, other.high)
    assert one.low <= other.low
    assert one.high <= other.high


@QUICK
@given(MODELS, WORKS, st.integers(2, 8))
def test_more_devices_never_take_more_of_each_under_fsdp(model: object, work: Work, times: int) -> None:
    work = replace(work, sharding="fsdp")
    more = replace(work, world=work.world * times)
    one, other = estimate(model, work).total, estimate(model, more).total  # type: ignore[arg-type]
    assert (other.low, other.high) <= (one.low, one.high)
    assert other.high <= one.high


@QUICK
@given(MODELS, WORKS)
def test_fsdp_never_takes_more_than_ddp_where_weights_count(model: object, work: Work) -> None:
    work = replace(work, adapter="none", processors=False)
    split, whole = (estimate(model, replace(work, sharding=one)).total.likely for one in ("fsdp", "ddp"))  # type: ignore[arg-type]
    assert split <= whole


def test_every_architecture_is_estimated() -> None:
    for kind in ARCHITECTURES:
        said = config(kind, (256, 2, 512, 4, 2, 1000), num_experts=4, num_local_experts=4, moe_intermediate_size=64)
        assert 0 < estimate(model_of(said), Work()).total.likely < 10 * GIB


def test_experts_keep_what_is_active() -> None:
    model = model_of(MIXTRAL)
    work = Work(adapter="none", recompute=False)
    assert kept(replace(model, active=4, intermediate=4 * 14336), work) > kept(model, work)
