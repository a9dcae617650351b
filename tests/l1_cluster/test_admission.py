"""Nodes that have seen a higher epoch than a new head grants are not shut for good; those of another owner are."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aiops.layers.core.errors import AiopsError, ConflictError, FailedError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.admission import admit, highest_seen
from aiops.layers.l1_cluster.floor import HIGHEST, Floor
from aiops.layers.l1_cluster.gate import STALE
from aiops.layers.l1_cluster.lock import ClusterLock
from aiops.layers.l1_cluster.owner import Owner
from aiops.layers.l1_cluster.remote import fence
from aiops.layers.l1_cluster.remote import lock as remote

from .fake_cluster import BASE, World, outcomes

AHEAD = 3_600_000_000  # a clock of the year 2084


class Fences:
    """Nodes with real fences, each in a folder."""

    def __init__(self, folder: Path, **seen: int) -> None:
        self.folder = folder
        self.epochs: list[int] = []
        for name, epoch in seen.items():
            fence.raise_to(str(folder / name / "epoch"), epoch)

    def open(self, nodes: Sequence[Node], epoch: int, _programs: Mapping[str, str]) -> dict[str, AiopsError]:
        self.epochs.append(epoch)
        seen = {node.name: fence.raise_to(str(self.folder / node.name / "epoch"), epoch) for node in nodes}
        return {
            name: ConflictError(f"{name}: fence: epoch {epoch} is stale, this node has seen {one}", code=STALE)
            for name, one in seen.items()
            if one > epoch
        }


def cluster(folder: Path) -> ClusterLock:
    (folder / "prod").mkdir(parents=True, exist_ok=True)
    return ClusterLock.of(None, folder / "prod" / "lock")


def test_a_tenure_is_raised_above_what_nodes_have_seen_and_all_are_asked_again(tmp_path: Path) -> None:
    lock, fences = cluster(tmp_path), Fences(tmp_path, w1=AHEAD, w2=AHEAD + 5)
    with lock.acquire(Owner.here("r-1")) as held:
        granted = held.epoch
        assert granted < AHEAD
        assert admit(fences, held, [Node("w1"), Node("w2"), Node("w3")]) == {}
        assert held.epoch == AHEAD + 6
        assert fences.epochs == [granted, AHEAD + 6]
        holder = lock.show()
        assert holder is not None
        assert holder.epoch == AHEAD + 6
        held.renew()
        assert held.epoch == AHEAD + 6
    with lock.acquire(Owner.here("r-2")) as later:
        assert later.epoch > AHEAD + 6
        assert admit(fences, later, [Node("w2")]) == {}


def test_a_lock_that_was_taken_away_is_raised_above_nothing(tmp_path: Path) -> None:
    lock, fences = cluster(tmp_path), Fences(tmp_path, w1=AHEAD)
    with lock.acquire(Owner.here("r-1")) as held:
        lock.release(held.epoch)
        with pytest.raises(ConflictError) as lost:
            admit(fences, held, [Node("w1")])
    assert lost.value.code == "lock.lost"
    assert fence.raise_to(str(tmp_path / "w1" / "epoch"), 1) == AHEAD


def test_a_node_that_had_let_us_through_has_met_another_head(tmp_path: Path) -> None:
    fences = Fences(tmp_path, w1=AHEAD)
    with cluster(tmp_path).acquire(Owner.here("r-1")) as held:
        assert set(admit(fences, held, [Node("w1")], before={"w1"})) == {"w1"}
        assert len(fences.epochs) == 1


def test_what_is_broken_is_not_surpassed() -> None:
    assert highest_seen([ConflictError(f"w1: this node has seen {HIGHEST}", code=STALE)]) is None
    assert highest_seen([FailedError("w1: this node has seen 9", code="fence.failed")]) is None
    assert highest_seen([ConflictError("w1: fence: epoch 7 is stale, this node has seen 9", code=STALE)]) == 9


def test_a_head_installed_anew_grants_no_epoch_below_those_this_machine_has_had(tmp_path: Path) -> None:
    with cluster(tmp_path).acquire(Owner.here("r-1")) as held:
        held.surpass(AHEAD)
    state = tmp_path / "prod" / "lock" / "state.json"
    state.unlink()
    with cluster(tmp_path).acquire(Owner.here("r-2")) as again:
        assert again.epoch == AHEAD + 2
    assert json.loads(state.read_text())["epoch"] == AHEAD + 2


@pytest.mark.parametrize("text", ["", "x", "-4", str(HIGHEST), "é"])
def test_a_floor_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "epoch").write_text(text)
    assert Floor(tmp_path).epoch == 0
    Floor(tmp_path).keep(5)
    assert Floor(tmp_path).epoch == 5


def test_the_floor_never_sinks_and_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    Floor(tmp_path).keep(9)
    Floor(tmp_path).keep(3)
    assert Floor(tmp_path).epoch == 9
    (tmp_path / "file").write_text("")
    Floor(tmp_path / "file").keep(3)


def test_only_the_holder_surpasses() -> None:
    now = {"wall": 1_000.0, "up": 5.0, "boot": "b"}
    request: dict[str, Any] = {"verb": "acquire", "token": "t", "owner": {}, "dead": None}
    state, _ = remote.decide(remote.empty(), request, now)
    same, refused = remote.decide(state, {"verb": "surpass", "token": "u", "seen": 5_000}, now)
    assert (refused["answer"], same) == ("refused", state)
    after, renewed = remote.decide(state, {"verb": "surpass", "token": "t", "seen": 5_000}, now)
    assert (renewed["epoch"], after["epoch"], after["holder"]["epoch"]) == (5_001, 5_001, 5_001)
    assert remote.decide(after, {"verb": "surpass", "token": "t", "seen": 7}, now)[1]["epoch"] == 5_001


def test_a_deploy_under_a_head_whose_clock_is_right_again_goes_through(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.ahead = {"w1": 9, "w2": 20}
    done = world.deploy(BASE)
    assert done.ledger.ok
    assert world.epoch == 21
    assert outcomes(done)["base"] == dict.fromkeys(world.hosts, "changed")


def test_a_node_that_is_ahead_while_the_lock_is_anothers_ends_the_deploy(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.ahead = {"w1": 9}
    world.taken_over = True
    done = world.deploy(BASE)
    assert done.stop is not None
    assert world.applied == []
