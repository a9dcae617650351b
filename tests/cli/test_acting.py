"""What `aiops health --act` does once the lock is its own: only what still holds then, and the quick things first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.fake_workload import FakeWorkload

from aiops.cli.health import acting
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.health.conduct import Conduct, Ward
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.hold_reason import OPERATOR, REASON
from aiops.layers.l1_cluster.health.node_state import NodeState, StateChange
from aiops.layers.l1_cluster.health.register import Register

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
BAD = Finding("n1", "gpu.ecc", "critical", "2 errors", "GPU 3")
QUIET = Ward(AT, (), {}, {}, {}, {})


class World:
    """A cluster of three nodes, on which `meanwhile` happens just before the lock is ours."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.workload = FakeWorkload("n1", "n2", "n3")
        self.register = Register(store, "c")
        self.meanwhile: Callable[[], None] = lambda: None
        self.seen: list[Any] = []
        monkeypatch.setattr(acting, "changing", self.changing)
        monkeypatch.setattr(acting, "due_of", self.due_of)

    def become(self, name: str, *states: NodeState) -> None:
        before: NodeState = "ready"
        for after in states:
            self.register.enter([StateChange(name, AT, before, after, "x", actor="policy")])
            before = after

    @contextmanager
    def changing(self, *_: Any, **__: Any) -> Iterator[Any]:
        self.meanwhile()
        self.seen.append("locked")
        events = SimpleNamespace(run="r-1", emit=lambda *_, **__: None)
        lock = SimpleNamespace(epoch=1, guard=lambda: None)
        journal = SimpleNamespace(end=lambda *_: None)
        yield SimpleNamespace(
            store=self.store, workloads=(self.workload,), events=events, lock=lock, journal=journal, fleet=None
        )

    def due_of(self, *_: Any) -> acting.Due:
        self.seen.append(("asked", dict(self.workload.reasons)))
        course: Any = SimpleNamespace(nodes=())
        return acting.Due(course, {"repair: n3": "not repaired: n3"})

    def act(self, conduct: Conduct) -> acting.Acted:
        aiops: Any = SimpleNamespace(clock=SimpleNamespace(now=lambda: AT), store=self.opened)
        inventory: Any = SimpleNamespace(cluster="c", nodes=(Node("n1"), Node("n2"), Node("n3")))
        rest: Any = None
        turns = acting.in_turn(
            aiops, rest, rest, inventory=inventory, ward=QUIET, conduct=conduct, words=["aiops"], repairs=rest
        )
        return next(turns)

    @contextmanager
    def opened(self) -> Iterator[Store]:
        yield self.store


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with Store.open(tmp_path, {}) as store:
        yield World(store, monkeypatch)


def test_what_was_decided_is_done(world: World) -> None:
    world.become("n2", "draining", "drained")
    world.workload.reasons["n2"] = f"{REASON} gpu.ecc"
    done = world.act(Conduct(drain={"n1": BAD}, resume=("n2",))).done
    assert [one.partition(":")[0] for one in done] == ["drained n1", "gave n2 work again"]
    assert list(world.workload.reasons) == ["n1"]
    assert (world.register.states()["n1"], world.register.states()["n2"]) == ("draining", "ready")


def test_whom_somebody_has_taken_over_meanwhile_is_not_given_back(world: World) -> None:
    world.become("n2", "draining", "drained")
    world.workload.reasons["n2"] = f"{REASON} gpu.ecc"

    def take_over() -> None:
        world.workload.reasons["n2"] = f"{OPERATOR} bob, run r-9: a cable is out"

    world.meanwhile = take_over
    assert world.act(Conduct(resume=("n2",))).done == ()
    assert world.workload.acts == []
    assert world.register.states()["n2"] == "drained"


def test_whom_somebody_has_drained_meanwhile_is_not_drained_again(world: World) -> None:
    def drain() -> None:
        world.workload.reasons["n1"] = f"{OPERATOR} bob, run r-9: mine"
        world.become("n1", "draining")

    world.meanwhile = drain
    assert world.act(Conduct(drain={"n1": BAD})).done == ()
    assert world.workload.reasons == {"n1": f"{OPERATOR} bob, run r-9: mine"}


def test_nodes_are_asked_for_their_repair_only_once_the_others_are_drained(world: World) -> None:
    acted = world.act(Conduct(drain={"n1": BAD}, repair=("n3",)))
    assert [one if one == "locked" else (one[0], list(one[1])) for one in world.seen] == ["locked", ("asked", ["n1"])]
    assert acted.waiting == {"repair: n3": "not repaired: n3"}


def test_no_run_is_begun_for_a_repair_that_is_left_to_a_person(world: World) -> None:
    assert world.act(Conduct(repair=("n3",))).done == ()
    assert "locked" not in world.seen
