"""A deploy that goes in batches, stops when too many nodes have failed, and asks lost nodes again."""

from pathlib import Path

import pytest

from aiops.layers.l1_cluster.course import VERIFY
from aiops.layers.l1_cluster.rollout import Share

from .fake_cluster import BASE, KERNEL, SCHEDULER, World, outcomes

WORKERS = tuple(f"w{number}" for number in range(1, 9))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A head and eight workers."""
    return World(tmp_path, ("head", *WORKERS))


def test_each_batch_goes_through_all_phases_and_the_head_comes_first(world: World) -> None:
    done = world.deploy(BASE, SCHEDULER, batch=Share(3))
    assert done.ledger.ok
    assert done.stop is None
    expected = [("head",), WORKERS[:3], WORKERS[3:6], WORKERS[6:]]
    assert world.applied == [(phase, nodes) for nodes in expected for phase in ("base", "scheduler")]
    assert outcomes(done)[VERIFY] == dict.fromkeys(("head", *WORKERS), "ok")
    started = [event for event in world.events if event.kind == "batch_started"]
    assert [(one.data["number"], one.data["of"], one.message) for one in started] == [
        (1, 4, "head"),
        (2, 4, "w[1-3]"),
        (3, 4, "w[4-6]"),
        (4, 4, "w[7-8]"),
    ]
    counts = [event.data["changed"] for event in world.events if event.kind == "phase_finished"]
    assert [count for count in counts if count] == [1, 1, 3, 3, 3, 3, 2, 2]


def test_the_plan_says_how_it_goes_and_a_deploy_of_nothing_has_one_batch(world: World) -> None:
    done = world.deploy(BASE, batch=Share(25, percent=True), dry_run=True)
    assert done.plan.notes == ("Rolled out in 5 batches: head, then 4 of 2 nodes",)
    assert world.deploy(batch=Share(2)).ledger.ok
    world.events.clear()
    again = world.deploy(batch=Share(2))
    assert again.plan.notes == ()
    assert not [event for event in world.events if event.kind == "batch_started"]
    assert outcomes(again)["base"] == dict.fromkeys(("head", *WORKERS), "ok")


def test_a_rollout_that_goes_wrong_stops_by_itself_and_says_where(world: World) -> None:
    world.failing["base", "w3"] = world.failing["base", "w4"] = "no space left on device"
    done = world.deploy(BASE, SCHEDULER, batch=Share(2), max_fail=Share(10, percent=True))
    assert not done.ledger.ok
    assert done.stop is not None
    assert str(done.stop) == (
        "the rollout stopped in phase `base` of batch 3 of 5: 2 of 9 nodes had failed, and `--max-fail 10%` allows none"
    )
    assert done.stop.halted == ()
    assert done.stop.left == WORKERS[4:]
    assert world.applied[-1] == ("base", ("w3", "w4"))
    told = outcomes(done)
    assert told["base"] == {
        **dict.fromkeys(("head", "w1", "w2"), "changed"),
        **dict.fromkeys(("w3", "w4"), "failed"),
        **dict.fromkeys(WORKERS[4:], "blocked"),
    }
    assert {name for name, outcome in told["scheduler"].items() if outcome == "blocked"} == set(WORKERS[2:])
    reasons = {entry.node: entry.reason for entry in done.ledger.blocked}
    assert reasons["w3"] == "it failed in phase `base`"
    assert reasons["w8"] == "the rollout stopped in phase `base` of batch 3 of 5"
    (event,) = [event for event in world.events if event.kind == "rollout_stopped"]
    assert event.data["not_begun"] == list(WORKERS[4:])


def test_it_stops_without_batches_too_and_names_who_was_halted(world: World) -> None:
    world.failing["base", "w3"] = "no space left on device"
    done = world.deploy(BASE, SCHEDULER, max_fail=Share(0))
    assert done.stop is not None
    assert done.stop.place == "phase `base`"
    assert done.stop.left == ()
    assert set(done.stop.halted) == {"head", *WORKERS} - {"w3"}
    assert [phase for phase, _ in world.applied] == ["base"]


def test_nobody_is_halted_in_the_last_phase(world: World) -> None:
    world.failing["base", "w3"] = "no space left on device"
    done = world.deploy(BASE, max_fail=Share(0))
    assert done.stop is not None
    assert done.stop.halted == done.stop.left == ()
    assert done.ledger.blocked == ()


def test_as_many_as_allowed_stop_nothing(world: World) -> None:
    world.failing["base", "w3"] = "no space left on device"
    done = world.deploy(BASE, SCHEDULER, batch=Share(2), max_fail=Share(1))
    assert done.stop is None
    assert [one.node for one in done.ledger.failures] == ["w3"]
    assert outcomes(done)["scheduler"]["w8"] == "changed"


def test_nodes_that_never_answered_do_not_count_as_failed_by_the_rollout(world: World) -> None:
    for name in ("w1", "w2"):
        world.hosts[name].dead = True
    done = world.deploy(BASE, SCHEDULER, batch=Share(4), max_fail=Share(0))
    assert done.stop is None
    assert outcomes(done)["base"]["w8"] == "changed"
    assert outcomes(done)["base"]["w1"] == "blocked"


def test_a_phase_that_is_undone_counts_too(world: World) -> None:
    def undo(moment: str) -> None:
        if moment == "services w2":  # w1's part of the phase is over by then
            world.hosts["w1"].files["/etc/hosts"] = ("0644", "f" * 64)

    world.deploy(BASE, SCHEDULER, batch=Share(4))
    world.on = undo
    done = world.deploy(BASE, SCHEDULER.replace("boot", "newer"), batch=Share(4), max_fail=Share(0))
    assert done.stop is not None
    assert done.stop.place == "phase `verify` of batch 2 of 3"
    assert done.stop.halted == ()
    assert done.stop.left == WORKERS[4:]


def test_a_head_that_fails_blocks_all_later_batches(world: World) -> None:
    world.failing["scheduler", "head"] = "no space left on device"
    done = world.deploy(BASE, SCHEDULER, batch=Share(4))
    assert outcomes(done)["base"]["w8"] == "changed"
    assert outcomes(done)["scheduler"] == {"head": "failed", **dict.fromkeys(WORKERS, "blocked")}


def test_a_node_that_rebooted_by_itself_midway_is_said_to_have(world: World) -> None:
    def reboot(moment: str) -> None:
        if moment == "apply scheduler":
            world.hosts["w2"].boots += 1
            world.failing["scheduler", "w2"] = "MODULE FAILURE"

    world.on = reboot
    done = world.deploy(BASE, SCHEDULER)
    (failure,) = done.ledger.failures
    assert (failure.node, failure.phase, failure.item) == ("w2", "scheduler", "Install packages")
    assert failure.reason == "it was rebooted during phase `scheduler`, and not by aiops; it answers again"
    assert failure.tail == ("MODULE FAILURE", "E: line")
    last = [event for event in world.events if (event.kind, event.node) == ("node_finished", "w2")][-1]
    assert last.data["reason"] == failure.reason
    assert [entry.reason for entry in done.ledger if (entry.phase, entry.node) == ("scheduler", "w2")] == [
        failure.reason
    ]


def test_a_node_that_comes_back_soon_is_waited_for(world: World) -> None:
    def lose(moment: str) -> None:
        if moment == "apply scheduler":
            world.hosts["w2"].dead = True
        if moment == "probe" and world.clock.seconds >= 10 and world.hosts["w2"].dead:
            world.hosts["w2"].dead = False
            world.hosts["w2"].boots += 1

    world.on = lose
    (failure,) = world.deploy(BASE, SCHEDULER).ledger.failures
    assert failure.reason == "it was rebooted during phase `scheduler`, and not by aiops; it answers again"
    assert world.clock.seconds < 30


def test_a_node_that_stays_away_is_given_up_in_time(world: World) -> None:
    def lose(moment: str) -> None:
        if moment == "apply scheduler":
            world.hosts["w2"].dead = True

    world.on = lose
    (failure,) = world.deploy(BASE, SCHEDULER).ledger.failures
    assert failure.reason.startswith("it stopped answering during phase `scheduler` and does not answer now: ")
    assert 30 <= world.clock.seconds < 35


def test_a_lost_connection_to_a_node_that_was_there_all_the_time(world: World) -> None:
    lost = False

    def lose(moment: str) -> None:
        nonlocal lost
        if moment == "probe":
            world.hosts["w2"].dead, lost = lost, False
        lost = lost or moment == "apply scheduler"

    world.on = lose
    (failure,) = world.deploy(BASE, SCHEDULER).ledger.failures
    assert failure.reason == "the connection to it was lost during phase `scheduler`; it answers again"


def test_a_task_that_failed_keeps_its_reason(world: World) -> None:
    world.failing["base", "w1"] = "E: no space left"
    (failure,) = world.deploy(BASE, SCHEDULER).ledger.failures
    assert (failure.reason, failure.item, failure.tail) == ("E: no space left", "Install packages", ("E: line",))


def test_what_failed_and_was_mended_and_rebooted_later_keeps_its_reason(world: World) -> None:
    world.failing["base", "w1"] = "E: no space left"

    def mend(moment: str) -> None:
        if moment == "apply scheduler":
            world.hosts["w1"].boots += 1

    world.on = mend
    (failure,) = world.deploy(BASE, SCHEDULER).ledger.failures
    assert (failure.node, failure.reason) == ("w1", "E: no space left")


def test_a_connection_that_broke_is_no_reboot_that_came_much_later(world: World) -> None:
    def lose(moment: str) -> None:
        if moment == "apply scheduler":
            world.unreachable.add(("scheduler", "w1"))
        if moment == "probe" and ("scheduler", ("head", *WORKERS)) in world.applied:
            looks.append(moment)
            world.hosts["w1"].boots += len(looks) == 2  # the first look finds it as it was

    looks: list[str] = []
    world.on = lose
    (failure,) = world.deploy(BASE, SCHEDULER).ledger.failures
    assert failure.reason == "the connection to it was lost during phase `scheduler`; it answers again"


def test_our_own_reboot_is_no_reboot_by_itself(world: World) -> None:
    kernel = KERNEL.replace("after: [base]\n", "")

    def fail(moment: str) -> None:
        if moment == "apply kernel":
            world.failing["kernel", "w1"] = "it does not come back in time"
            world.failing_late.add(("kernel", "w1"))

    world.on = fail
    (failure,) = world.deploy(kernel).ledger.failures
    assert failure.reason == "it does not come back in time"


def test_what_is_not_as_wanted_is_the_item(world: World) -> None:
    world.doing_nothing.add(("base", "w1"))
    (failure,) = world.deploy(BASE).ledger.failures
    assert (failure.item, failure.reason) == ("file:/etc/hosts", "file:/etc/hosts is absent, not file")


def test_a_phase_that_was_not_tried_is_not_said_to_be_undone(world: World) -> None:
    for name in WORKERS:
        world.hosts[name].dead = True
    done = world.deploy(BASE, SCHEDULER.replace("needs: [head]", "needs: [head, workers]"))
    assert {one.phase for one in done.ledger.failures} == {"connect"}
    # Nor is a node as wanted of which a part was not tried.
    assert outcomes(done)[VERIFY] == {"head": "blocked"}
    (verified,) = [one for one in done.ledger if one.phase == VERIFY]
    assert verified.reason == "phase `scheduler` was not tried; what was done is as wanted"
    (entry,) = done.ledger.held_up
    assert (entry.node, entry.phase) == ("head", "scheduler")
    assert entry.reason == "it needs workers: w1 failed in phase `connect`"
    assert not done.ledger.ok


def test_a_node_that_is_lost_before_the_last_look_is_asked_again_too(world: World) -> None:
    def lose(moment: str) -> None:
        if moment == "probe" and ("scheduler", ("head", *WORKERS)) in world.applied:
            looks.append(moment)
            world.hosts["w2"].dead = len(looks) == 3
            world.hosts["w2"].boots += len(looks) == 3

    looks: list[str] = []
    world.on = lose
    (failure,) = world.deploy(BASE, SCHEDULER, ON_THE_HEAD).ledger.failures
    assert failure.phase == VERIFY
    assert failure.reason == "it was rebooted during phase `verify`, and not by aiops; it answers again"


ON_THE_HEAD = """
phase: export
after: [scheduler]
on: head
resources:
  - file: /etc/exports
    content: all
"""
LISTING = """
phase: listing
resources:
  - file: /etc/nodes
    content: "{% for node in cluster.nodes %}{{ node.name }} {{ node.facts.memory_mib }} {% endfor %}"
"""


def test_a_node_that_had_never_answered_changes_no_file_on_others_once_it_does(world: World) -> None:
    world.hosts["w2"].dead = True
    done = world.deploy(LISTING)
    assert done.plan.notes == ("w2 has never answered: files that list all nodes take it to be like head,w[1,3-8]",)
    world.hosts["w2"].dead = False
    assert world.deploy(on="w2").plan.changed_nodes == ("w2",)
    assert not world.deploy().plan.changed_phases


def test_batches_of_chosen_nodes(world: World) -> None:
    assert world.deploy(BASE, on="w[2-4]", batch=Share(50, percent=True)).ledger.ok
    assert world.applied == [("base", ("w2",)), ("base", ("w3",)), ("base", ("w4",))]
    assert world.deploy(BASE, SCHEDULER, on="w[1-3]", batch=Share(2)).ledger.ok
    assert world.applied[3:] == [("base", ("w1",)), ("scheduler", ("w1", "w2")), ("scheduler", ("w3",))]
