"""A job that deciding trips over is left out; whatever all others rest on goes on, and its owner can end it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.controller.rig import ANN, NODES, FakeHands, Rig, job
from tests.l2_jobs.controller.test_confined import odd_about, states

from aiops.layers.l2_jobs import decide as deciding
from aiops.layers.l2_jobs import ending, queue
from aiops.layers.l2_jobs import running as running_jobs
from aiops.layers.l2_jobs.action import Action, AskPower, Verify
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.checkpoint.checkpoint import Checkpoint, Level
from aiops.layers.l2_jobs.controller.controller import Answers, Controller
from aiops.layers.l2_jobs.defects import Defects
from aiops.layers.l2_jobs.job import CheckpointPlan, Span
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.power import PowerTold
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Silent
from aiops.layers.l2_jobs.request import Cancel, Hold, Resume, Submit
from aiops.layers.l2_jobs.shelf import Shelf


class Answering(FakeHands):
    """Hands that ask BMCs, and find a good checkpoint in each folder."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.truth)
        self.off: set[str] = set()
        self._rig = rig
        self._told: list[PowerTold] = []
        self._shelves: dict[str, Shelf] = {}

    def take(self, number: int, action: Action, record: JobRecord | None) -> None:
        super().take(number, action, record)
        if isinstance(action, AskPower):
            state: Any = "off" if action.node in self.off else "on"
            self._told.append(PowerTold(action.node, self._rig.now, self._rig.now, state, f"Chassis Power is {state}"))

        elif isinstance(action, Verify):
            good = Checkpoint(
                7, "/c/7", "files", Level.STRUCTURE, True, None, None, 1, datetime(2026, 11, 28, tzinfo=UTC)
            )
            self._shelves[action.job] = Shelf(self._rig.now, (good,), live=action.live)

    def answers(self) -> Answers:
        told, self._told = tuple(self._told), []
        shelves, self._shelves = self._shelves, {}
        return Answers(super().answers().done, shelves=shelves, power=told)


def begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Rig, Controller, Answering]:
    """Two jobs, of a node each; the first is to go on from a checkpoint."""
    rig = Rig(folder, decide=deciding.decide)
    rig.defects = Defects()
    controller = rig.controller()
    hands = Answering(rig)
    monkeypatch.setattr(controller, "_hands", hands)
    bmc: Any = {"verdict": "ok", "verdict_at": rig.now + 1e6, "bmc": True}
    controller.begin({name: Place(name, "ssh", **bmc) for name in NODES})
    for number, plan in (1, CheckpointPlan("/c", "files", resume=True)), (2, None):
        rig.ledger.append(Submit(replace(job(number), nodes=Span(1, 1), checkpoint=plan)), ANN, rig.now)
    return rig, controller, hands


def running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Rig, Controller, Answering]:
    rig, controller, hands = begun(folder, monkeypatch)
    rig.ticks(controller)
    assert states(controller) == {"sleep-1": "running", "sleep-2": "running"}
    return rig, controller, hands


def node_of(controller: Controller, name: str) -> str:
    attempt = controller.world.roster.jobs[name].attempt
    assert attempt is not None
    return attempt.allocation.nodes[0]


def test_a_node_of_another_job_is_proved_to_be_off_while_one_meets_a_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, controller, hands = running(tmp_path, monkeypatch)
    odd_about(monkeypatch, {"sleep-1"})
    rig.ticks(controller, 40)  # it rests for longer and longer
    silent = node_of(controller, "sleep-2")
    hands.off.add(silent)
    rig.engine.told(Silent(silent, rig.now, "nothing came from it"))
    rig.ticks(controller, 14)
    assert states(controller) == {"sleep-1": "running", "sleep-2": "stopping"}
    fault = controller.world.roster.jobs["sleep-2"].fault
    assert fault is not None
    assert "its BMC has said twice that it is without power" in str(fault.evidence)


@pytest.mark.parametrize("where", ["_unready", "_seek", "_chosen", "fits", "_launch", "_port"])
def test_a_queued_job_that_meets_a_defect_waits_and_the_one_behind_it_starts(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, controller, _ = begun(tmp_path, monkeypatch)
    real, broken = getattr(queue, where), {"sleep-1"}

    def odd(*given: Any) -> Any:
        # Only the first job has a checkpoint that could fit.
        about = {one.job.id if isinstance(one, JobRecord) else getattr(one, "job", None) for one in given}
        if broken & (about if where != "fits" else {"sleep-1"}):
            raise KeyError(where)
        return real(*given)

    monkeypatch.setattr(queue, where, odd)
    rig.ticks(controller)
    assert states(controller) in ({"sleep-1": "queued", "sleep-2": "running"}, {"sleep-2": "running"})
    assert rig.truth.begun == [(Key("sleep-2", 1), node_of(controller, "sleep-2"))]
    broken.clear()
    rig.ticks(controller, 20)
    assert states(controller) == {"sleep-1": "running", "sleep-2": "running"}


def users(controller: Controller) -> set[str]:
    return {name for names in controller.world.roster.users.values() for name in names}


@pytest.mark.parametrize(("word", "state"), [(Cancel, "cancelled"), (Hold, "held")])
def test_a_job_that_meets_a_defect_is_ended_when_its_owner_asks_and_its_nodes_are_free(
    word: type[Cancel] | type[Hold], state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, controller, _ = running(tmp_path, monkeypatch)
    odd_about(monkeypatch, {"sleep-1"})
    rig.ticks(controller, 40)
    rig.ledger.append(word("sleep-1", ANN), ANN, rig.now)
    rig.ledger.append(Resume("sleep-1", ANN), ANN, rig.now)  # which waits, for nothing can be decided about that
    rig.ticks(controller, 4)
    assert {key.job for key, _ in rig.truth.running} == {"sleep-2"}
    assert users(controller) == {"sleep-2"}
    assert rig.ledger.written({"sleep-1"})["sleep-1"].state == state
    assert [one.request for one in rig.ledger.asked()] == [Resume("sleep-1", ANN)]
    assert states(controller)["sleep-2"] == "running"


def test_a_queued_job_that_meets_a_defect_is_cancelled_when_its_owner_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, controller, _ = begun(tmp_path, monkeypatch)

    def odd(*given: Any) -> Any:
        raise KeyError(given)

    monkeypatch.setattr(queue, "_chosen", odd)  # of both
    rig.ticks(controller, 40)
    rig.ledger.append(Cancel("sleep-1", ANN), ANN, rig.now)
    rig.ticks(controller, 2)
    assert states(controller).keys() <= {"sleep-2"}
    assert rig.ledger.written({"sleep-1"})["sleep-1"].state == "cancelled"


def test_one_that_cannot_even_be_fenced_is_killed_and_keeps_its_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, controller, _ = running(tmp_path, monkeypatch)
    odd_about(monkeypatch, broken := {"sleep-1"})
    real = running_jobs.fenced

    def odd(draft: Any, record: JobRecord, attempt: Any) -> Any:
        if attempt.key.job in broken:
            raise KeyError(attempt.key)
        return real(draft, record, attempt)

    monkeypatch.setattr(ending, "fenced", odd)
    rig.ledger.append(Cancel("sleep-1", ANN), ANN, rig.now)
    rig.ticks(controller, 40)
    assert {key.job for key, _ in rig.truth.running} == {"sleep-2"}
    assert users(controller) == {"sleep-1", "sleep-2"}
    broken.clear()
    rig.ticks(controller, 70)
    assert users(controller) == {"sleep-2"}
    assert states(controller) == {"sleep-2": "running"}


def test_what_is_not_taken_up_is_not_cancelled_before_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, controller, _ = begun(tmp_path, monkeypatch)
    real, broken = queue._unready, {"sleep-1"}

    def odd(draft: Any, record: JobRecord) -> str:
        if record.job.id in broken:
            raise KeyError(record.job.id)
        return real(draft, record)

    monkeypatch.setattr(queue, "_unready", odd)
    rig.ticks(controller, 4)
    rig.ledger.append(Cancel("sleep-1", ANN), ANN, rig.now)
    rig.ticks(controller, 4)
    broken.clear()
    rig.ticks(controller, 70)
    assert states(controller) == {"sleep-2": "running"}
    assert rig.ledger.written({"sleep-1"})["sleep-1"].state == "cancelled"
