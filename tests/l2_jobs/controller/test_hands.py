"""Hands and threads: what fails is tried again and keeps nothing waiting; a thread that ends ends the controller."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

import pytest
from tests.l2_jobs.controller.rig import job

from aiops.cli.controller.assembly import Running
from aiops.layers.core.errors import FailedError
from aiops.layers.l2_jobs.action import TryPairs, Verify
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.controller.controller import Answers
from aiops.layers.l2_jobs.controller.hands import TRIES, Deeds, ThreadedHands
from aiops.layers.l2_jobs.controller.vigil import vigil
from aiops.layers.l2_jobs.pair_test import Pair, Paired, PairResult, Trial
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.shelf import Shelf


class Hours:
    """A clock that goes on by ten seconds whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


def deeds(verify: Callable[[JobRecord], Shelf], warned: list[str]) -> Deeds:
    def nothing(*_: object) -> Any:
        return None

    looked = lambda record, _live: verify(record)  # noqa: E731 - one line
    return Deeds(nothing, nothing, nothing, nothing, nothing, looked, nothing, warned.append, nothing)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_defect_in_one_look_is_a_try_that_failed() -> None:
    warned: list[str] = []
    tries: list[str] = []

    def verify(record: JobRecord) -> Shelf:
        tries.append(record.job.id)
        if record.job.id == "sleep-1":
            raise ZeroDivisionError("of pages")
        return Shelf(1.0, ())

    hands = ThreadedHands(deeds(verify, warned), Hours())
    found = Answers()
    for number in (1, 2, 3):
        hands.take(number, Verify(f"sleep-{number}"), JobRecord(job(number), "running", 0.0))
    done: set[int] = set()
    shelves: set[str] = set()

    def took() -> bool:
        nonlocal found
        found = hands.answers()
        done.update(found.done)
        shelves.update(found.shelves or ())
        return done == {1, 2, 3}

    until(took)
    hands.close()
    assert shelves == {"sleep-2", "sleep-3"}, "what could not be looked at is unknown"
    assert tries.count("sleep-1") == TRIES
    assert tries.count("sleep-2") == tries.count("sleep-3") == 1
    assert warned[0] == (
        "the checkpoints of sleep-1 could not be looked at, and is tried again: "
        "a defect of aiops: ZeroDivisionError: of pages"
    )
    assert len(warned) == 2


def test_what_fails_keeps_no_other_waiting() -> None:
    def verify(record: JobRecord) -> Shelf:
        if record.job.id == "sleep-1":
            raise FailedError("the storage does not answer", code="x")
        return Shelf(1.0, ())

    hands = ThreadedHands(deeds(verify, []), lambda: 5.0)  # no time passes: what has failed is never due again
    for number in range(1, 5):
        hands.take(number, Verify(f"sleep-{number}"), JobRecord(job(number), "running", 0.0))
    done: list[int] = []

    def three() -> bool:
        done.extend(hands.answers().done)
        return len(done) == 3

    until(three)
    hands.close()
    assert sorted(done) == [2, 3, 4]


def test_a_round_of_pairs_is_for_a_job_that_waits_for_it_by_now_and_not_when_it_was_handed_over() -> None:
    pairs = (Pair("n1", "n2"),)
    order = TryPairs(Key("sleep-1", 2), 1, pairs, 20000)
    handed = JobRecord(job(1), "waiting", 0.0, launched=2, trial=Trial(0.0, ("n1", "n2"), (), (), 1, pairs))
    stopped, gone = replace(handed, stop="cancel"), replace(handed, trial=None)
    written = handed
    asked: list[bool] = []

    def pair(_record: JobRecord, order: TryPairs, waits: Callable[[], bool]) -> Paired:
        nonlocal written
        asked.append(waits())
        written = stopped
        asked.append(waits())
        return Paired(order.key.number, order.number, (PairResult(pairs[0], True),))

    hands = ThreadedHands(replace(deeds(lambda _record: Shelf(1.0, ()), []), pair=pair, current=lambda _job: written))

    def taken(number: int) -> Mapping[str, Paired] | None:
        hands.take(number, order, handed)
        found = Answers()

        def took() -> bool:
            nonlocal found
            came = hands.answers()
            found = replace(came, paired={**(found.paired or {}), **(came.paired or {})})
            return number in found.done

        until(took)
        return found.paired or {}

    assert taken(1) == {"sleep-1": Paired(2, 1, (PairResult(pairs[0], True),))}
    assert asked == [True, False]
    assert taken(2) == {"sleep-1": Paired(2, 1, ())}, "its nodes may be let go"
    written = gone
    assert taken(3) == {}
    hands.close()
    assert asked == [True, False]


class Idle:
    """A controller with nothing to do."""

    transitions = 0

    def tick(self) -> bool:
        return False

    def wait(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.01))

    def refresh(self) -> dict[str, object]:
        return {}

    def offer(self, places: object) -> None:
        del places

    @property
    def world(self) -> "Idle":
        return self

    roster = world
    jobs: Mapping[str, JobRecord] = MappingProxyType({})

    def offer_shelf(self, job: str, shelf: Shelf) -> None:
        del job, shelf

    def keep_up(self, records: object, offer: object) -> None:
        del records, offer


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_by_a_defect_ends_the_controller() -> None:
    idle = cast("Any", Idle())
    running = Running(idle, idle, idle, idle, idle, idle, idle, None, time.monotonic, threading.Event())

    def lines() -> None:
        raise ZeroDivisionError("in a line")

    before = threading.excepthook
    with vigil(running.fall):
        threading.Thread(target=lines, name="lines").start()
        with pytest.raises(FailedError, match="thread `lines` failed with ZeroDivisionError") as caught:
            running.run()
    assert caught.value.code == "controller.defect"
    assert threading.excepthook is before


def test_a_storage_that_stalls_does_not_hold_up_the_look_at_another() -> None:
    began, stalls, looks = threading.Event(), threading.Event(), []

    def look(record: JobRecord) -> Shelf:
        looks.append(record.job.id)
        if record.job.id == "stalled-1":
            began.set()
            assert stalls.wait(30)
        return Shelf(1.0)

    hands = ThreadedHands(deeds(look, []))
    records = {name: JobRecord(replace(job(1), id=name), "running", 0.0) for name in ("stalled-1", "well-1")}
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
