"""What the end of a run takes of the first rank's node, whether it is there, and what to leave out."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l3_tuning.plan.architecture import model_of
from aiops.layers.l3_tuning.plan.calibration import GIB, MIB
from aiops.layers.l3_tuning.plan.ending import ending_of, judged, plan_ending
from aiops.layers.l3_tuning.plan.machine import Machine, imagined
from aiops.layers.l3_tuning.plan.memory import trained_parameters
from aiops.layers.l3_tuning.plan.plan import plan_of, refusal
from aiops.layers.l3_tuning.plan.work import work_of
from aiops.layers.l3_tuning.recipe import Handing, Placement, Recipe

from .models import LLAMA_8B, LLAMA_70B, SMOLLM2, recipe

BIG, HUGE, SMALL = model_of(LLAMA_8B), model_of(LLAMA_70B), model_of(SMOLLM2)
HANDED = Handing(merge=True, gguf=("q8_0",))
PROCESSORS = Placement(devices=0)


def test_a_merge_takes_a_tensor_and_no_model() -> None:
    """The largest that gets an adapter, 8192 x 28672, as read, as added, as written."""
    said = recipe(handing=Handing(merge=True))
    found = ending_of(said, HUGE)
    assert found.moment == "when the adapter is merged"
    assert found.total.likely == 12 * 8192 * 28672 + 500 * MIB + GIB
    assert found.total.high < 2 * HUGE.total // 10


def test_gguf_takes_the_largest_tensor_of_all() -> None:
    found = ending_of(recipe(handing=HANDED), BIG)
    assert found.moment == "when GGUF is written"
    assert found.total.likely == 12 * 4096 * 128_256 + 500 * MIB + 250 * MIB + GIB


def test_a_whole_model_is_gathered_on_the_first_node() -> None:
    found = ending_of(recipe(adapter="none", placement=Placement(nodes=2, devices=8, sharding="fsdp")), HUGE)
    assert found.total.likely == 2 * HUGE.total + 500 * MIB + GIB
    assert found.total.high >= 4 * HUGE.total  # of a base in fp32


def test_on_processors_what_was_trained_is_still_there() -> None:
    said = recipe(placement=PROCESSORS)
    adapter = trained_parameters(SMALL, work_of(said))
    assert ending_of(said, SMALL).total.likely == work_of(said).frozen * SMALL.total + 4 * adapter + 500 * MIB


@given(st.sampled_from(["none", "lora", "qlora"]), st.booleans(), st.sampled_from([(), ("q8_0",), ("f16", "f32")]))
def test_bounds_are_in_order_and_handing_on_more_never_takes_less(
    adapter: str, merge: bool, gguf: tuple[str, ...]
) -> None:
    said = recipe(adapter=adapter, handing=Handing(merge=merge, gguf=gguf))  # type: ignore[arg-type]
    found = ending_of(said, BIG).total
    assert found.low <= found.likely <= found.high
    assert found.high >= ending_of(replace(said, handing=Handing()), BIG).total.high


def test_the_upper_bound_decides() -> None:
    found = ending_of(recipe(handing=HANDED), BIG)
    assert judged(found, found.total.high) == "fits"
    assert judged(found, found.total.high - 1) == "tight"
    assert judged(found, found.total.likely - 1) == "does not fit"
    assert judged(found, None) == "unknown"


def nodes(*sizes: int | None) -> tuple[Machine, ...]:
    """Nodes with a large accelerator each, and so much memory of their own."""
    return tuple(
        Machine(f"gpu0{n}", devices=(80 * GIB,), memory=size, free=9999 * GIB, base="b" * 64, ports=(), shared=GIB)
        for n, size in enumerate(sizes, 1)
    )


def test_the_node_with_least_counts_for_any_may_be_the_first() -> None:
    found = plan_ending(recipe(handing=HANDED), BIG, nodes(512 * GIB, 4 * GIB, 64 * GIB))
    assert (found.least, found.verdict) == ("gpu02", "does not fit")
    assert plan_ending(recipe(handing=HANDED), BIG, nodes(512 * GIB, 64 * GIB)).verdict == "fits"


def handed(said: Recipe, sets: tuple[str, ...]) -> Recipe:
    """The recipe with what a fix says, taken from its words."""
    known = {"register.gguf=[]": {"gguf": ()}, "register.merge=false": {"merge": False}}
    for words in sets:
        said = replace(said, handing=replace(said.handing, **known[words]))  # type: ignore[arg-type]
    return said


@given(st.integers(1, 40), st.booleans(), st.booleans())
def test_what_is_said_to_be_enough_is(memory: int, merge: bool, gguf: bool) -> None:
    said = recipe(handing=Handing(merge=merge, gguf=("q8_0",) if gguf else ()))
    machines = nodes(memory * GIB)
    found = plan_ending(said, BIG, machines)
    if found.sets:
        assert found.verdict != "fits"
        assert plan_ending(handed(said, found.sets), BIG, machines).verdict == "fits"
    elif found.verdict != "fits":
        assert plan_ending(replace(said, handing=Handing()), BIG, machines).verdict != "fits"


def test_a_plan_refuses_an_end_that_does_not_fit_and_says_what_to_leave_out() -> None:
    """There are nodes on which writing the adapter fits at most, and GGUF not even likely."""
    said = recipe(handing=HANDED)
    machines = nodes(8 * GIB)
    found = plan_of(said, BIG, machines)
    assert [one.subject for one in found.bad] == ["at the end"]
    raised = refusal(found, "r.yml")
    assert raised is not None
    assert any("register.gguf=[]" in hint for hint in raised.hints)
    told = json.loads(json.dumps(found.document()))["ending"]
    assert (told["verdict"], told["least"], told["moment"]) == ("does not fit", "gpu01", "when GGUF is written")


def test_memory_of_the_node_that_nobody_has_said_is_unknown() -> None:
    found = plan_of(recipe(), BIG, nodes(None))
    assert ("at the end", "unknown") in {(one.subject, one.state) for one in found.remarks}
    some = plan_of(recipe(), BIG, nodes(None, 512 * GIB))
    assert ("at the end", "unknown") in {(one.subject, one.state) for one in some.remarks}


def test_of_imagined_nodes_it_is_judged_where_their_memory_was_said() -> None:
    assert plan_of(recipe(), BIG, imagined(1, 8, 80 * GIB)).remarks == ()
    (said,) = plan_of(recipe(placement=PROCESSORS), SMALL, imagined(1, 0, 64 * GIB)).remarks
    assert (said.subject, said.state) == ("at the end", "ok")
