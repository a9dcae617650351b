"""A defect that one job's words meet is that job's trouble: the controller goes on with all others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.controller.rig import NODES, Rig

from aiops.layers.core.errors import FailedError
from aiops.layers.l2_jobs import asking
from aiops.layers.l2_jobs import decide as deciding
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.controller.controller import Answers, Controller
from aiops.layers.l2_jobs.defects import Defects
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Stepped
from aiops.layers.l2_jobs.request import Submit
from aiops.layers.l2_jobs.shelf import Shelf

ODD: Any = ["no", "number"]


def rig_of(folder: Path) -> tuple[Rig, list[str]]:
    rig, warned = Rig(folder), list[str]()
    rig.defects = Defects(warned.append)
    rig.submit([1, 2])
    return rig, warned


def states(controller: Any) -> dict[str, str]:
    return {name: record.state for name, record in controller.world.roster.jobs.items()}


@pytest.mark.parametrize("odd", [(ODD, 7), (0, ODD)], ids=["while it is weighed", "while it is folded"])
def test_a_word_that_cannot_be_taken_in_is_left_out_and_told_once(tmp_path: Path, odd: tuple[Any, Any]) -> None:
    rig, warned = rig_of(tmp_path)
    controller = rig.begin()
    rig.ticks(controller)
    rig.engine.told(Stepped(Key("sleep-1", 1), "n1", 1.0, 0, 3))
    for _ in range(3):
        rig.engine.told(Stepped(Key("sleep-1", 1), "n1", 1.0, *odd))
        rig.engine.told(Stepped(Key("sleep-2", 1), "n1", 1.0, 0, 7))
        rig.ticks(controller, 1)
    found = [controller.progress(Key(f"sleep-{number}", 1)) for number in (1, 2)]
    assert [one.step if one is not None else None for one in found] == [3, 7]
    assert [words.partition(": ")[0] for words in warned] == ["sleep-1.1 on n1"]
    assert "a defect of aiops, TypeError at " in warned[0]
    rig.truth.running.clear()
    for number in (1, 2):
        for node in ("n1", "n2"):
            rig.truth.running.add((Key(f"sleep-{number}", 1), node))
        rig.engine.end(Key(f"sleep-{number}", 1))
    rig.ticks(controller)
    assert states(controller) == {}  # both have succeeded


def test_progress_that_cannot_be_counted_keeps_no_other_word_from_being_heard(tmp_path: Path) -> None:
    rig, warned = rig_of(tmp_path)
    controller = rig.begin()
    rig.ticks(controller)
    rig.engine.told(Stepped(Key("sleep-1", 1), "n1", 1.0, 0, 7, tokens=ODD))
    rig.engine.end(Key("sleep-1", 1))
    rig.ticks(controller)
    assert states(controller) == {"sleep-2": "running"}
    assert len(warned) == 1


def test_a_launch_that_meets_a_defect_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, warned = rig_of(tmp_path)
    controller = rig.begin()
    start, broken = rig.engine.start, {"sleep-1"}

    def odd(job: Any, attempt: Any) -> None:
        if job.id in broken:
            raise KeyError(job.id)
        start(job, attempt)

    monkeypatch.setattr(rig.engine, "start", odd)
    rig.ticks(controller)
    assert states(controller) == {"sleep-1": "starting", "sleep-2": "running"}
    assert [words.partition(": ")[0] for words in warned] == ["sleep-1.1"]
    broken.clear()
    rig.ticks(controller)
    assert states(controller) == {"sleep-1": "running", "sleep-2": "running"}


@pytest.mark.parametrize("error", [KeyError("x"), FailedError("the disk is full", code="store.full")])
def test_what_lies_in_one_folder_ends_no_controller_but_a_store_that_cannot_be_written_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    rig, warned = rig_of(tmp_path)
    controller = rig.begin()
    rig.ticks(controller)

    def odd(job: str, shelf: Shelf) -> None:
        raise error

    monkeypatch.setattr(controller._ledger, "keep_shelf", odd)
    monkeypatch.setattr(controller._hands, "answers", lambda: Answers(shelves={"sleep-1": Shelf(1.0)}))
    if isinstance(error, FailedError):
        with pytest.raises(FailedError):
            rig.ticks(controller, 1)
    else:
        rig.ticks(controller, 1)
        assert [words.partition(": ")[0] for words in warned] == ["sleep-1"]


def odd_about(monkeypatch: pytest.MonkeyPatch, broken: set[str]) -> None:
    """Have whoever looks after one of these jobs meet a defect."""
    real = deciding._tend

    def tend(draft: Any, record: JobRecord) -> None:
        if record.job.id in broken:
            draft.put(replace(record, reason="half of it"))
            raise KeyError(record.job.id)
        real(draft, record)

    monkeypatch.setattr(deciding, "_tend", tend)


def deciding_rig(folder: Path) -> tuple[Rig, Controller, list[str]]:
    rig, warned = Rig(folder, decide=deciding.decide), list[str]()
    rig.defects = Defects(warned.append)
    controller = rig.controller()
    controller.begin({name: Place(name, "ssh", verdict="ok", verdict_at=rig.now + 1e6) for name in NODES})
    return rig, controller, warned


def test_a_job_that_cannot_be_decided_about_is_left_as_it_is_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, controller, warned = deciding_rig(tmp_path)
    rig.submit([1])
    rig.ticks(controller)
    assert states(controller) == {"sleep-1": "running"}
    broken = {"sleep-1"}
    odd_about(monkeypatch, broken)
    rig.submit([2])
    rig.ticks(controller)
    assert states(controller)["sleep-1"] == "running"
    assert "half of it" not in controller.world.roster.jobs["sleep-1"].reason
    assert "sleep-2" in states(controller)
    assert [words.partition(": ")[0] for words in warned] == ["sleep-1"]
    assert "a defect of aiops, KeyError at test_confined.py:" in warned[0]
    assert {key.job for key, _ in rig.truth.running} >= {"sleep-1"}
    rig.ticks(controller, 30)
    looks = controller._judge._setbacks["sleep-1"].count
    assert 3 <= looks <= 8  # after 1, 2, 4, 8 s ...
    broken.clear()
    rig.engine.end(Key("sleep-1", 1))
    rig.ticks(controller, 70)
    assert "sleep-1" not in states(controller)
    assert {key.job for key, _ in rig.truth.running} == {"sleep-2"}


def test_a_defect_that_no_single_job_makes_ends_the_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, controller, warned = deciding_rig(tmp_path)
    rig.submit([1])
    rig.ticks(controller)

    def odd(*_: Any) -> None:
        raise KeyError("all of them")

    monkeypatch.setattr(deciding, "place_all", odd)
    with pytest.raises(KeyError, match="all of them"):
        rig.ticks(controller)
    assert warned == []


def test_what_is_asked_with_a_word_that_meets_a_defect_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, controller, warned = deciding_rig(tmp_path)

    def answer(draft: Any, request: Any) -> None:
        if isinstance(request, Submit) and request.job.id == "sleep-1":
            raise KeyError("odd")
        asking.answer(draft, request)

    monkeypatch.setattr(deciding, "answer", answer)
    rig.submit([1, 2])
    rig.ticks(controller)
    assert states(controller) == {"sleep-2": "running"}
    assert len(warned) == 1
    assert [one.request.job.id for one in rig.ledger.asked() if isinstance(one.request, Submit)] == ["sleep-1"]
