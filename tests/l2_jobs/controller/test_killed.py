"""The controller is ended between any two statements: its successor loses nothing and runs nothing twice."""

import time
from collections import Counter
from pathlib import Path

import pytest
from tests.l2_jobs.controller.rig import ANN, Killed, Rig

from aiops.layers.l2_jobs.controller.controller import Controller
from aiops.layers.l2_jobs.decide import decide
from aiops.layers.l2_jobs.request import Cancel, Hold


class Fuse:
    """Ends the controller at the n-th failpoint, once."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.places: list[str] = []

    def __call__(self, place: str) -> None:
        self.places.append(place)
        self.left -= 1
        if self.left == 0:
            raise Killed(place)


def story(rig: Rig, fuse: Fuse) -> Controller:
    """Three jobs are submitted: one ends by itself, one is cancelled, one goes on. The fuse may end the controller."""
    controller: Controller | None = None

    def going(count: int = 4) -> None:
        nonlocal controller
        for _ in range(count):
            try:
                if controller is None:
                    controller = rig.begin(fuse)
                rig.now += 1.0
                controller.tick()
            except Killed:
                controller = None

    rig.submit([1, 2, 3])
    going()
    for key, _ in list(rig.truth.running):
        if key.job == "sleep-1":
            rig.engine.end(key)
    going()
    rig.ledger.append(Cancel("sleep-2", ANN), ANN, rig.now)
    going(8)
    fuse.left = 0
    going(1)
    assert controller is not None
    return controller


def check(rig: Rig) -> None:
    begun = Counter(rig.truth.begun)
    assert max(begun.values()) == 1, "a rank group was begun twice"
    assert {key.number for key, _ in begun} == {1}, "a job was restarted"
    assert len(begun) == 6, "an attempt was begun in part"
    states = {name: rig.ledger.record(name).state for name in ("sleep-1", "sleep-2", "sleep-3")}
    assert states == {"sleep-1": "succeeded", "sleep-2": "cancelled", "sleep-3": "running"}
    assert rig.ledger.open_actions() == ()
    assert rig.ledger.asked() == ()
    kinds = [told.decision.kind for told in rig.ledger.decisions("sleep-1")]
    assert kinds == ["job_started", "job_succeeded"], "something was decided twice, or not written down"
    rows = rig.ledger.attempts("sleep-1")
    assert [(row.attempt.key.number, row.ended is not None) for row in rows] == [(1, True)]
    assert rig.ledger.attempts("sleep-3")[0].ran is not None
    assert [job for job, _ in dict.fromkeys(rig.truth.messages)] == ["sleep-1", "sleep-2"]


def places(tmp_path: Path) -> list[str]:
    fuse = Fuse(0)
    rig = Rig(tmp_path / "whole")
    story(rig, fuse)
    check(rig)
    return fuse.places


def test_between_any_two_statements(tmp_path: Path) -> None:
    passed = places(tmp_path)
    assert len(passed) >= 100
    assert {"observed", "decided", "committed", "to be committed", "before an action"} <= set(passed)
    for number in range(1, len(passed) + 1):
        rig = Rig(tmp_path / str(number))
        story(rig, Fuse(number))
        check(rig)
        rig.store.close()


def test_the_state_is_whole_at_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.submit(range(1, 21))
    fuse = Fuse(40)
    with pytest.raises(Killed):
        rig.ticks(rig.begin(fuse), 30)
    begun = time.monotonic()
    controller = rig.begin()
    controller.tick()
    controller.tick()
    assert time.monotonic() - begun < 2
    rig.ticks(controller)
    assert {record.state for record in controller.world.roster.jobs.values()} == {"running"}
    assert max(Counter(rig.truth.begun).values()) == 1


@pytest.mark.parametrize(("wish", "state"), [(Hold, "held"), (Cancel, "cancelled")])
def test_what_is_stopped_before_it_was_taken_up_is_not_lost(
    tmp_path: Path, wish: type[Hold | Cancel], state: str
) -> None:
    rig = Rig(tmp_path, decide=decide)
    rig.submit([1])
    rig.ledger.append(wish("sleep-1", ANN), ANN, rig.now)
    rig.ticks(rig.begin(), 1)
    controller = rig.begin()
    rig.ticks(controller, 2)
    assert rig.ledger.asked() == ()
    assert rig.ledger.record("sleep-1").state == state
    assert ("sleep-1" in controller.world.roster.jobs) == (state == "held")
    assert rig.truth.begun == []
