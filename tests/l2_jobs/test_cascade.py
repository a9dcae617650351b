"""Many nodes that fall silent at once are no lost nodes."""

import pytest

from aiops.layers.l2_jobs.cascade import TOGETHER, cascades, limit
from aiops.layers.l2_jobs.hearing import Hearing


def fleet(size: int, *silent: float) -> dict[str, Hearing]:
    return {
        f"n{number:04}": Hearing(0.0, 0.0, "b", silent[number] if number < len(silent) else None)
        for number in range(size)
    }


@pytest.mark.parametrize(("followed", "least"), [(1, 2), (4, 2), (20, 2), (30, 3), (100, 10), (1000, 10)])
def test_how_many_are_many(followed: int, least: int) -> None:
    assert limit(followed) == least


def test_one_silent_node_is_none() -> None:
    assert not cascades(fleet(8, 5.0))


def test_two_at_once_on_a_small_cluster_are_one() -> None:
    assert cascades(fleet(8, 5.0, 5.5)) == {"n0000", "n0001"}


def test_two_a_minute_apart_are_two_accidents() -> None:
    assert not cascades(fleet(8, 5.0, 5.0 + TOGETHER + 1))


def test_a_rack_of_a_large_cluster_is_one_and_a_node_apart_is_not_in_it() -> None:
    found = cascades(fleet(1000, 500.0, *[5.0 + 0.1 * number for number in range(32)]))
    assert len(found) == 32
    assert "n0000" not in found
