"""What a controller does beside its loop: each kind in turn, and folders of checkpoints at once."""

import threading
import time
from collections.abc import Callable

import pytest
from tests.l2_jobs.simulated_stage import a_job

from aiops.layers.l2_jobs.action import Verify
from aiops.layers.l2_jobs.controller.hands import Deeds, ThreadedHands
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.shelf import Shelf


def never(*_: object) -> None:
    pytest.fail("nobody asks for this")


def hands_that_verify(look: Callable[[JobRecord], Shelf]) -> ThreadedHands:
    return ThreadedHands(
        Deeds(
            drain=never,
            set_aside=never,
            notify=never,
            examine=never,  # type: ignore[arg-type]
            diagnose=never,
            verify=lambda record, _live: look(record),
            warn=never,
        )
    )


def test_a_storage_that_stalls_does_not_hold_up_the_look_at_another() -> None:
    began, stalls, looks = threading.Event(), threading.Event(), []

    def look(record: JobRecord) -> Shelf:
        looks.append(record.job.id)
        if record.job.id == "stalled-1":
            began.set()
            assert stalls.wait(30)
        return Shelf(1.0)

    hands = hands_that_verify(look)
    records = {f"{name}-1": JobRecord(a_job(name), "running", 0.0, "") for name in ("stalled", "well")}
    hands.take(1, Verify("stalled-1"), records["stalled-1"])
    assert began.wait(20)
    hands.take(2, Verify("stalled-1"), records["stalled-1"])  # again, and not while the first look is under way
    hands.take(3, Verify("well-1"), records["well-1"])
    found: set[str] = set()
    deadline = time.monotonic() + 20
    while "well-1" not in found:
        assert time.monotonic() < deadline
        found |= set(hands.answers().shelves or ())
        time.sleep(0.01)
    assert found == {"well-1"}
    assert sorted(looks) == ["stalled-1", "well-1"]
    stalls.set()
    done: set[int] = set()
    while not {1, 2} <= done:
        assert time.monotonic() < deadline
        done |= set(hands.answers().done)
        time.sleep(0.01)
    hands.close()
    assert looks.count("stalled-1") == 2  # what was written after the first was begun is seen too
