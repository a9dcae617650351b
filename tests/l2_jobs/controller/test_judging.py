"""A job that deciding trips over is left out; whatever all others rest on goes on, and its owner can end it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.controller.rig import ANN, NODES, FakeHands, Rig, job
from tests.l2_jobs.controller.test_confined import odd_about, states

from aiops.layers.l2_jobs import decide as deciding
from aiops.layers.l2_jobs.action import Action, AskPower
from aiops.layers.l2_jobs.controller.controller import Answers, Controller
from aiops.layers.l2_jobs.defects import Defects
from aiops.layers.l2_jobs.job import Span
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.power import PowerTold
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Silent
from aiops.layers.l2_jobs.request import Submit


class Bmcs(FakeHands):
    """Hands that ask BMCs."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.truth)
        self.off: set[str] = set()
        self._rig = rig
        self._told: list[PowerTold] = []

    def take(self, number: int, action: Action, record: JobRecord | None) -> None:
        super().take(number, action, record)
        if isinstance(action, AskPower):
            state: Any = "off" if action.node in self.off else "on"
            self._told.append(PowerTold(action.node, self._rig.now, self._rig.now, state, f"Chassis Power is {state}"))

    def answers(self) -> Answers:
        told, self._told = tuple(self._told), []
        return Answers(super().answers().done, power=told)


def running(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Rig, Controller, Bmcs]:
    """Two jobs, of a node each."""
    rig = Rig(folder, decide=deciding.decide)
    rig.defects = Defects()
    controller = rig.controller()
    bmcs = Bmcs(rig)
    monkeypatch.setattr(controller, "_hands", bmcs)
    bmc: Any = {"verdict": "ok", "verdict_at": rig.now + 1e6, "bmc": True}
    controller.begin({name: Place(name, "ssh", **bmc) for name in NODES})
    for number in (1, 2):
        rig.ledger.append(Submit(replace(job(number), nodes=Span(1, 1))), ANN, rig.now)
    rig.ticks(controller)
    assert states(controller) == {"sleep-1": "running", "sleep-2": "running"}
    return rig, controller, bmcs


def node_of(controller: Controller, name: str) -> str:
    attempt = controller.world.roster.jobs[name].attempt
    assert attempt is not None
    return attempt.allocation.nodes[0]


def test_a_node_of_another_job_is_proved_to_be_off_while_one_meets_a_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, controller, bmcs = running(tmp_path, monkeypatch)
    odd_about(monkeypatch, {"sleep-1"})
    rig.ticks(controller, 40)  # it rests for longer and longer
    silent = node_of(controller, "sleep-2")
    bmcs.off.add(silent)
    rig.engine.told(Silent(silent, rig.now, "nothing came from it"))
    rig.ticks(controller, 14)
    assert states(controller) == {"sleep-1": "running", "sleep-2": "stopping"}
    fault = controller.world.roster.jobs["sleep-2"].fault
    assert fault is not None
    assert "its BMC has said twice that it is without power" in str(fault.evidence)
