"""What becomes of jobs whose nodes are silent, by what the BMCs of these nodes say."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.l2_jobs.simulated_program import Script
from tests.l2_jobs.simulated_stage import ANN, Stage

from aiops.layers.l2_jobs.action import Decision
from aiops.layers.l2_jobs.power import AGAIN, AGAIN_LATER, CHECK_AGAIN, LATER
from aiops.layers.l2_jobs.power_question import CHECKS
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.request import Cancel, Submit


def stage(bmc: str, gang: int = 1, nodes: int = 5, seed: int = 1) -> Stage:
    made = Stage(seed, nodes=nodes, gang=gang, script=Script(steps=4000))
    for name in made.cluster.hosts:
        made.controller.wire_bmc(name, bmc)
    made.controller.ask(Submit(made.job))
    until(made, lambda r: r.state == "running")
    runs(made, 25)
    return made


def record(made: Stage) -> JobRecord:
    return made.controller.written[made.job.id]


def until(made: Stage, condition: Callable[[JobRecord], bool], seconds: float = 300.0) -> float:
    began = made.cluster.now
    while made.cluster.now - began < seconds:
        made.tick()
        if condition(record(made)):
            return made.cluster.now - began
    raise AssertionError(record(made))


def runs(made: Stage, seconds: float) -> None:
    end = made.cluster.now + seconds
    until(made, lambda _: made.cluster.now >= end, seconds + 1)


def again(made: Stage) -> float:
    return until(made, lambda r: r.state == "running" and r.launched == 2)


def said(made: Stage, kind: str = "power_asked") -> list[Decision]:
    return [one for one in made.controller.decisions if one.kind == kind]


def nodes(made: Stage) -> tuple[str, ...]:
    attempt = record(made).attempt
    assert attempt is not None
    return attempt.allocation.nodes


def test_a_job_of_one_node_that_has_lost_its_power_goes_on_elsewhere_at_once() -> None:
    made = stage("true")
    victim = made.victim
    made.cluster.power(victim, on=False)
    assert again(made) < 12.0
    assert victim not in nodes(made)
    (one,) = said(made)
    assert one.attempt == 1
    assert one.message.startswith(f"the head does not hear {victim}, and its BMC has said twice, ")
    assert one.message.endswith("that it is without power (Chassis Power is off)")
    first, second = one.evidence["asked"]
    assert one.evidence["silent"] <= first <= second - 2.0
    assert made.controller.killed_on == {victim}, "what was on its way there must not begin once it has power"
    (fault,) = said(made, "fault_found")
    assert fault.message == f"node_lost on {victim}: its BMC has said twice that it is without power"
    assert made.controller.decisions.index(one) < made.controller.decisions.index(fault)
    assert not said(made, "control_plane_back"), "nobody has heard it"
    assert not made.controller.drained
    assert not made.cluster.wrongs


def test_one_that_is_only_cut_off_is_left_alone() -> None:
    made = stage("true")
    victim = made.victim
    host = made.cluster.hosts[victim]
    host.head, host.side = False, 99
    runs(made, 200)
    (one,) = said(made)
    assert one.message == (
        f"the head does not hear {victim}, and its BMC says that it has power (Chassis Power is on): "
        "what runs there may go on"
    )
    assert one.evidence == {**one.evidence, "node": victim, "power": "on", "said": "Chassis Power is on"}
    host.head, host.side = True, 0
    runs(made, 20)
    assert (record(made).state, record(made).launched) == ("running", 1)
    assert len(said(made, "control_plane_back")) == 1
    host.head = False
    runs(made, 20)
    assert len(said(made)) == 2, "of another silence it is told again"
    assert not made.cluster.wrongs


@pytest.mark.parametrize("bmc", ["unknown", ""])
def test_without_an_answer_nothing_is_moved(bmc: str) -> None:
    made = stage(bmc)
    made.cluster.power(made.victim, on=False)
    runs(made, 100)
    assert (record(made).state, record(made).launched) == ("running", 1)
    assert [one.evidence["power"] for one in said(made)] == [bmc] * bool(bmc)
    assert bool(made.controller.asked) == bool(bmc)


def test_a_bmc_is_asked_every_ten_seconds_at_most_and_less_often_later() -> None:
    made = stage("on")
    victim = made.victim
    assert [node for _, node in made.controller.asked] == [victim], "while it is heard, once"
    runs(made, 60)
    made.controller.asked.clear()
    made.cluster.hosts[victim].head = False
    runs(made, LATER + 300)
    times = [at for at, node in made.controller.asked if node == victim]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= AGAIN
    assert gaps[0] <= AGAIN + 1.0
    assert gaps[-1] >= AGAIN_LATER
    assert {node for _, node in made.controller.asked} == {victim}


def test_a_check_of_all_addresses_keeps_no_silent_node_waiting() -> None:
    made = Stage(1, nodes=10, gang=1, script=Script(steps=4000))
    for name in made.cluster.hosts:
        made.controller.wire_bmc(name, "true")
    for number in range(10):
        one = replace(made.job, id=f"llama-{number}", checkpoint=None)
        made.cluster.scripts[one.id] = made.script
        made.controller.ask(Submit(one))
    made.job = replace(made.job, id="llama-9")
    runs(made, 1)
    most = 0
    for _ in range(60):
        made.tick()
        most = max(most, sum(one.asking for one in made.controller.world.power.values()))
    assert most == CHECKS
    assert sorted(node for _, node in made.controller.asked) == sorted(made.cluster.hosts), "each of them once"


def test_a_gang_waits_for_no_lease_of_a_node_that_is_proved_off() -> None:
    plain, proved = stage("", gang=3), stage("true", gang=3)
    for made in (plain, proved):
        made.cluster.power(made.victim, on=False)
    assert again(plain) - again(proved) > 4.0
    assert not proved.cluster.wrongs
    assert not proved.controller.drained


def test_a_proof_is_kept_with_the_attempt_and_not_asked_for_again() -> None:
    made = stage("true", gang=3, nodes=6)
    first, second, third = nodes(made)
    made.cluster.hosts[third].head = False  # it goes on, and nothing tells the controller that it ends
    made.controller.wire_bmc(second, "unknown")
    for name in (first, second):
        made.cluster.power(name, on=False)
    until(made, lambda r: set(r.off) == {first}, 20)
    runs(made, 1)
    made.controller.killed()
    made.controller.asked.clear()
    runs(made, 60)
    assert (record(made).state, set(record(made).off)) == ("stopping", {first})
    assert {node for _, node in made.controller.asked} == {second, third}
    made.controller.wire_bmc(second, "true")
    made.cluster.power(third, on=False)
    assert again(made) < 20.0, "nobody waits for half an hour"
    assert not made.cluster.wrongs


def test_what_its_peers_hear_has_power_whichever_bmc_was_asked() -> None:
    """As where the addresses of two BMCs were exchanged."""
    made = stage("on", gang=3)
    victim = made.victim
    made.cluster.hosts[victim].head = False
    made.controller.wire_bmc(victim, "off")
    runs(made, 120)
    assert (record(made).state, record(made).launched) == ("running", 1)
    assert not made.cluster.wrongs


@pytest.mark.parametrize("gang", [1, 2])
def test_a_bmc_that_says_off_of_a_node_that_answers_is_not_believed(gang: int) -> None:
    made = stage("off", gang=gang)
    told = said(made)
    assert [one.evidence["power"] for one in told] == ["wrong"] * gang
    assert f"the BMC that the inventory names for {nodes(made)[0]} says that it is without power" in told[0].message
    for name in nodes(made):
        host = made.cluster.hosts[name]
        host.head, host.side = False, 99
    runs(made, 120)
    assert (record(made).state, record(made).launched) == ("running", 1)
    assert said(made) == told
    for name in nodes(made):
        host = made.cluster.hosts[name]
        host.head, host.side = True, 0
        made.controller.wire_bmc(name, "true")
    runs(made, CHECK_AGAIN + 5)
    for name in nodes(made):
        made.cluster.power(name, on=False)
    again(made)
    assert not made.cluster.wrongs


def test_power_that_is_lost_before_the_bmc_has_said_on_is_not_proved() -> None:
    made = Stage(1, gang=1, script=Script(steps=4000))
    for name in made.cluster.hosts:
        made.controller.wire_bmc(name, "true")
    made.controller.ask(Submit(made.job))
    until(made, lambda _: bool(made.controller.asked))
    made.cluster.power(made.victim, on=False)
    runs(made, 60)
    assert record(made).launched == 1
    assert [one.evidence["power"] for one in said(made)] == ["untrusted"]


def test_a_wrong_address_whose_first_check_said_nothing_is_not_trusted() -> None:
    made = stage("unknown")
    victim = made.victim
    made.controller.wire_bmc(victim, "off")  # it is another's, which has no power
    host = made.cluster.hosts[victim]
    host.head, host.side = False, 99
    runs(made, 60)
    assert (record(made).state, record(made).launched) == ("running", 1)
    (one,) = said(made)
    assert one.message.endswith(
        f"which is not believed: it never said `on` of {victim} while that was heard, so it may be another's"
    )
    assert not made.cluster.wrongs


def test_a_check_that_said_nothing_is_made_again_until_the_bmc_says_on() -> None:
    made = stage("unknown")
    victim = made.victim
    runs(made, CHECK_AGAIN)
    assert [node for _, node in made.controller.asked] == [victim] * 2
    made.controller.wire_bmc(victim, "true")
    runs(made, CHECK_AGAIN)
    assert set(record(made).powered) == {victim}
    runs(made, 2 * CHECK_AGAIN)
    assert len(made.controller.asked) == 3
    made.cluster.power(victim, on=False)
    assert again(made) < 12.0


def test_a_rack_without_power_is_told_from_a_switch() -> None:
    """Many nodes that fall silent at once are no proof of anything, and a BMC that says `off` twice is."""
    for bmc, launched in (("", 1), ("true", 2)):
        made = stage(bmc, gang=2, nodes=6)
        for name in nodes(made):
            made.cluster.power(name, on=False)
        runs(made, 60)
        assert record(made).launched == launched
        assert not made.cluster.wrongs


def test_a_job_that_is_cancelled_ends_once_its_node_is_proved_off() -> None:
    made = stage("true")
    victim = made.victim
    made.controller.wire_bmc(victim, "unknown")
    made.cluster.power(victim, on=False)
    runs(made, 10)
    made.controller.ask(Cancel(made.job.id, ANN))
    runs(made, 60)
    assert record(made).state == "stopping"
    assert record(made).reason.endswith("is proved to be off")
    made.controller.wire_bmc(victim, "true")
    until(made, lambda r: r.state == "cancelled", 15)


@pytest.mark.parametrize("seed", range(12))
def test_a_controller_that_is_killed_meanwhile_moves_it_all_the_same_and_once(seed: int) -> None:
    made = stage("true", gang=1 + seed % 2, seed=seed)
    made.cluster.power(made.victim, on=False)
    for _ in range(3):
        made.after(made.random.uniform(0, 9), made.controller.killed)
    again(made)
    runs(made, 20)
    assert record(made).launched == 2
    assert not made.cluster.wrongs


def test_a_node_that_is_switched_on_again_gets_work_again() -> None:
    made = stage("true", nodes=1)
    victim = made.victim
    made.cluster.power(victim, on=False)
    until(made, lambda r: r.state == "queued", 30)
    made.cluster.power(victim, on=True)
    until(made, lambda r: r.state == "running" and r.launched == 2, 10)
    assert nodes(made) == (victim,)
    assert not made.cluster.wrongs
