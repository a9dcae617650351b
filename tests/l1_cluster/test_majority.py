"""Comparing nodes of a group: equal ones never differ, a minority always does, and nothing is guessed."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l1_cluster.majority import Comparison, Deviation, Odd, Unread, compare
from aiops.layers.l1_cluster.trait import Trait, plain

NAMES = st.sampled_from(["kernel", "BIOS", "packages", "sudoers"])
VALUES = st.sampled_from(["", "1", "2", "3"])
TRAIT_SETS = st.dictionaries(
    NAMES,
    st.tuples(st.dictionaries(st.sampled_from(["", "a", "b"]), VALUES), st.sampled_from(["", "x"]), st.booleans()),
)


def made(values: dict[str, tuple[dict[str, str], str, bool]]) -> dict[str, Trait]:
    return {name: Trait(name, items, alike, whole) for name, (items, alike, whole) in values.items()}


def kernels(*values: str) -> Comparison:
    traits = {f"n{number}": {"kernel": plain("kernel", value)} for number, value in enumerate(values)}
    return compare(traits, dict.fromkeys(traits, "workers"))


@given(TRAIT_SETS, st.integers(1, 9))
def test_a_group_of_equal_nodes_never_drifts(values: dict[str, tuple[dict[str, str], str, bool]], count: int) -> None:
    traits = {f"n{number}": made(values) for number in range(count)}
    found = compare(traits, dict.fromkeys(traits, "workers"))
    assert found.deviations == ()
    assert found.unread == ()
    assert found.alone == (("n0",) if count == 1 else ())


@given(st.lists(VALUES, min_size=2, max_size=12))
def test_who_is_not_of_the_majority_is_found_and_nobody_else(values: list[str]) -> None:
    found = kernels(*values)
    value, count = Counter(values).most_common(1)[0]
    if 2 * count > len(values):
        assert {one.node for one in found.deviations} == {f"n{i}" for i, own in enumerate(values) if own != value}
        assert all(one.decided and one.odds[0].expected == value for one in found.deviations)
    else:
        assert len(found.deviations) == len(values)
        assert not any(one.decided for one in found.deviations)


@given(TRAIT_SETS, TRAIT_SETS, st.integers(3, 9), st.data())
def test_one_node_beside_many_equal_ones_is_the_one_that_differs(
    values: dict[str, tuple[dict[str, str], str, bool]],
    others: dict[str, tuple[dict[str, str], str, bool]],
    count: int,
    data: st.DataObject,
) -> None:
    traits = {f"n{number}": made(values) for number in range(count)}
    odd = data.draw(st.sampled_from(sorted(traits)))
    traits[odd] = made(others)
    found = compare(traits, dict.fromkeys(traits, "workers"))
    assert {one.node for one in found.deviations} <= {odd}
    for name in values.keys() & others.keys():
        mine, most = traits[odd][name], made(values)[name]
        comparable = mine.alike == most.alike and mine.whole == most.whole
        if comparable and mine.whole and mine.items != most.items:
            assert name in {one.trait for one in found.deviations}


def test_two_that_differ_are_told_and_none_is_called_wrong() -> None:
    assert kernels("6.1", "6.8").deviations == (
        Deviation("n0", "kernel", (Odd("", None, "6.1"),), ("n0", "n1"), decided=False),
        Deviation("n1", "kernel", (Odd("", None, "6.8"),), ("n0", "n1"), decided=False),
    )


def test_groups_and_unlike_nodes_are_kept_apart() -> None:
    traits = {
        "gpu01": {"BIOS": plain("BIOS", "1.0", "Dell")},
        "gpu02": {"BIOS": plain("BIOS", "1.0", "Dell")},
        "gpu03": {"BIOS": plain("BIOS", "2.0", "HPE")},
        "head": {"BIOS": plain("BIOS", "3.0", "Dell")},
    }
    found = compare(traits, {"gpu01": "w", "gpu02": "w", "gpu03": "w", "head": "h"})
    assert found == Comparison(alone=("head",))


def test_what_a_set_lacks_is_a_difference_and_what_a_device_lacks_is_none() -> None:
    whole = [Trait("sudoers", items, whole=True) for items in ({"/etc/sudoers": "1"}, {"/etc/sudoers": "1"}, {})]
    traits = {f"n{number}": {"sudoers": trait} for number, trait in enumerate(whole)}
    (deviation,) = compare(traits, dict.fromkeys(traits, "w")).deviations
    assert (deviation.node, deviation.odds) == ("n2", (Odd("/etc/sudoers", "1", None),))
    parts = [Trait("firmware", items) for items in ({"H100": "1"}, {"H100": "1"}, {"A100": "2"})]
    traits = {f"n{number}": {"firmware": trait} for number, trait in enumerate(parts)}
    assert compare(traits, dict.fromkeys(traits, "w")).deviations == ()


def test_what_could_not_be_read_is_told_and_takes_no_part() -> None:
    traits = {
        "n0": {"kernel": plain("kernel", "6.1")},
        "n1": {"kernel": plain("kernel", "6.1")},
        "n2": {"kernel": Trait("kernel", unknown="exit 1")},
    }
    found = compare(traits, dict.fromkeys(traits, "w"))
    assert found == Comparison(unread=(Unread("n2", "kernel", "exit 1"),))
