"""Which checkpoint is chosen, which may go, what fits, what is new: all pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint, Level, Wanted, age_key, fits, newest
from aiops.layers.l2_jobs.checkpoint.facts import Entry, Place
from aiops.layers.l2_jobs.checkpoint.pruning import pruning
from aiops.layers.l2_jobs.checkpoint.watch import watch

from .saves import formats

AT = datetime(2026, 11, 28, 22, 0, tzinfo=UTC)
ONE = Checkpoint(100, "/runs/step-100", "dcp", Level.STRUCTURE, True, None, 4, 1000, AT)

CHECKPOINTS = st.lists(
    st.builds(
        Checkpoint,
        st.none() | st.integers(0, 50),
        st.integers(0, 10**6).map(lambda number: f"/runs/{number}"),
        st.sampled_from(["dcp", "torch"]),
        st.sampled_from(Level),
        st.booleans(),
        st.none() | st.just("it is cut off"),
        st.none(),
        st.integers(0, 100),
        st.none() | st.integers(0, 100).map(lambda days: AT + timedelta(days=days)),
        st.booleans(),
    ),
    unique_by=lambda one: one.path,
    max_size=12,
)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "good"),
        ({"manifest": True}, "unknown"),
        ({"manifest": True, "level": Level.MANIFEST}, "good"),
        ({"level": Level.MARKER, "verified": False}, "unknown"),
        ({"verified": False, "why": "it is cut off"}, "bad"),
        ({"verified": False, "why": "it is still being written", "doubt": "unfinished"}, "unfinished"),
        ({"verified": False, "why": "x cannot be read: Stale file handle", "doubt": "unknown"}, "unknown"),
    ],
)
def test_a_checkpoint_has_one_state(change: dict[str, object], state: str) -> None:
    assert replace(ONE, **change).state == state  # type: ignore[arg-type]


@given(found=CHECKPOINTS)
def test_the_newest_is_good_and_no_good_one_is_newer(found: list[Checkpoint]) -> None:
    best = newest(found)
    good = [one for one in found if one.state == "good"]
    if best is None:
        assert not good
        return
    assert best in good
    newer = [one for one in good if age_key(one) > age_key(best)]
    # Passed over is one alone: it was not sealed, and the one before it was.
    assert not newer or (len(newer) == 1 and best.manifest and not newer[0].manifest)


@given(found=CHECKPOINTS, keep=st.integers(2, 5))
def test_pruning_removes_only_good_ones_that_are_older_than_enough_others(found: list[Checkpoint], keep: int) -> None:
    plan = pruning(found, keep)
    assert sorted(one.path for part in (plan.kept, plan.removed, plan.left) for one in part) == sorted(
        one.path for one in found
    )
    for gone in plan.removed:
        assert gone.state == "good"
        assert gone.step is not None
        newer = [one for one in plan.kept if one.format == gone.format and (one.step or 0) >= gone.step]
        assert len(newer) == keep
    best = newest(found)
    assert best is None or best not in plan.removed


def test_fewer_than_two_are_never_kept() -> None:
    with pytest.raises(InputError, match="at least 2"):
        pruning([ONE], 1)


@pytest.mark.parametrize(
    ("change", "wanted", "said"),
    [
        ({}, Wanted(), None),
        ({}, Wanted("auto", 8), None),
        ({}, Wanted("dcp"), None),
        ({}, Wanted("torch"), "of the format dcp, not torch"),
        ({"format": "glob"}, Wanted("glob:*.bin,DONE"), None),
        ({"elastic": False}, Wanted(None, 4), None),
        ({"elastic": False}, Wanted(None, 8), "written by 4 processes"),
        ({"elastic": False, "world_size": None}, Wanted(None, 8), None),
        ({"elastic": False}, Wanted(None, None), None),
    ],
)
def test_what_does_not_fit_is_told(change: dict[str, object], wanted: Wanted, said: str | None) -> None:
    problem = fits(replace(ONE, **change), wanted)  # type: ignore[arg-type]
    assert (problem is None) == (said is None)
    if problem is not None and said is not None:
        assert said in problem.message
        assert problem.hint


def _places(*steps: int, size: int = 5) -> "tuple[tuple[object, Place], ...]":
    format_ = formats().named("dcp")
    return tuple((format_, Place(f"step-{step}", step, (Entry("a", size, 1.0),))) for step in steps)


def test_what_comes_changes_and_goes_is_watched() -> None:
    first = watch(_places(1, 2), {})  # type: ignore[arg-type]
    assert ([place.step for _, place in first.found], first.gone) == ([1, 2], ())
    same = watch(_places(1, 2), first.known)  # type: ignore[arg-type]
    assert (same.found, same.gone) == ((), ())
    more = watch((*_places(2, 3), *_places(4, size=6)), {**first.known, "step-4": "other"})  # type: ignore[arg-type]
    assert ([place.step for _, place in more.found], more.gone) == ([3, 4], ("step-1",))
