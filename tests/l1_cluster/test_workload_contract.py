"""What all who run work on nodes do alike: a fake in memory, and Slurm by its own commands."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.support.fake_slurm import FakeSlurm
from tests.support.fake_workload import FakeWorkload

from aiops.layers.core.errors import AiopsError, ConflictError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.draining import Workload
from aiops.layers.l1_cluster.gate import STALE

REASON = "aiops: reboot in accelerator, run r-1122-0001: driver was changed"
EPOCH = 7
FOREIGN = "bad fan, alice looks at it"


@dataclass
class Rig:
    """A workload with the nodes w1 and w2, and what the world does to it."""

    workload: Workload
    begin: Callable[[str, str], None]
    end: Callable[[str], None]
    drain_by_hand: Callable[[str, str], None]
    take_down: Callable[[str], None]
    silence: Callable[[], None]


def fake_rig() -> Rig:
    fake = FakeWorkload("w1", "w2")

    def silence() -> None:
        fake.silent = True

    return Rig(
        fake,
        lambda node, job: fake.work.setdefault(node, []).append(job),
        lambda node: fake.work.pop(node, None),  # type: ignore[arg-type]
        fake.reasons.__setitem__,
        fake.down.add,
        silence,
    )


def slurm_rig() -> Rig:
    slurm = FakeSlurm("w1", "w2")

    def begin(node: str, job: str) -> None:
        slurm.nodes[node].jobs.append(job)

    def by_hand(node: str, reason: str) -> None:
        slurm.nodes[node].drained, slurm.nodes[node].reason = True, reason

    def down(node: str) -> None:
        slurm.nodes[node].base, slurm.nodes[node].reason = "DOWN", "Not responding"

    def silence() -> None:
        slurm.silent = True

    return Rig(slurm.workload, begin, lambda node: slurm.nodes[node].jobs.clear(), by_hand, down, silence)


@pytest.fixture(params=[fake_rig, slurm_rig])
def rig(request: pytest.FixtureRequest) -> Rig:
    made: Rig = request.param()
    return made


W1, W2, STRANGER = Node("w1"), Node("w2"), Node("stranger")
ALL = (W1, W2, STRANGER)


def states(rig: Rig) -> dict[str, str]:
    return {name: standing.state for name, standing in rig.workload.standings(ALL).items()}


def test_nodes_that_it_does_not_have_are_not_told_of(rig: Rig) -> None:
    assert states(rig) == {"w1": "in_service", "w2": "in_service"}
    assert set(rig.workload.standings([W2])) == {"w2"}
    assert rig.workload.standings([STRANGER]) == {}
    rig.workload.drain([STRANGER], REASON, EPOCH)
    assert states(rig) == {"w1": "in_service", "w2": "in_service"}


def test_an_empty_node_is_drained_at_once_and_given_back(rig: Rig) -> None:
    rig.workload.drain([W1], REASON, EPOCH)
    standing = rig.workload.standings(ALL)["w1"]
    assert (standing.state, standing.reason, standing.work) == ("drained", REASON, ())
    assert states(rig)["w2"] == "in_service"
    rig.workload.resume([W1, W2, STRANGER], EPOCH)
    assert states(rig) == {"w1": "in_service", "w2": "in_service"}


def test_a_node_drains_while_something_runs_and_says_what(rig: Rig) -> None:
    rig.begin("w1", "42")
    assert rig.workload.standings(ALL)["w1"].state == "in_service"
    rig.workload.drain([W1], REASON, EPOCH)
    standing = rig.workload.standings(ALL)["w1"]
    assert standing.state == "draining"
    assert any("42" in one for one in standing.work)
    rig.end("w1")
    assert states(rig)["w1"] == "drained"


def test_twice_is_harmless_and_the_newest_reason_stands(rig: Rig) -> None:
    rig.workload.drain([W1], REASON, EPOCH)
    rig.workload.drain([W1], REASON, EPOCH)
    assert rig.workload.standings(ALL)["w1"].reason == REASON
    rig.workload.drain([W1], "aiops: something newer", EPOCH)
    assert rig.workload.standings(ALL)["w1"].reason == "aiops: something newer"
    rig.workload.resume([W1], EPOCH)
    rig.workload.resume([W1], EPOCH)
    assert states(rig)["w1"] == "in_service"


def test_what_somebody_else_has_drained_is_never_touched(rig: Rig) -> None:
    rig.drain_by_hand("w1", FOREIGN)
    rig.workload.drain([W1, W2], REASON, EPOCH)
    assert rig.workload.standings(ALL)["w1"].reason == FOREIGN
    assert rig.workload.standings(ALL)["w2"].reason == REASON
    rig.workload.resume([W1, W2], EPOCH)
    assert rig.workload.standings(ALL)["w1"].reason == FOREIGN
    assert states(rig) == {"w1": "drained", "w2": "in_service"}


def test_what_is_down_stays_so(rig: Rig) -> None:
    rig.take_down("w1")
    rig.workload.drain([W1], REASON, EPOCH)
    rig.workload.resume([W1], EPOCH)
    standing = rig.workload.standings(ALL)["w1"]
    assert (standing.state, standing.reason) == ("down", "Not responding")


def test_silence_is_unknown_and_never_drained(rig: Rig) -> None:
    rig.workload.drain([W1], REASON, EPOCH)
    rig.silence()
    standings = rig.workload.standings([W1, W2])
    assert {one.state for one in standings.values()} == {"unknown"}
    assert set(standings) == {"w1", "w2"}
    assert all(one.reason for one in standings.values())
    with pytest.raises(AiopsError):
        rig.workload.drain([W2], REASON, EPOCH)
    with pytest.raises(AiopsError):
        rig.workload.resume([W1], EPOCH)


def test_an_owner_of_the_lock_that_was_overtaken_changes_nothing(rig: Rig) -> None:
    rig.workload.drain([W1], REASON, EPOCH + 1)
    with pytest.raises(ConflictError) as caught:
        rig.workload.resume([W1], EPOCH)
    assert caught.value.code == STALE
    with pytest.raises(ConflictError) as caught:
        rig.workload.drain([W1, W2], "aiops: something older", EPOCH)
    assert caught.value.code == STALE
    assert rig.workload.standings(ALL)["w1"].reason == REASON
    assert states(rig) == {"w1": "drained", "w2": "in_service"}
    rig.workload.resume([W1], EPOCH + 1)
    assert states(rig)["w1"] == "in_service"
