"""Folders of checkpoints as the controller looks at them: through the real deeds, on real files of this machine."""

import os
import shutil
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.l2_jobs.checkpoint.saves import age, lay, spoil
from tests.l2_jobs.controller.rig import job

from aiops.cli.app import App
from aiops.cli.controller.shelves import Shelves
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l2_jobs.action import SetAside, Verify
from aiops.layers.l2_jobs.checkpoint.surveyor import LocalSurveyor
from aiops.layers.l2_jobs.controller.hands import Deeds, ThreadedHands
from aiops.layers.l2_jobs.document import action_document, action_of
from aiops.layers.l2_jobs.job import Account, CheckpointPlan
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.pair_test import Paired
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.shelf import Shelf


class Rig:
    """Shelves of this machine, with a clock that is set."""

    def __init__(self, home: Path) -> None:
        self.now = 1000.0
        self.warned: list[str] = []
        app = App({"AIOPS_HOME": str(home)}, plugins=Plugins())
        nodes = [Node("n1", connection=Connection("local"))]
        self.shelves = Shelves(
            app, Fleet(lambda _node: pytest.fail("nobody is reached")), nodes, self.clock, warn=self.warned.append
        )

    def clock(self) -> float:
        return self.now

    def caught_up(self, record: JobRecord) -> list[Shelf]:
        """What looking for new ones has offered, once it is done."""
        came: list[Shelf] = []
        self.now += 10.0
        self.shelves.keep_up({record.job.id: record}, lambda _job, shelf: came.append(shelf))
        for thread in threading.enumerate():
            if thread.name == "shelf":
                thread.join(20.0)
        return came


def record(folder: Path, state: str = "running", *, job_number: int = 1) -> JobRecord:
    me = Account("me", os.geteuid(), os.getegid())
    one = replace(job(job_number), owner=me, checkpoint=CheckpointPlan(str(folder)))
    return JobRecord(one, state, 0.0, launched=1)  # type: ignore[arg-type]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The places of which contents were read."""
    found: list[str] = []
    real = LocalSurveyor.contents

    def contents(self: LocalSurveyor, root: str, question: object) -> object:
        found.append(question.base)  # type: ignore[attr-defined]
        return real(self, root, question)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalSurveyor, "contents", contents)
    return found


def many(folder: Path) -> Path:
    """Checkpoints of the steps 10, 20, 30, 40, 50."""
    lay("dcp", folder)
    for step in (30, 40, 50):
        shutil.copytree(folder / "step-20", folder / f"step-{step}")
    age(folder, 3600.0)
    return folder


def test_a_good_one_that_a_job_goes_back_behind_is_renamed_by_the_deed(tmp_path: Path) -> None:
    rig, job_ = Rig(tmp_path / "home"), record(lay("dcp", tmp_path / "run"), "queued")
    poisoned = rig.shelves.look(job_, live=False).checkpoints[0]
    assert (poisoned.step, poisoned.proved) == (20, True)
    order = action_of(action_document(SetAside("sleep-1", poisoned.path, "the loss is lost", poisoned.written)))
    assert isinstance(order, SetAside)
    rig.shelves.set_aside(job_, order)
    assert [(one.step, one.proved) for one in rig.shelves.look(job_, live=False).checkpoints] == [(10, True)]
    rig.shelves.set_aside(job_, order)
    (reason,) = (tmp_path / "run").glob("step-20.bad-*.json")
    assert "the loss is lost" in reason.read_text()


def test_one_that_was_saved_again_since_the_order_stays_and_so_does_a_good_one_that_was_to_be_bad(
    tmp_path: Path,
) -> None:
    rig, job_ = Rig(tmp_path / "home"), record(lay("dcp", tmp_path / "run"), "queued")
    found = rig.shelves.look(job_, live=False).checkpoints[0]
    assert found.written is not None
    rig.shelves.set_aside(job_, SetAside("sleep-1", found.path, "", found.written - timedelta(seconds=1)))
    rig.shelves.set_aside(job_, SetAside("sleep-1", found.path, ""))
    assert [one.step for one in rig.shelves.look(job_, live=False).checkpoints] == [20, 10]


def test_whether_the_folder_answers_is_asked_without_reading_anything(tmp_path: Path, read: list[str]) -> None:
    rig, job_ = Rig(tmp_path / "home"), record(many(tmp_path / "run"))
    shelf = rig.shelves.look(job_, live=True)
    assert (shelf.live, shelf.aside, shelf.problem, read) == (True, False, "", [])
    assert {one.state for one in shelf.checkpoints} == {"unknown"}
    assert len(shelf.checkpoints) == 5


def test_before_a_start_the_newest_and_what_comes_next_are_read_and_no_older_ones(
    tmp_path: Path, read: list[str]
) -> None:
    rig, job_ = Rig(tmp_path / "home"), record(many(tmp_path / "run"), "stopping")
    shelf = rig.shelves.look(job_, live=False)
    assert [one.state for one in shelf.checkpoints] == ["good", "good", "unknown", "unknown", "unknown"]
    assert read == ["step-50", "step-40"]
    rig.shelves.look(replace(job_, below=40), live=False)
    assert read[2:] == ["step-30", "step-50"], "what was proved is not read again, but for the newest"


def test_what_appears_is_read_while_the_job_runs_so_that_a_start_reads_the_newest_alone(
    tmp_path: Path, read: list[str]
) -> None:
    rig, job_ = Rig(tmp_path / "home"), record(lay("dcp", tmp_path / "run"))
    (first,) = rig.caught_up(job_)
    assert first.aside, "it answers nobody's question"
    assert [one.state for one in first.checkpoints] == ["good", "good"]
    assert rig.caught_up(job_) == [], "nothing is new"
    assert len(read) == 2
    shutil.copytree(tmp_path / "run" / "step-20", tmp_path / "run" / "step-30")
    age(tmp_path / "run" / "step-30", 1.0)
    (again,) = rig.caught_up(job_)
    assert len(again.checkpoints) == 3
    assert read[2:] == ["step-30"]
    rig.shelves.look(replace(job_, state="stopping"), live=False)
    assert read[3:] == ["step-30"], "its disk may have lost a bit"
    (tmp_path / "run" / "step-30" / "__0_0.distcp").write_bytes(b"other")
    assert rig.shelves.look(replace(job_, state="stopping"), live=False).checkpoints[0].state == "bad"


def test_the_file_by_which_a_loader_finds_the_newest_leads_to_what_is_gone_on_from(tmp_path: Path) -> None:
    lay("deepspeed", tmp_path / "run")
    latest = tmp_path / "run" / "latest"
    newest = latest.read_text()
    spoil(next((tmp_path / "run" / newest).glob("*.pt")))
    rig, job_ = Rig(tmp_path / "home"), record(tmp_path / "run", "stopping")
    rig.shelves.look(job_, live=True)
    assert latest.read_text() == newest, "while it runs nothing is changed"
    shelf = rig.shelves.look(job_, live=False)
    assert [one.state for one in shelf.checkpoints] == ["bad", "good"]
    assert latest.read_text() == Path(shelf.checkpoints[1].path).name != newest


def test_a_folder_that_stalls_keeps_no_other_job_waiting_and_an_answer_from_a_run_is_none_for_a_start() -> None:
    stalled = threading.Event()

    def verify(one: JobRecord, live: bool) -> Shelf:
        if one.job.id == "sleep-1":
            stalled.wait(30.0)
        return Shelf(5.0, live=live)

    deeds = Deeds(
        drain=lambda _node, _reason: None,
        set_aside=lambda _record, _order: None,
        notify=lambda _job, _message: None,
        examine=lambda _names: dict[str, Place](),
        diagnose=lambda _key: None,
        verify=verify,
        pair=lambda _record, order, _waits: Paired(order.key.number, order.number, ()),
        warn=lambda _words: None,
        ask_power=lambda _node: (),
    )
    hands = ThreadedHands(deeds)
    try:
        for number in (1, 2):
            job_ = record(Path("/"), job_number=number)
            hands.take(number, Verify(job_.job.id, live=True), job_)
        end = time.monotonic() + 10
        shelves: dict[str, Shelf] = {}
        while "sleep-2" not in shelves and time.monotonic() < end:
            shelves |= hands.answers().shelves or {}
            time.sleep(0.01)
        assert shelves == {"sleep-2": Shelf(5.0, live=True)}
        hands.offer_shelf("sleep-3", Shelf(7.0))
        hands.offer_shelf("sleep-3", Shelf(8.0, live=True))
        assert hands.answers().shelves == {"sleep-3": Shelf(7.0)}
    finally:
        stalled.set()
        hands.close()


def test_what_lies_in_the_folder_of_a_job_that_is_not_there_yet(tmp_path: Path, read: list[str]) -> None:
    rig, folder = Rig(tmp_path / "home"), many(tmp_path / "run")
    fresh = record(folder).job
    assert [one.step for one in rig.shelves.lying(fresh)] == [50, 40, 30, 20, 10]
    assert read == []
    spoil(max((folder / "step-50").glob("*.distcp"), key=lambda path: path.stat().st_size))
    resumed = replace(fresh, checkpoint=CheckpointPlan(str(folder), resume=True))
    found = rig.shelves.lying(resumed)
    assert [(one.step, one.verified) for one in found][:3] == [(50, False), (40, True), (30, False)]
    assert set(read) == {"step-50", "step-40"}
    assert rig.shelves.lying(replace(fresh, checkpoint=CheckpointPlan(str(tmp_path / "none")))) == ()
    assert rig.shelves.lying(replace(fresh, checkpoint=None)) == ()


def test_a_node_that_is_known_not_to_answer_is_asked_last(tmp_path: Path) -> None:
    rig, folder = Rig(tmp_path / "home"), lay("dcp", tmp_path / "run")
    nodes = [Node("n0", connection=Connection("ssh", "192.0.2.1")), Node("n1", connection=Connection("local"))]
    app = App({"AIOPS_HOME": str(tmp_path / "home")}, plugins=Plugins())
    rig.shelves = Shelves(app, Fleet(lambda _node: pytest.fail("n0 was asked")), nodes, rig.clock, warn=print)
    rig.shelves.silent = lambda name: name == "n0"
    assert [one.step for one in rig.shelves.look(record(folder, "queued"), live=False).checkpoints] == [20, 10]


def test_a_defect_in_one_folder_is_told_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, job_ = Rig(tmp_path / "home"), record(lay("dcp", tmp_path / "run"))
    fallen: list[threading.ExceptHookArgs] = []

    def odd(*_: object) -> None:
        raise KeyError("odd")

    monkeypatch.setattr(threading, "excepthook", fallen.append)
    with monkeypatch.context() as broken:
        broken.setattr(LocalSurveyor, "contents", odd)
        assert [rig.caught_up(job_), rig.caught_up(job_)] == [[], []]
    assert [words.partition(": ")[0] for words in rig.warned] == ["sleep-1"]
    assert len(rig.caught_up(job_)) == 1
    assert fallen == []
