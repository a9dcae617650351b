"""The verdict, what to change, the layout, disk, and what speaks against a start."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l2_jobs.torch_build import TorchBuild
from aiops.layers.l3_tuning.plan.agreement import same
from aiops.layers.l3_tuning.plan.architecture import model_of
from aiops.layers.l3_tuning.plan.calibration import GIB
from aiops.layers.l3_tuning.plan.disk import disk_need
from aiops.layers.l3_tuning.plan.fixes import Aim, remedy, with_set
from aiops.layers.l3_tuning.plan.layout import layout_of
from aiops.layers.l3_tuning.plan.machine import Machine, imagined, limit_of
from aiops.layers.l3_tuning.plan.plan import plan_of, refusal
from aiops.layers.l3_tuning.plan.verdict import judge
from aiops.layers.l3_tuning.recipe import Adapter, Handing, Placement, Recipe, TrainPlan

from .models import LLAMA_8B, SMOLLM2, manifest, recipe

BIG, SMALL = model_of(LLAMA_8B), model_of(SMOLLM2)
EIGHT = Placement(devices=8, sharding="fsdp")


def machine(name: str = "gpu01", **more: object) -> Machine:
    """A node of which all is known, and good."""
    known = Machine(
        name,
        devices=(80 * GIB,) * 8,
        vendor="nvidia",
        memory=1024 * GIB,
        free=4096 * GIB,
        shared=512 * GIB,
        ports=(22,),
        base="b" * 64,
        versions={"python": "3.11", "torch": "2.13.0"},
    )
    return replace(known, **more)  # type: ignore[arg-type]


def test_the_upper_bound_decides() -> None:
    found = plan_of(recipe(), BIG, imagined(1, 1, 80 * GIB)).estimate
    assert judge(found, found.total.high) == "fits"
    assert judge(found, found.total.high - 1) == "tight"
    assert judge(found, found.total.likely - 1) == "does not fit"
    assert judge(found, None) == "unknown"


def test_the_smallest_node_that_may_be_chosen_counts() -> None:
    machines = (machine("gpu01"), machine("gpu02", devices=(24 * GIB,) * 8))
    train = TrainPlan(steps=1, batch=4)
    found = plan_of(recipe(adapter="none", placement=EIGHT, train=train), BIG, machines)
    assert (found.room.least, found.room.limit) == ("gpu02", 24 * GIB)
    assert found.room.short == ("gpu02",)
    only = replace(EIGHT, only=("gpu01",))
    assert plan_of(recipe(adapter="none", placement=only), BIG, machines).room.least == "gpu01"


def test_what_is_not_known_is_never_good() -> None:
    found = plan_of(recipe(), BIG, (machine(devices=None),))
    assert found.verdict == "unknown"
    assert found.unknown
    silent = plan_of(recipe(), BIG, (machine(), Machine("gpu02", silent="no answer")))
    assert ("nodes", "unknown") in {(one.subject, one.state) for one in silent.remarks}
    assert silent.unknown


@pytest.mark.parametrize("name", ["free", "shared", "ports", "base", "versions"])
def test_each_thing_that_was_not_seen_is_unknown(name: str) -> None:
    blank: dict[str, str] | None = {} if name == "versions" else None
    found = plan_of(recipe(placement=EIGHT), BIG, (machine(), machine("gpu02", **{name: blank})))
    assert {"unknown"} == {one.state for one in found.remarks if one.state != "ok"}
    assert not found.bad
    assert refusal(found, "r.yml") is None


def test_a_torch_for_processors_is_refused_by_name_where_accelerators_are_wanted() -> None:
    processors = TorchBuild("2.13.0+cpu", frozenset())
    machines = (machine("gpu01", torch=processors), machine("gpu02", torch=processors))
    wrong = refusal(plan_of(recipe(placement=EIGHT), BIG, machines), "r.yml")
    assert wrong is not None
    assert "gpu[01-02]: its torch 2.13.0+cpu is not built for nvidia" in wrong.message
    assert any("aiops_environment_locks" in one for one in wrong.hints)
    assert refusal(plan_of(recipe(placement=Placement(devices=0, sharding="none")), BIG, machines), "r.yml") is None
    built = tuple(replace(one, torch=TorchBuild("2.13.0", frozenset({"cuda"}))) for one in machines)
    assert refusal(plan_of(recipe(placement=EIGHT), BIG, built), "r.yml") is None


def test_a_good_cluster_has_nothing_to_remark() -> None:
    found = plan_of(recipe(placement=EIGHT), BIG, tuple(machine(f"gpu0{one}") for one in range(1, 9)))
    assert {one.state for one in found.remarks} == {"ok"}
    assert refusal(found, "r.yml") is None


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"free": GIB}, "disk"),
        ({"shared": 64 << 20}, "shared memory"),
        ({"ports": tuple(range(20_000, 32_000))}, "ports"),
        ({"base": "c" * 64}, "base"),
        ({"versions": {"python": "3.11", "torch": "2.12.0"}}, "torch"),
        ({"versions": {"python": "3.12", "torch": "2.13.0"}}, "python"),
    ],
)
def test_what_differs_or_is_short_is_refused_and_named(change: dict[str, object], subject: str) -> None:
    machines = (machine("gpu01"), machine("gpu03"), machine("gpu02", **change))
    found = plan_of(recipe(adapter="none", placement=EIGHT), BIG, machines)
    assert [one.subject for one in found.bad] == [subject]
    wrong = refusal(found, "r.yml")
    assert wrong is not None
    assert subject in wrong.message
    assert "gpu02" in wrong.message


def test_the_majority_is_what_others_are_compared_with() -> None:
    machines = [machine(f"n{one}", base="a" * 64 if one == 3 else "b" * 64) for one in range(5)]
    found = same(machines, "base", lambda one: one.base, "/b", missing="is not there")
    assert found.state == "bad"
    assert found.hint == "make n3 like the others"


def test_processors_share_the_nodes_memory() -> None:
    place = Placement(devices=0, processes=4)
    assert limit_of(recipe(placement=place), Machine("n", memory=20 * GIB)) == 19 * GIB // 4
    assert limit_of(recipe(placement=place), Machine("n")) is None
    assert limit_of(recipe(placement=replace(place, processes=None)), Machine("n", memory=4 * GIB)) == 7 * GIB // 2


def test_processes_that_share_a_device_share_its_memory() -> None:
    place = Placement(devices=2, processes=4)
    assert limit_of(recipe(placement=place), Machine("n", devices=(80 * GIB, 40 * GIB))) == 20 * GIB


def test_changes_come_in_the_order_of_their_cost_and_really_save() -> None:
    said = recipe(adapter="none", placement=EIGHT, length=8192, train=TrainPlan(steps=1, batch=8, recompute=False))
    found = plan_of(said, BIG, imagined(8, 8, 80 * GIB))
    assert found.verdict == "does not fit"
    assert found.remedy is not None
    names = [fix.sets[0].partition("=")[0] for fix in found.remedy.single]
    # With so many logits adapters would save nothing, so that is not said.
    assert names == ["train.batch", "train.recompute", "train.optimizer", "placement.nodes", "data.length"]
    for fix in found.remedy.single:
        assert fix.saves == found.estimate.total.high - fix.estimate.total.high > 0


def followed(said: Recipe, sets: tuple[str, ...]) -> Recipe:
    """The recipe with what a fix says, taken from its words as a user would type them."""
    for words in sets:
        key, _, value = words.partition("=")
        section, _, name = key.partition(".")
        name = "kind" if key == "adapter.type" else name
        typed = {"true": True}.get(value, int(value) if value.isdecimal() else value)
        said = replace(said, **{section: replace(getattr(said, section), **{name: typed})})
    return said


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["none", "lora"]),
    st.sampled_from([1, 2, 3, 8, 16]),
    st.sampled_from([1024, 4096, 16_384]),
    st.sampled_from([12, 16, 24, 40, 80]),
    st.booleans(),
    st.sampled_from(["ddp", "fsdp"]),
)
def test_what_is_said_to_fit_fits_when_it_is_followed(  # noqa: PLR0917
    adapter: str, batch: int, length: int, memory: int, recompute: bool, sharding: str
) -> None:
    place = Placement(nodes=2, devices=4, sharding=sharding)  # type: ignore[arg-type]
    train = TrainPlan(steps=1, batch=batch, recompute=recompute, attention="eager")
    said = recipe(adapter=adapter, placement=place, length=length, train=train)  # type: ignore[arg-type]
    machines = imagined(8, 4, memory * GIB)
    found = plan_of(said, BIG, machines)
    if found.remedy is None:
        assert found.verdict == "fits"
        return
    if found.remedy.together is not None:
        again = plan_of(followed(said, found.remedy.together.sets), BIG, machines)
        assert again.verdict == "fits"
        assert again.estimate.total == found.remedy.together.estimate.total
        assert again.layout.step == found.layout.step * again.layout.nodes // found.layout.nodes
    for fix in found.remedy.single:
        assert plan_of(followed(said, fix.sets), BIG, machines).estimate.total == fix.estimate.total


def test_nothing_is_changed_that_is_not_needed() -> None:
    train = TrainPlan(steps=1, batch=4, recompute=False)
    said = recipe(train=train, length=4096)
    limit = plan_of(replace(said, train=replace(train, recompute=True)), BIG, ()).estimate.total.high
    found = remedy(said, Aim(BIG, limit, None, 1))
    assert found.together is not None
    assert len(found.together.sets) <= 2


def test_where_nothing_helps_that_is_said() -> None:
    found = plan_of(recipe(), BIG, imagined(1, 1, GIB))
    assert found.remedy is not None
    assert found.remedy.together is None
    assert "would fail" in str(refusal(found, "r.yml"))


def test_a_refusal_says_what_to_type() -> None:
    said = recipe(train=TrainPlan(steps=1, batch=16), length=4096)
    wrong = refusal(plan_of(said, BIG, imagined(1, 1, 48 * GIB)), "r.yml --nodes 2")
    assert wrong is not None
    assert "--set train.batch=" in wrong.hints[0]
    assert wrong.hints[-1] == "all of it: `aiops recipe plan r.yml --nodes 2`"
    assert wrong.code == "plan.refused"


def test_with_set_changes_one_thing() -> None:
    said = recipe()
    changed = replace(said, adapter=Adapter("qlora"), train=replace(said.train, batch=9))
    assert with_set(said, "adapter.type=qlora", changed) == replace(said, adapter=Adapter("qlora"))


def test_layout_of_prepared_data() -> None:
    train = TrainPlan(epochs=3, batch=2, accumulate=4)
    place = Placement(nodes=2, devices=8, sharding="fsdp")
    found = layout_of(recipe(train=train, placement=place), manifest(samples=1000, tokens=500_000))
    assert (found.world, found.step) == (16, 128)
    assert found.steps == 24  # 3000 samples of 128, the last step filled up
    assert found.total_tokens == 24 * 128 * 500
    assert found.most_tokens == 128 * 700
    before = layout_of(recipe(train=train, placement=place), None)
    assert before.steps is None
    assert before.total_tokens is None


def test_epochs_of_so_many_steps() -> None:
    found = layout_of(recipe(train=TrainPlan(steps=500, batch=4)), manifest(samples=1000))
    assert found.epochs == 2.0


def test_disk_by_hand() -> None:
    full = disk_need(recipe(adapter="none"), SMALL, None)
    assert full.checkpoint == 12 * SMALL.total
    assert full.artefact == 2 * SMALL.total
    assert full.total == 3 * full.checkpoint + full.artefact
    said = recipe(handing=Handing(merge=True, gguf=("q8_0",)))
    adapted = disk_need(said, SMALL, manifest(samples=10, tokens=100))
    trained = plan_of(said, SMALL, ()).estimate.trained
    assert adapted.checkpoint == 12 * trained
    assert adapted.artefact == 4 * trained + 2 * SMALL.total + int(SMALL.total * 34 / 32)
    assert adapted.data == 100 * 5 + 10 * 16
    assert adapted.total == 3 * adapted.checkpoint + adapted.artefact  # the data lies there already
    going_on = disk_need(said, SMALL, None, there=adapted.checkpoint)
    assert going_on.total == 2 * adapted.checkpoint + adapted.artefact
    assert disk_need(said, SMALL, None, there=10**15).total == adapted.artefact
    merged = disk_need(recipe(handing=Handing(merge=True)), replace(SMALL, stored=123), None)
    assert merged.artefact == 4 * trained + 123  # the base's own files, with the adapter put into them


def test_what_cannot_be_placed_is_told() -> None:
    with pytest.raises(InputError, match="asks for 3 nodes with 8 accelerators, and there are 2: "):
        plan_of(recipe(placement=replace(EIGHT, nodes=3)), BIG, (machine("a"), machine("b")))


def test_more_layers_than_the_base_has_are_told() -> None:
    said = recipe(adapter="lora")
    wrong = replace(said, adapter=replace(said.adapter, layers=SMALL.layers + 1))
    with pytest.raises(InputError, match=r"`adapter\.layers` is 31, and .* has 30 layers") as caught:
        plan_of(wrong, SMALL, imagined(1, 1, 80 * GIB))
    assert "`--set adapter.layers=30`" in caught.value.hints[0]
    plan_of(replace(said, adapter=replace(said.adapter, layers=30)), SMALL, imagined(1, 1, 80 * GIB))


def test_targets_that_no_layer_has_are_told() -> None:
    said = recipe()
    wrong = replace(said, adapter=replace(said.adapter, targets=("c_attn",)))
    with pytest.raises(InputError, match="c_attn"):
        plan_of(wrong, BIG, ())


def test_a_plan_is_a_document() -> None:
    said = recipe(train=TrainPlan(steps=1, batch=16), length=4096)
    found = json.loads(json.dumps(plan_of(said, BIG, (machine(simulated=True),)).document()))
    assert found["memory"]["total"]["low"] < found["memory"]["total"]["high"]
    assert found["simulated"] == ["gpu01"]
    assert found["layout"]["step"] == 16
