"""How much a counter has grown."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l1_cluster.health.past import Growth, Past, Sample

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def past(*samples: tuple[float, int, str]) -> Past:
    """Samples as (hours ago, value, boot)."""
    return Past({"x": tuple(Sample(AT - ago * HOUR, value, boot) for ago, value, boot in samples)})


def growth(of: Past, now: int, boot: str = "b1", hours: float = 3) -> Growth | None:
    return of.growth("x", Sample(AT, now, boot), hours * HOUR)


def test_nothing_remembered_is_nothing_known() -> None:
    assert growth(past(), 9) is None
    assert Past().last("x") is None


def test_what_grew_while_nobody_looked_is_not_put_into_the_window() -> None:
    samples = past((20, 10, "b1")).samples
    now = Sample(AT, 15, "b1")
    assert Past(samples, AT - HOUR).growth("x", now, 3 * HOUR) == Growth(5, 3 * 3600)
    assert Past(samples, AT - 5 * HOUR).growth("x", now, 3 * HOUR) is None
    assert Past(samples, AT - 5 * HOUR).growth("x", now, 24 * HOUR) == Growth(5, 20 * 3600)


def test_growth_within_the_window_alone() -> None:
    known = past((5, 10, "b1"), (2, 12, "b1"))
    assert growth(known, 15) == Growth(5, 3 * 3600)
    assert growth(known, 15, hours=1) == Growth(3, 3600)
    assert growth(known, 15, hours=24) == Growth(5, 5 * 3600)


def test_a_counter_that_begins_anew() -> None:
    assert growth(past((2, 100, "b1")), 3, "b2") == Growth(3, 2 * 3600)
    assert growth(past((2, 100, "b1")), 3) == Growth(3, 2 * 3600)
    assert growth(past((2, 1, "b1")), 3, "b2") == Growth(3, 2 * 3600), "more than before, and still of another boot"


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_growth_is_the_sum_of_all_increases(steps: list[int]) -> None:
    value, samples = 0, []
    for number, step in enumerate(steps):
        value += step
        samples.append(Sample(AT - timedelta(minutes=len(steps) - number), value, "b1"))
    found = Past({"x": tuple(samples)}).growth("x", Sample(AT, value + 7, "b1"), 24 * HOUR)
    assert found is not None
    assert found.amount == value - steps[0] + 7


def test_what_came_before_a_repair_is_over() -> None:
    whole = Past({"x": (Sample(AT - HOUR, 3, "b1"), Sample(AT, 5, "b1"), Sample(AT + 2 * HOUR, 6, "b2"))})
    since = whole.since(AT + HOUR)
    now = Sample(AT + 3 * HOUR, 6, "b2")
    assert whole.growth("x", now, 24 * HOUR) == Growth(2 + 6, 4 * 3600)
    assert since.growth("x", now, 24 * HOUR) == Growth(1, 2 * 3600), (
        "a counter that is as it was has not grown by a boot"
    )
    assert whole.since(AT - 2 * HOUR) == whole
