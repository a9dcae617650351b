"""The controller is ended while nodes are tested in pairs: the test goes again, and the job goes on once."""

from collections import Counter
from pathlib import Path

from tests.l2_jobs.controller.rig import ANN, Killed, job
from tests.l2_jobs.controller.test_killed import Fuse
from tests.l2_jobs.controller.test_killed_hands import LateRig

from aiops.layers.l2_jobs.controller.controller import Controller
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Signed
from aiops.layers.l2_jobs.request import Submit


class Going:
    """Time that passes for a controller, and for its successors."""

    def __init__(self, rig: LateRig, fuse: Fuse) -> None:
        self.rig = rig
        self.fuse = fuse
        self.controller: Controller | None = None

    @property
    def record(self) -> JobRecord | None:
        return self.rig.ledger.written(["sleep-1"]).get("sleep-1")

    def on(self, ticks: int = 1) -> None:
        for _ in range(ticks):
            try:
                self.rig.now += 1.0
                if self.controller is None:
                    self.controller = self.rig.begin(self.fuse)
                self.controller.tick()
            except Killed:
                self.controller = None

    def until(self, state: str, number: int) -> None:
        for _ in range(120):
            self.on()
            record = self.record
            if record is not None and (record.state, record.launched) == (state, number):
                return
        raise AssertionError((state, number, self.record, self.fuse.places[-5:]))

    def loses_connections(self) -> None:
        """A line of a log, which is read again by whoever follows it."""
        record = self.record
        assert record is not None
        assert record.attempt is not None
        line = Signed(record.attempt.key, "n1", self.rig.now, "nccl_network", "connection reset", immediate=True)
        for _ in range(40):
            self.rig.engine.told(line)
            self.on()
            if self.record is None or self.record.state != "running":
                return


def story(rig: LateRig, fuse: Fuse) -> None:
    """A job on n1 and n2 loses connections twice, and goes on without n1."""
    going = Going(rig, fuse)
    rig.ledger.append(Submit(job(1)), ANN, rig.now)
    for number in (1, 2):
        going.until("running", number)
        going.loses_connections()
    going.until("running", 3)
    for key, _ in list(rig.truth.running):
        rig.engine.end(key)
    going.until("succeeded", 3)
    fuse.left = 0
    going.on(40)


def check(rig: LateRig) -> None:
    begun = Counter(rig.truth.begun)
    assert max(begun.values()) == 1, "a rank group was begun twice"
    assert {key.number for key, _ in begun} == {1, 2, 3}
    assert {node for key, node in begun if key.number == 3} == {"n2", "n3"}, "it went on with the bad node"
    assert set(rig.world.drained) == {"n1"}
    assert rig.ledger.open_actions() == (), "something was not done"
    told = [one.decision for one in rig.ledger.decisions("sleep-1")]
    assert [one.evidence["proved"] for one in told if one.kind == "pairs_tested"] == [["n1"]]
    assert [one.kind for one in told].count("node_drained") == 1


def test_between_any_two_statements_of_a_pair_test(tmp_path: Path) -> None:
    fuse = Fuse(0)
    rig = LateRig(tmp_path / "whole")
    story(rig, fuse)
    check(rig)
    assert rig.world.looks["TryPairs"] == 3
    hands = [number for number, place in enumerate(fuse.places, 1) if place.endswith("a hand's work")]
    others = [number for number, place in enumerate(fuse.places, 1) if place in {"decided", "committed", "told"}]
    late = [number for number in others if number > len(fuse.places) // 2]
    for number in sorted({*hands, *late[:: max(1, len(late) // 16)]}):
        rig = LateRig(tmp_path / str(number))
        story(rig, Fuse(number))
        check(rig)
        rig.store.close()
