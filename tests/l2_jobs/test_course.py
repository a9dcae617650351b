"""The course of a job from its submission to its end, as its owner and the cluster want it."""

from collections.abc import Callable
from dataclasses import replace

from tests.l2_jobs import simulated_faults as faults
from tests.l2_jobs.simulated_program import Flaw, Script
from tests.l2_jobs.simulated_stage import ANN, Stage

from aiops.layers.l2_jobs import lease
from aiops.layers.l2_jobs.action import Drain, Examine, Kill, Notify, Stop
from aiops.layers.l2_jobs.decide import decide
from aiops.layers.l2_jobs.job import CheckpointPlan, Limits, Restarts, Service, Span
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import PeerSilent, Ready, Report, Silent, Stepped, Unavailable
from aiops.layers.l2_jobs.request import Cancel, Hold, Resume, Submit


def stage(**changes: object) -> Stage:
    made = Stage(1, script=Script(steps=120))
    made.job = replace(made.job, **changes)  # type: ignore[arg-type]
    made.controller.ask(Submit(made.job))
    return made


def record(made: Stage) -> JobRecord:
    return made.controller.written[made.job.id]


def until(made: Stage, condition: Callable[[JobRecord], bool], seconds: float = 600.0) -> float:
    began = made.cluster.now
    while made.cluster.now - began < seconds:
        made.tick()
        if condition(record(made)):
            return made.cluster.now - began
    raise AssertionError(record(made))


def runs(made: Stage, seconds: float) -> None:
    end = made.cluster.now + seconds
    until(made, lambda _: made.cluster.now >= end, seconds + 1)


def kinds(made: Stage) -> list[str]:
    return [one.kind for one in made.controller.decisions]


def test_a_cancelled_job_ends_within_its_seconds_and_what_a_kill_takes() -> None:
    made = stage(limits=Limits(stop=10.0))
    until(made, lambda r: r.state == "running")
    made.controller.ask(Cancel(made.job.id, ANN))
    assert until(made, lambda r: r.state == "cancelled") < 10.0 + lease.EXPIRED
    assert not made.cluster.live(made.job.id)


def test_a_queued_job_is_cancelled_at_once_and_twice_is_once() -> None:
    made = stage(nodes=Span(9, 9))
    runs(made, 2)
    assert record(made).reason == "no 9 nodes with 8 free devices in service; waits for nodes to come back"
    made.controller.ask(Cancel(made.job.id, ANN), Cancel(made.job.id, ANN), Cancel("nothing-1", ANN))
    runs(made, 1)
    assert record(made).state == "cancelled"
    assert kinds(made).count("job_cancelled") == 1


def test_a_held_job_goes_on_from_its_newest_checkpoint() -> None:
    made = stage()
    until(made, lambda r: r.state == "running")
    runs(made, 45)
    made.controller.ask(Hold(made.job.id, ANN))
    until(made, lambda r: r.state == "held")
    made.controller.ask(Resume(made.job.id, ANN))
    until(made, lambda r: r.state == "running")
    attempt = record(made).attempt
    assert attempt is not None
    assert attempt.step == 30
    until(made, lambda r: r.state == "succeeded")


def test_a_job_is_resumed_from_the_step_that_is_asked_for() -> None:
    made = stage()
    runs(made, 45)
    made.controller.ask(Hold(made.job.id, ANN))
    until(made, lambda r: r.state == "held")
    made.controller.ask(Resume(made.job.id, ANN, step=10))
    until(made, lambda r: r.state == "running")
    attempt = record(made).attempt
    assert attempt is not None
    assert attempt.step == 10
    left = [one.evidence["step"] for one in made.controller.decisions if one.kind == "checkpoint_rejected"]
    assert left == [20, 30]
    faults.rank_killed(made)
    until(made, lambda r: r.launched == attempt.key.number + 1)
    again = record(made).attempt
    assert again is not None
    assert again.step == 10


def test_a_new_job_goes_on_from_what_was_there_only_where_it_says_so() -> None:
    made = stage()
    runs(made, 45)
    made.controller.ask(Cancel(made.job.id, ANN))
    until(made, lambda r: r.state == "cancelled")
    plan = made.job.checkpoint
    assert plan is not None
    second = replace(made.job, id="llama-2", checkpoint=replace(plan, resume=True))
    made.cluster.folders[second.id] = made.cluster.folders[made.job.id]
    made.controller.ask(Submit(second))
    made.job = second
    until(made, lambda r: r.state == "running")
    attempt = record(made).attempt
    assert attempt is not None
    assert (attempt.key.number, attempt.step) == (1, 30)


def test_one_that_is_to_go_on_from_what_is_there_is_held_where_nothing_verifies() -> None:
    made = stage(checkpoint=CheckpointPlan("/shared/llama", resume=True))
    until(made, lambda r: r.state == "held")
    assert "none of them verifies" in record(made).reason
    assert record(made).launched == 0


def test_a_job_whose_time_is_used_up_fails_and_says_so() -> None:
    made = stage(limits=Limits(time=30.0, stop=2.0))
    until(made, lambda r: r.state == "failed")
    assert record(made).reason == "its time limit of 30 s is used up"
    assert record(made).launched == 1


def test_on_fault_hold_holds() -> None:
    made = stage(on_fault="hold")
    runs(made, 30)
    faults.rank_killed(made)
    until(made, lambda r: r.state == "held")
    assert record(made).launched == 1


def test_budgets_are_by_causer() -> None:
    made = stage(restarts=Restarts({"process": 1}, without_progress=9))
    made.cluster.flaws[made.job.id] = Flaw("process_exit", at=12, status=-11)
    until(made, lambda r: r.state == "held")
    assert record(made).launched == 2
    assert record(made).reason.startswith("its 1 restarts for faults by process are used up")


def test_preemption_is_never_charged() -> None:
    made = stage(restarts=Restarts({"process": 0, "scheduler": 0}, without_progress=2))
    for number in range(1, 5):
        until(made, lambda r, n=number: r.state == "running" and r.launched == n)  # type: ignore[misc]
        faults.stopped_by_other(made)
        until(made, lambda r: r.state != "running")
    until(made, lambda r: r.state == "succeeded")
    assert not record(made).used.get("scheduler")


def test_a_one_node_job_that_is_not_heard_runs_on_and_moves_only_on_proof() -> None:
    made = Stage(1, gang=1, script=Script(steps=4000))
    for name in made.cluster.hosts:
        made.controller.wire_bmc(name, "true")
    made.controller.ask(Submit(made.job))
    until(made, lambda r: r.state == "running")
    runs(made, 10)
    victim = made.victim
    made.controller.wire_bmc(victim, "")
    made.controller.asked.clear()
    made.cluster.power(victim, on=False)
    runs(made, 120)
    assert record(made).state == "running"
    assert record(made).cut is not None
    assert not made.controller.asked
    made.controller.wire_bmc(victim, "true")
    until(made, lambda r: r.state == "running" and r.launched == 2)
    attempt = record(made).attempt
    assert attempt is not None
    assert victim not in attempt.allocation.nodes
    assert not made.controller.drained


def test_a_broken_node_is_drained_only_on_evidence_that_is_not_the_jobs_own() -> None:
    made = stage()
    runs(made, 30)
    faults.gpu_broken(made)
    (victim,) = (name for name, host in made.cluster.hosts.items() if host.bad)
    until(made, lambda r: r.launched == 2)
    assert list(made.controller.drained) == [name for name, host in made.cluster.hosts.items() if host.bad] == [victim]
    said = stage()
    runs(said, 30)
    said.cluster.exit(said.key, said.victim, 1, "gpu_ecc")
    until(said, lambda r: r.state == "succeeded")
    assert not said.controller.drained


def test_the_first_alarm_is_the_only_one() -> None:
    made = stage()
    other = replace(made.job, id="other-1")
    made.cluster.scripts[other.id] = made.script
    made.controller.ask(Submit(other))
    until(made, lambda r: r.state == "running")
    runs(made, 5)
    world = made.controller.world
    told = [Silent(name, made.cluster.now, "no answer") for name in world.places]
    decided = decide(replace(world, watch=world.watch.after(told)), made.cluster.now + 30)
    assert sum(isinstance(one, Notify) for one in decided.actions) == 1
    assert all(" (no answer): " in one.message for one in decided.decisions)
    assert {one.kind for one in decided.decisions} == {"control_plane_lost"}
    assert not [one for one in decided.actions if isinstance(one, Kill | Drain)]
    after = replace(world, roster=world.roster.after(decided.records), watch=world.watch.after(told))
    assert not decide(after, made.cluster.now + 300).decisions


def test_an_engine_that_cannot_be_asked_restarts_nothing() -> None:
    made = stage()
    until(made, lambda r: r.state == "running")
    world = made.controller.world
    watch = world.watch.after([Unavailable("ssh", made.cluster.now, "slurmctld does not answer")])
    decided = decide(replace(world, watch=watch), made.cluster.now)
    assert {one.kind for one in decided.decisions} == {"control_plane_lost"}
    assert not [one for one in decided.actions if not isinstance(one, Notify)]


def test_a_checkpoint_that_does_not_verify_is_set_aside_once_nothing_runs() -> None:
    made = stage()
    runs(made, 45)
    made.cluster.folders[made.job.id].saved[30].damaged = True
    faults.rank_killed(made)
    until(made, lambda r: r.launched == 2)
    attempt = record(made).attempt
    assert attempt is not None
    assert attempt.step == 20
    assert made.cluster.folders[made.job.id].saved[30].aside
    assert not made.cluster.folders[made.job.id].saved[20].aside
    assert "checkpoint_rejected" in kinds(made)


def test_a_slow_rank_is_told_and_acted_on_only_with_a_spare() -> None:
    for spares in (0, 1):
        made = Stage(1, gang=4, script=Script(steps=4000, tells="nothing"))
        made.job = replace(made.job, spares=spares)
        made.controller.ask(Submit(made.job))
        until(made, lambda r: r.state == "running")
        world, now = made.controller.world, made.cluster.now
        nodes = record(made).attempt.allocation.nodes  # type: ignore[union-attr]
        told = [
            Stepped(made.key, node, now + step * (2.0 if rank == 3 else 1.0), rank, step)
            for rank, node in enumerate(nodes)
            for step in range(20)
        ]
        world = replace(world, watch=world.watch.after(told))
        decided = decide(world, now + 40)
        assert decided.decisions[0].kind == "straggler_found"
        assert decided.records[-1].state == "running"
        assert [type(one) for one in decided.actions] == [Examine] * spares
        world = replace(world, roster=world.roster.after(decided.records))
        well = {n: replace(p, verdict="ok", verdict_at=now + 40) for n, p in world.places.items()}
        decided = decide(replace(world, places=well), now + 41)
        assert [one.state for one in decided.records] == ["stopping"] * spares
        assert [type(one) for one in decided.actions] == [Stop] * spares


def test_a_service_that_ends_is_started_again_after_a_while_and_held_when_it_never_serves() -> None:
    made = stage(kind="service", service=Service(), checkpoint=None)
    made.cluster.flaws[made.job.id] = Flaw("serving_crash", at=2)
    until(made, lambda r: r.state == "waiting")
    until(made, lambda r: r.state == "held")
    assert record(made).launched == 3


def test_a_service_that_has_served_may_be_started_again_as_often_as_it_takes() -> None:
    made = stage(kind="service", service=Service(ready=("true",)), checkpoint=None)
    for number in range(1, 6):
        until(made, lambda r, n=number: r.state == "running" and r.launched == n)  # type: ignore[misc]
        world = made.controller.world
        made.controller.world = replace(world, watch=world.watch.after([Ready(made.key, made.cluster.now, ready=True)]))
        runs(made, 70)
        faults.rank_killed(made)
        until(made, lambda r: r.state == "waiting")
    assert record(made).stalled == 0


def test_many_nodes_that_fall_silent_at_once_are_not_lost() -> None:
    made = Stage(1, gang=3, script=Script(steps=4000))
    made.controller.ask(Submit(made.job))
    until(made, lambda r: r.state == "running")
    world, now = made.controller.world, made.cluster.now
    first, second, third = record(made).attempt.allocation.nodes  # type: ignore[union-attr]
    told: list[Report] = [PeerSilent(made.key, node, now + 3, second, 3.0) for node in (first, third)]
    told.append(Silent(second, now + 3, "no answer"))
    one = decide(replace(world, watch=world.watch.after(told)), now + 6)
    assert [decision.kind for decision in one.decisions] == ["fault_found"]
    told += [PeerSilent(made.key, first, now + 3, third, 3.0), Silent(third, now + 4, "no answer")]
    two = decide(replace(world, watch=world.watch.after(told)), now + 6)
    assert not two.decisions
    assert not two.actions


def test_a_gang_shrinks_where_there_is_no_spare_and_never_below_its_least() -> None:
    for least, state in ((2, "running"), (5, "queued")):
        made = Stage(1, script=Script(steps=4000))
        made.job = replace(made.job, nodes=Span(least, 5))
        made.controller.ask(Submit(made.job))
        until(made, lambda r: r.state == "running")
        runs(made, 30)
        faults.power_lost(made)
        until(made, lambda r, s=state: bool(r.past) and r.state == s)  # type: ignore[misc]
        attempt = record(made).attempt
        assert attempt is not None
        assert len(attempt.allocation.nodes) == (4 if state == "running" else 5)
