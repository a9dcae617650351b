"""A head that is away: the deploy waits for it, and ends with what it knows where that is in vain."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, UnreachableError
from aiops.layers.l1_cluster.patience import AWAY, SECONDS

from .fake_cluster import BASE, SCHEDULER, World, outcomes

GONE = UnreachableError("head did not answer on 10.0.0.1:22", code="ssh.timeout")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def away(world: World, seconds: float, error: AiopsError = GONE) -> Callable[[str], None]:
    """The head is away for so long once `base` is done."""
    begun: list[float] = []

    def on(moment: str) -> None:
        if moment == "guard" and world.applied:
            begun.append(world.clock.seconds)
            if world.clock.seconds < begun[0] + seconds:
                raise error

    return on


@pytest.mark.parametrize("error", [GONE, FailedError("no space left on device", code="lock.failed")])
def test_a_head_that_comes_back_is_waited_for(world: World, error: AiopsError) -> None:
    world.on = away(world, 120, error)
    done = world.deploy(BASE, SCHEDULER)
    assert done.ledger.ok
    assert done.stop is None
    assert 120 <= world.clock.seconds < 130
    told = [event for event in world.events if event.kind.startswith("lock_")]
    assert [event.kind for event in told] == ["lock_awaited", "lock_confirmed"]
    assert told[0].message == error.message


def test_a_head_that_stays_away_ends_the_deploy_with_all_that_is_known(world: World) -> None:
    world.failing["base", "w1"] = "no space left on device"
    world.on = away(world, 10 * SECONDS)
    done = world.deploy(BASE, SCHEDULER)
    assert SECONDS <= world.clock.seconds < SECONDS + 10
    assert done.stop is not None
    assert isinstance(done.stop.error, FailedError)
    assert done.stop.error.code == AWAY
    assert str(done.stop) == (
        "the rollout stopped in phase `scheduler`: the head, which keeps the cluster's lock, has not answered "
        "for 10 min: head did not answer on 10.0.0.1:22"
    )
    assert done.stop.document()["error"]["code"] == AWAY
    assert done.stop.document()["limit"] is None
    assert done.stop.halted == ("head", "w2")
    assert outcomes(done)["base"] == {"head": "changed", "w1": "failed", "w2": "changed"}
    assert outcomes(done)["scheduler"] == dict.fromkeys(world.hosts, "blocked")
    assert [one.reason for one in done.ledger.failures] == ["no space left on device"]


def test_a_lock_that_was_taken_while_the_head_was_away_is_lost(world: World) -> None:
    def on(moment: str) -> None:
        gone(moment)
        if moment == "guard" and world.clock.seconds >= 60:
            world.lost.set()

    gone = away(world, 60)
    world.on = on
    done = world.deploy(BASE, SCHEDULER)
    assert done.stop is not None
    assert isinstance(done.stop.error, ConflictError)
    assert [phase for phase, _ in world.applied] == ["base"]


def test_an_answer_that_was_long_in_coming_is_none_when_the_lock_is_gone_meanwhile(world: World) -> None:
    def on(moment: str) -> None:
        if moment == "confirm":  # stopped at the question, and woken
            world.lost.set()

    world.on = on
    with pytest.raises(ConflictError):
        world.deploy(BASE, SCHEDULER)
    assert world.applied == []
    assert not (world.folder / "secrets").exists()


def test_a_changed_node_that_answers_no_more_leaves_a_trace(world: World) -> None:
    def lose(moment: str) -> None:
        if moment == "services w1":
            world.hosts["w1"].dead = True

    world.on = lose
    done = world.deploy(BASE)
    assert [one.node for one in done.ledger.failures] == ["w1"]
    (event,) = [event for event in world.events if event.kind == "sight_lost"]
    assert (event.node, event.data["phase"]) == ("w1", "base")
