"""A deploy and those who run work on its nodes: nobody's work is cut off, and what was held is given back."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.l1_cluster.fake_cluster import DRIVER, KERNEL, World, outcomes
from tests.support.fake_workload import FakeWorkload

from aiops.layers.core.errors import ConflictError
from aiops.layers.l1_cluster.observation import REBOOT_MARKER
from aiops.layers.l1_cluster.reboot import RETURN_SECONDS, UNKNOWN_SECONDS
from aiops.layers.l1_cluster.rollout import Share

ONE = DRIVER.replace("after: [kernel]\n", "")
FIRST = KERNEL.replace("after: [base]\n", "")
AFTER = """
phase: after
after: [driver]
resources: [{file: /etc/after, content: x}]
"""


class Busy(FakeWorkload):
    """Runs work on `w1` and `w2` of a fake cluster; a reboot under work is an error of the test."""

    def __init__(self, world: World, *names: str) -> None:
        super().__init__(*names)
        self.world = world
        self.session = lambda name: f"boot {world.hosts[name].boots}"
        self.until: dict[str, float] = {}
        self.cut: Callable[[str], None] = lambda moment: None
        world.workloads.append(self)
        world.on = self.watch

    def watch(self, moment: str) -> None:
        for name in [name for name, until in self.until.items() if self.world.clock.seconds >= until]:
            self.work.pop(name, None)
            del self.until[name]
        name = moment.removeprefix("services ")
        if name in self.names and self.world.applied[-1][0] in {"kernel", "driver"}:
            assert not self.work.get(name), f"{name} was changed under its work"
            assert name in self.reasons or name in self.down, f"{name} was changed in service"
        self.cut(moment)

    def standings(self, nodes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        self.watch("look")
        return super().standings(nodes)

    def run(self, name: str, job: str, seconds: float) -> None:
        self.work[name] = [job]
        self.until[name] = self.world.clock.seconds + seconds


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def busy(world: World) -> Busy:
    return Busy(world, "w1", "w2")


def boots(world: World) -> dict[str, int]:
    return {name: host.boots for name, host in world.hosts.items()}


def test_nodes_in_service_are_drained_one_by_one_and_given_back(world: World, busy: Busy) -> None:
    done = world.deploy(ONE, AFTER)
    assert done.ledger.ok
    assert boots(world) == {"head": 0, "w1": 1, "w2": 1}
    assert busy.out_most == 1
    assert busy.reasons == {}
    assert busy.acts == [("drain", ("w1",)), ("resume", ("w1",)), ("drain", ("w2",)), ("resume", ("w2",))]
    assert [phase for phase, _ in world.applied] == ["driver", "driver", "after"]
    for name in ("w1", "w2"):
        kinds = [one for one in world.kinds(name) if one.startswith(("node_dr", "node_res", "reboot_f"))]
        assert kinds == ["node_draining", "node_drained", "reboot_finished", "node_resumed"]
    (first, _) = [event for event in world.events if event.kind == "node_draining"]
    assert first.data["reason"] == "aiops: reboot in driver, run r-1: the driver has changed"


def test_a_job_is_waited_for_and_named(world: World, busy: Busy) -> None:
    busy.run("w1", "job 42 of alice", 900.0)
    busy.run("w2", "job 43 of bob", 30.0)
    done = world.deploy(ONE)
    assert done.ledger.ok
    assert 900 <= world.clock.seconds < 960
    awaited = [event for event in world.events if event.kind == "drain_awaited"]
    assert any(one.message == "w1: it runs job 42 of alice" for one in awaited)
    assert awaited[0].data["draining"][0]["until"] == "2026-11-21T21:00:00Z"
    assert busy.reasons == {}


def test_a_plan_says_that_nodes_are_drained_first(world: World, busy: Busy) -> None:
    (note,) = world.deploy(ONE, dry_run=True).plan.notes
    assert note == "w[1-2] are drained before the reboot, 1 at a time; what runs there has 60 min to end"
    (note,) = world.deploy(ONE, dry_run=True, on="w1").plan.notes
    assert note == "w1 is drained before the reboot; what runs there has 60 min to end"
    assert busy.acts == []
    busy.down |= {"w1", "w2"}
    assert world.deploy(ONE, dry_run=True).plan.notes == ()


def test_nodes_with_no_work_go_first(world: World, busy: Busy) -> None:
    busy.run("w1", "job 42 of alice", 300.0)
    world.deploy(ONE)
    assert [nodes for phase, nodes in world.applied] == [("w2",), ("w1",)]


def test_a_job_that_does_not_end_fails_its_node_which_stays_draining(world: World, busy: Busy) -> None:
    busy.work["w1"] = ["job 42 of alice"]
    done = world.deploy(ONE, AFTER)
    (failure,) = done.ledger.failures
    assert (failure.node, failure.phase, failure.item) == ("w1", "driver", "reboot")
    assert failure.reason == (
        "it was not drained in 60 min: it runs job 42 of alice; it stays draining and was not rebooted"
    )
    assert boots(world) == {"head": 0, "w1": 0, "w2": 1}
    assert "/etc/driver" not in world.hosts["w1"].files
    assert busy.reasons == {"w1": "aiops: reboot in driver, run r-1: the driver has changed"}
    assert outcomes(done)["after"] == {"head": "changed", "w1": "blocked", "w2": "changed"}
    busy.work.clear()
    assert world.deploy().ledger.ok
    assert boots(world)["w1"] == 1
    assert busy.reasons == {}


def test_nodes_that_do_not_serve_yet_are_rebooted_all_at_once(world: World) -> None:
    busy = Busy(world, "w1")
    busy.down.add("w1")
    assert world.deploy(ONE).ledger.ok
    assert world.applied == [("driver", ("w1", "w2"))]
    assert busy.acts == []


def test_what_is_in_service_waits_for_no_others_work(world: World, busy: Busy) -> None:
    """What needs no reboot, and what serves nobody, is done while the first nodes drain."""
    busy.names.remove("w2")
    busy.run("w1", "job 42 of alice", 300.0)
    world.deploy(FIRST)
    assert world.applied == [("kernel", ("head", "w2")), ("kernel", ("w1",))]
    assert world.deploy().ledger.ok


def test_a_node_drained_by_somebody_else_is_rebooted_and_stays_drained(world: World, busy: Busy) -> None:
    busy.reasons["w1"] = "bad fan"
    done = world.deploy(ONE)
    assert done.ledger.ok
    assert boots(world) == {"head": 0, "w1": 1, "w2": 1}
    assert busy.reasons == {"w1": "bad fan"}


def test_a_node_that_fails_stays_drained_and_says_why(world: World, busy: Busy) -> None:
    world.failing["driver", "w1"] = "Unable to locate package"
    done = world.deploy(ONE, batch=Share(2))
    assert [one.node for one in done.ledger.failures] == ["w1"]
    assert busy.reasons == {"w1": "aiops: reboot in driver, run r-1: failed: Unable to locate package"}
    assert boots(world)["w2"] == 1  # two may be out at the same time
    assert done.drained == ("w1",)
    world.failing.clear()
    assert world.deploy().ledger.ok
    assert busy.reasons == {}


def test_nobody_knows_what_runs_there(world: World, busy: Busy) -> None:
    busy.silent = True
    done = world.deploy(ONE)
    assert {one.node for one in done.ledger.failures} == {"w1", "w2"}
    assert all("nobody can say what runs on it: it does not answer" in one.reason for one in done.ledger.failures)
    assert boots(world) == {"head": 0, "w1": 0, "w2": 0}
    assert UNKNOWN_SECONDS <= world.clock.seconds < UNKNOWN_SECONDS + 10
    busy.silent = False
    assert world.deploy().ledger.ok


def test_one_that_refuses_to_drain_is_told(world: World, busy: Busy) -> None:
    busy.refusing = True
    done = world.deploy(ONE)
    assert {one.reason for one in done.ledger.failures} == {
        "it needs a reboot and could not be set draining: Fake: it refuses"
    }
    assert boots(world) == {"head": 0, "w1": 0, "w2": 0}


def test_a_drain_that_was_done_without_an_answer_is_gone_on_with(world: World, busy: Busy) -> None:
    busy.answers_late = True
    done = world.deploy(ONE)
    assert done.ledger.ok
    assert busy.reasons == {}
    assert done.drained == ()
    assert boots(world) == {"head": 0, "w1": 1, "w2": 1}


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_drain_that_nobody_can_tell_of_is_looked_at_until_somebody_can(
    world: World, busy: Busy, *, comes_back: bool
) -> None:
    busy.answers_late = True

    def silence(moment: str) -> None:
        busy.silent = bool(busy.reasons) and not (comes_back and world.clock.seconds >= UNKNOWN_SECONDS / 2)

    busy.cut = silence
    done = world.deploy(ONE, on="w1")
    if comes_back:
        assert done.ledger.ok
        assert busy.reasons == {}
        assert done.drained == ()
    else:
        (failure,) = done.ledger.failures
        assert "nobody can say what runs on it" in failure.reason
        assert boots(world)["w1"] == 0
        assert set(busy.reasons) == {"w1"}
        assert done.drained == ("w1",)  # it may be: it is named, to be looked at


def test_a_node_that_is_not_heard_of_after_its_reboot_stays_drained(world: World, busy: Busy) -> None:
    busy.session = lambda name: None if world.hosts[name].boots and name == "w1" else f"boot {world.hosts[name].boots}"
    done = world.deploy(ONE)
    crowded, failure = done.ledger.failures
    assert crowded.node == "w2"
    assert crowded.reason.endswith("w1 stays out of service already, and no more than one node may be at the same time")
    assert (failure.node, failure.phase) == ("w1", "resume")
    assert failure.reason == "Fake has not heard of it since it was rebooted; it stays drained"
    assert world.clock.seconds < 3 * RETURN_SECONDS
    assert set(busy.reasons) == {"w1"}
    busy.session = lambda name: f"back {world.hosts[name].boots}"
    done = world.deploy()
    assert done.ledger.ok
    assert outcomes(done)["resume"] == {"w1": "changed"}
    assert busy.reasons == {}
    assert boots(world) == {"head": 0, "w1": 1, "w2": 1}


def test_a_node_that_another_deploy_held_for_another_phase_is_not_given_back(world: World, busy: Busy) -> None:
    assert world.deploy(ONE).ledger.ok
    busy.reasons["w1"] = "aiops: reboot in base, run r-0: the kernel has changed"
    busy.reasons["w2"] = "aiops: health found uncorrectable errors"
    assert world.deploy().ledger.ok
    assert set(busy.reasons) == {"w1", "w2"}


def test_the_machine_aiops_runs_on_is_drained_and_not_rebooted(world: World, busy: Busy) -> None:
    done = world.deploy(ONE, here="boot-w1-0")
    (failure,) = done.ledger.failures
    assert "reboot it yourself" in failure.reason
    assert boots(world) == {"head": 0, "w1": 0, "w2": 1}
    assert set(busy.reasons) == {"w1"}
    world.hosts["w1"].boots += 1
    world.hosts["w1"].files.pop(REBOOT_MARKER)
    assert world.deploy().ledger.ok
    assert busy.reasons == {}


def test_one_reboot_serves_two_phases_where_all_may_be_out_together(world: World, busy: Busy) -> None:
    assert world.deploy(FIRST, DRIVER, batch=Share(2)).ledger.ok
    assert boots(world) == {"head": 1, "w1": 1, "w2": 1}
    assert busy.out_most == 2
    assert busy.reasons == {}


def test_where_not_all_may_be_out_together_each_phase_reboots_for_itself(world: World, busy: Busy) -> None:
    done = world.deploy(FIRST, DRIVER)
    assert busy.out_most <= 2
    first, second = done.ledger.failures
    assert first.reason == "it needs a second reboot; deploy again"
    assert "was left as it is, in service" in second.reason
    assert boots(world) == {"head": 1, "w1": 1, "w2": 1}
    assert world.deploy().ledger.ok
    assert busy.reasons == {}


def test_so_many_at_once_as_was_asked_for(world: World, busy: Busy) -> None:
    assert world.deploy(ONE, batch=Share(1)).ledger.ok
    assert busy.out_most == 1
    assert busy.reasons == {}


def test_a_rollout_that_goes_wrong_drains_no_more(tmp_path: Path) -> None:
    workers = [f"w{number}" for number in range(1, 7)]
    world = World(tmp_path, names=("head", *workers))
    busy = Busy(world, *workers)
    busy.work["w6"] = ["job 42 of alice"]
    for name in workers:
        world.failing["driver", name] = "Unable to locate package"
    done = world.deploy(ONE, AFTER, max_fail=Share(1), batch=Share(2))
    assert done.stop is not None
    assert [one.node for one in done.ledger.failures] == ["w1", "w2"]
    assert set(busy.reasons) == {"w1", "w2"}
    assert outcomes(done)["driver"] == {"w1": "failed", "w2": "failed", **dict.fromkeys(workers[2:], "blocked")}
    assert boots(world) == dict.fromkeys(world.hosts, 0)


@pytest.mark.parametrize("number", range(1, 14))
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConflictError("lost", code="lock.lost")])
def test_cut_off_anywhere_the_same_deploy_goes_on_and_gives_all_back(
    world: World, busy: Busy, number: int, error: BaseException
) -> None:
    busy.run("w1", "job 42 of alice", 100.0)
    seen = 0

    def cut(moment: str) -> None:
        nonlocal seen
        if moment == "look" or moment.startswith(("apply", "services", "guard")):
            seen += 1
            if seen == number * 2:
                raise error

    busy.cut = cut
    if isinstance(error, KeyboardInterrupt) or number == 1:  # in the plan nothing is done yet
        with pytest.raises(type(error)):
            world.deploy(ONE, AFTER)
    else:
        stop = world.deploy(ONE, AFTER).stop
        assert stop is not None
        assert stop.error is error
    busy.cut = lambda moment: None
    before = boots(world)
    done = world.deploy()
    assert done.ledger.ok
    assert busy.reasons == {}
    assert all(count <= 1 + before[name] for name, count in boots(world).items())
    assert world.hosts["w1"].boots == world.hosts["w2"].boots == 1
    assert not world.deploy().plan.changed_phases


def test_a_failed_node_that_was_kept_out_for_a_later_reboot_lets_nobody_wait_for_ever(world: World, busy: Busy) -> None:
    world.failing["driver", "w1"] = "Unable to locate package"
    done = world.deploy(FIRST, DRIVER, on="w1,w2", batch=Share(1))
    assert world.clock.seconds < 600
    assert [one.node for one in done.ledger.failures] == ["w1", "w2"]
    assert "w1 stays out of service already" in done.ledger.failures[1].reason
    assert set(busy.reasons) == {"w1"}
    assert boots(world)["w2"] == 0
    world.failing.clear()
    assert world.deploy(batch=Share(1)).ledger.ok
    assert busy.reasons == {}


def test_a_broken_package_takes_no_more_out_of_service_than_allowed(tmp_path: Path) -> None:
    workers = [f"w{number}" for number in range(1, 31)]
    world = World(tmp_path, names=("head", *workers))
    busy = Busy(world, *workers)
    for name in workers:
        world.failing["driver", name] = "Unable to locate package"
    done = world.deploy(ONE)
    assert busy.out_most == len(busy.reasons) == 3
    assert done.drained == ("w1", "w2", "w3")
    left = [one for one in done.ledger.failures if one.node not in done.drained]
    assert {one.node for one in left} == set(workers) - set(done.drained)
    assert all("was left as it is, in service: w[1-3] stay out of service already" in one.reason for one in left)
    assert not any("/etc/driver" in world.hosts[name].files for name in workers)


@pytest.mark.parametrize("batch", [None, Share(1)])
def test_jobs_that_do_not_end_take_no_more_out_of_service_than_allowed(
    world: World, busy: Busy, batch: Share | None
) -> None:
    busy.work = {"w1": ["job 42 of alice"], "w2": ["job 43 of bob"]}
    done = world.deploy(ONE, batch=batch)
    assert [one.node for one in done.ledger.failures] == ["w1", "w2"]
    assert set(busy.reasons) == {"w1"}


def test_a_place_is_free_again_once_somebody_gave_the_node_back(world: World, busy: Busy) -> None:
    world.failing["driver", "w1"] = "Unable to locate package"

    def by_hand(moment: str) -> None:
        if moment == "look" and "failed" in busy.reasons.get("w1", ""):
            del busy.reasons["w1"]

    busy.cut = by_hand
    done = world.deploy(ONE)
    assert [one.node for one in done.ledger.failures] == ["w1"]
    assert boots(world)["w2"] == 1


def test_a_paused_owner_that_wakes_gives_back_nothing_of_the_next_one(world: World, busy: Busy) -> None:
    assert world.deploy(ONE).ledger.ok
    world.hosts["head"].files.clear()
    theirs = "aiops: reboot in driver, run r-B: the driver has changed"

    def overtake(moment: str) -> None:
        # While it is paused, somewhere after the last phase, another takes over and drains.
        if moment == "probe" and world.applied[-1][0] == "after" and not world.taken_over:
            world.taken_over = True
            busy.reasons["w1"] = theirs

    busy.cut = overtake
    busy.acts.clear()
    done = world.deploy(ONE, AFTER)
    assert done.stop is not None
    assert isinstance(done.stop.error, ConflictError)
    assert done.stop.phase == "resume"
    assert busy.reasons == {"w1": theirs}
    assert busy.acts == []


@pytest.mark.parametrize("step", ["drain", "resume"])
def test_one_that_was_overtaken_between_the_keepers_answer_and_the_step_is_refused(
    world: World, busy: Busy, step: str
) -> None:
    """The step itself carries the epoch; nothing of the next owner's is changed, however short the moment."""

    def overtake(moment: str) -> None:
        if moment == "renew" and step == ("resume" if busy.acts else "drain"):
            busy.epoch = 8
            world.taken_over = True
            world.on = lambda moment: None

    busy.cut = overtake
    done = world.deploy(ONE)
    assert done.stop is not None
    assert isinstance(done.stop.error, ConflictError)
    assert [act for act, _ in busy.acts] == ([] if step == "drain" else ["drain"])


def test_a_fence_that_is_ahead_of_a_new_head_is_surpassed(world: World, busy: Busy) -> None:
    busy.epoch = 40
    done = world.deploy(ONE)
    assert done.ledger.ok
    assert world.epoch == 41
    assert [act for act, _ in busy.acts][:2] == ["drain", "resume"]


def test_a_rollout_that_stops_gives_back_who_is_as_wanted_and_names_who_stays_drained(tmp_path: Path) -> None:
    world = World(tmp_path, names=("head", "w1", "w2", "w3"))
    busy = Busy(world, "w1", "w2", "w3")
    late = RETURN_SECONDS + 2
    rebooted: dict[str, float] = {}

    def session(name: str) -> str | None:
        if world.hosts[name].boots:
            began = rebooted.setdefault(name, world.clock.seconds)
            return "2" if name != "w1" or world.clock.seconds >= began + late else None
        return "1"

    busy.session = session
    world.failing["driver", "w2"] = "Unable to locate package"
    done = world.deploy(ONE, AFTER, batch=Share(3), max_fail=Share(0))
    assert done.stop is not None
    assert done.stop.phase == "driver"
    assert outcomes(done)["resume"] == {"w1": "changed"}
    assert set(busy.reasons) == {"w2"}
    assert done.drained == ("w2",)


def test_a_rollout_that_stops_does_not_give_back_who_is_to_be_rebooted_yet(world: World, busy: Busy) -> None:
    world.failing["kernel", "w2"] = "Unable to locate package"
    done = world.deploy(FIRST, DRIVER, batch=Share(2), max_fail=Share(0))
    assert done.stop is not None
    assert set(busy.reasons) == set(done.drained) == {"w1", "w2"}
    assert boots(world)["w1"] == 0
