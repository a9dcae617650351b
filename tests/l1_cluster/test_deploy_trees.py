"""Which looks at the head read every byte of what it serves: a deploy's first one, and no other."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aiops.layers.l0_nodes.ask import Answer, Ask
from aiops.layers.l1_cluster.observation import TREE
from aiops.layers.l1_cluster.remote.content import THOROUGH

from .fake_cluster import BASE, World

SERVED = """
phase: served
on: head
resources:
  - tree: /srv/t
    digests: {a: "%s"}
""" % ("1" * 64)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def watch(world: World, flipped: bool) -> list[bool]:
    """Whether each look at the tree was thorough; a flipped byte is seen by such a look alone."""
    looks = []

    def telling(answer: Callable[[Ask], Answer]) -> Callable[[Ask], Answer]:
        def tell(ask: Ask) -> Answer:
            if not ask.name.startswith(TREE):
                return answer(ask)
            looks.append(THOROUGH in ask.argv)
            digest = "2" * 64 if flipped and looks[-1] else "1" * 64
            return Answer(ask.name, exit_status=0, stdout=f"{digest}  /srv/t/a\n")

        return tell

    head = world.hosts["head"]
    head.answer = telling(head.answer)  # type: ignore[method-assign, assignment]
    return looks


def test_a_deploy_reads_it_once_and_a_plan_never(world: World) -> None:
    looks = watch(world, flipped=False)
    assert world.deploy(BASE, SERVED, dry_run=True).plan.changed_phases
    assert looks == [False]
    looks.clear()
    assert world.deploy(BASE, SERVED).ledger.ok
    assert looks[0]
    assert looks[1:] == [False] * (len(looks) - 1)


def test_a_flipped_byte_on_the_head_is_found_by_a_deploy(world: World) -> None:
    watch(world, flipped=True)
    (phase,) = world.deploy(SERVED).plan.changed_phases
    assert phase.phase == "served"


def test_a_deploy_of_other_phases_does_not_read_it(world: World) -> None:
    looks = watch(world, flipped=True)
    world.deploy(BASE)
    assert looks == []
