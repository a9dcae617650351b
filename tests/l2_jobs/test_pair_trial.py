"""The pair test between two attempts: when there is one, what it keeps meanwhile, and what becomes of the job."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.l2_jobs.simulated_program import Script
from tests.l2_jobs.simulated_stage import ANN, Stage, a_job

from aiops.layers.l2_jobs import pair_trial
from aiops.layers.l2_jobs.action import Action, Drain, Notify, TryPairs
from aiops.layers.l2_jobs.allocation import Slot
from aiops.layers.l2_jobs.decide import decide
from aiops.layers.l2_jobs.document import action_document, action_of, document, value_of
from aiops.layers.l2_jobs.job import Devices, Restarts
from aiops.layers.l2_jobs.pair_test import Pair, Paired, PairResult
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.request import Cancel, Hold, Resume, Submit


class Trying:
    """A stage whose test of pairs is answered by whoever looks at it, and not by what is true."""

    def __init__(self, gang: int = 4, nodes: int = 6, **changes: object) -> None:
        self.stage = Stage(1, nodes=nodes, gang=gang, script=Script(steps=400, every=0))
        self.stage.job = replace(self.stage.job, restarts=Restarts(without_progress=9), **changes)  # type: ignore[arg-type]
        self.asked: list[TryPairs] = []
        act = self.stage.controller._act

        def taken(action: Action) -> None:
            if isinstance(action, TryPairs):
                self.asked.append(action)
            else:
                act(action)

        self.stage.controller._act = taken  # type: ignore[method-assign]
        self.stage.controller.ask(Submit(self.stage.job))

    @property
    def record(self) -> JobRecord:
        return self.stage.controller.written[self.stage.job.id]

    def until(self, condition: Callable[[], object], seconds: float = 120.0) -> None:
        end = self.stage.cluster.now + seconds
        while not condition():
            assert self.stage.cluster.now < end, self.record
            self.stage.tick()

    def fails(self, kind: str = "nccl_timeout") -> None:
        """An attempt runs, and ends by a fault."""
        self.until(lambda: self.stage.job.id in self.stage.controller.written)
        self.until(lambda: self.record.state == "running")
        number = self.record.launched
        self.stage.cluster.exit(self.stage.key, self.stage.victim, -6, kind)
        self.until(lambda: number in {one.number for one in self.record.past})

    def answer(self, **passed: bool | None) -> None:
        """The round that was asked for last: pairs pass unless one of theirs is named."""
        order = self.asked[-1]
        results = tuple(PairResult(pair, _passes(pair, passed), "it broke") for pair in order.pairs)
        self.told(Paired(order.key.number, order.number, results))

    def told(self, paired: Paired) -> None:
        world = self.stage.controller.world
        self.stage.controller.world = replace(world, paired={**world.paired, self.stage.job.id: paired})
        for _ in range(4):
            self.stage.tick()

    def tested(self) -> list[tuple[str, object]]:
        return [(one.message, one.evidence) for one in self.stage.controller.decisions if one.kind == "pairs_tested"]


def _passes(pair: Pair, passed: dict[str, bool | None]) -> bool | None:
    found = [passed[name] for name in pair.nodes if name in passed]
    return found[0] if found else True


def test_the_first_such_fault_starts_again_at_once_and_the_second_is_followed_by_a_test() -> None:
    made = Trying()
    made.fails()
    made.until(lambda: made.record.state == "running", 5)
    assert not made.asked
    made.fails("nccl_network")
    assert made.record.state == "waiting"
    assert made.record.reason.endswith("; its nodes are tested in pairs first")
    (order,) = made.asked
    nodes = made.record.attempt.allocation.nodes  # type: ignore[union-attr]
    assert order.pairs == (Pair(nodes[0], nodes[1]), Pair(nodes[2], nodes[3]))
    assert (order.key, order.number) == (made.stage.key, 1)
    made.answer()
    made.until(lambda: made.record.state == "running", 5)
    assert not made.record.suspects
    assert made.tested()[0][0] == "gpu01, gpu02, gpu03 and gpu04 pass and are suspect no more"


@pytest.mark.parametrize(
    "kinds", [("process_exit", "process_exit"), ("nccl_timeout", "process_exit"), ("gpu_oom",) * 2]
)
def test_what_lies_with_the_program_is_followed_by_none(kinds: tuple[str, str]) -> None:
    made = Trying()
    for kind in kinds:
        made.fails(kind)
    assert not made.asked
    assert made.record.trial is None


def test_a_newer_checkpoint_in_between_begins_anew() -> None:
    made = Trying()
    made.stage.cluster.scripts[made.stage.job.id] = Script(steps=400, every=2)
    for _ in range(3):
        made.until(lambda: made.stage.job.id in made.stage.controller.written and made.record.state == "running")
        for _ in range(80):
            made.stage.tick()
        made.fails()
        assert not made.record.stalled
    assert not made.asked


def test_the_bad_one_is_avoided_and_drained_and_the_others_are_suspect_no_more() -> None:
    made = Trying()
    made.fails()
    made.fails()
    made.answer(gpu02=False)
    assert [pair.nodes for pair in made.asked[-1].pairs] == [("gpu01", "gpu03"), ("gpu02", "gpu04")]
    assert made.record.trial is not None
    made.answer(gpu02=False)
    words = "gpu02 fails in a pair test with gpu01 and gpu04, which pass with others"
    assert made.stage.controller.drained == {"gpu02": words}
    made.until(lambda: made.record.launched == 3, 5)
    assert "gpu02" not in made.record.attempt.allocation.nodes  # type: ignore[union-attr]
    ((message, evidence),) = made.tested()
    assert message == f"{words}; gpu01, gpu03 and gpu04 pass and are suspect no more"
    assert isinstance(evidence, dict)
    assert evidence["proved"] == ["gpu02"]
    assert evidence["pairs"][0] == {
        "text": "gpu01 with gpu02 fails: it broke",
        "nodes": ["gpu01", "gpu02"],
        "passed": False,
        "silent": None,
        "seconds": None,
        "mb_s": None,
        "latency": None,
        "own_test": None,
    }


def test_whom_only_the_sites_own_test_names_is_avoided_and_not_drained() -> None:
    made = Trying()
    made.fails()
    made.fails()
    for _ in range(2):
        order = made.asked[-1]
        results = tuple(PairResult(pair, "gpu02" not in pair.nodes, own="gpu02" in pair.nodes) for pair in order.pairs)
        made.told(Paired(order.key.number, order.number, results))
    assert list(made.record.avoid) == ["gpu02"]
    assert not made.stage.controller.drained


def test_where_another_job_runs_the_bad_one_is_avoided_and_not_drained() -> None:
    """Its owner could have the test fail there by what that other job does."""
    made = Trying(devices=Devices(4))
    made.fails()
    made.fails()
    assert "gpu02" in made.stage.controller.world.roster.users
    other = a_job("other", 1, devices=Devices(4), priority=99)
    made.stage.cluster.scripts[other.id] = Script(steps=400)
    trial = made.record.trial
    assert trial is not None
    for free in ("gpu01", "gpu03", "gpu04", "gpu05", "gpu06"):
        had = next((slot.devices for slot in trial.slots if slot.node == free), ())
        made.stage.controller._place(free, devices=had)
    made.stage.controller.ask(Submit(other))
    written = made.stage.controller.written
    made.until(lambda: other.id in written and written[other.id].state == "running", 10)
    attempt = written[other.id].attempt
    assert attempt is not None
    assert attempt.allocation.nodes == ("gpu02",)
    made.answer(gpu02=False)
    made.stage.controller.ask(Cancel(other.id, ANN))
    made.until(lambda: written[other.id].state == "cancelled", 10)
    made.answer(gpu02=False)
    assert list(made.record.avoid) == ["gpu02"]
    assert not made.stage.controller.drained
    ((message, evidence),) = made.tested()
    assert "gpu02 stays in service, and this job keeps off: what other jobs do there may be the cause" in message
    assert isinstance(evidence, dict)
    assert evidence["shared"] == ["gpu02"]


def test_of_many_at_once_none_is_drained_and_the_job_keeps_off_them() -> None:
    made = Trying(gang=5, nodes=8)
    made.fails()
    made.fails()
    while not made.tested():
        made.answer(gpu01=False, gpu04=False)
    assert set(made.record.avoid) == {"gpu01", "gpu04"}
    assert not made.stage.controller.drained
    assert "node_drained" not in {one.kind for one in made.stage.controller.decisions}
    told = [one.message for one in made.stage.controller.decisions if one.kind == "node_kept"]
    for node, words in zip(("gpu01", "gpu04"), told, strict=True):
        assert words.startswith(
            f"{node} stays in service, as 2 nodes at once have one cause: {node} fails in a pair test"
        )
    made.until(lambda: made.record.launched == 3, 5)


def test_of_two_tests_that_end_at_once_each_with_a_bad_node_none_is_drained_and_none_is_told_to_be() -> None:
    made = Trying()
    made.fails()
    made.fails()
    first, world, now = made.record, made.stage.controller.world, made.stage.cluster.now
    trial = replace(first.trial, suspects=("gpu05", "gpu06"), slots=(Slot("gpu05"), Slot("gpu06")))  # type: ignore[type-var]
    other = replace(first, job=replace(first.job, id="other-1"), trial=trial)
    world = replace(world, roster=world.roster.after([other]))
    pairs = {
        first.job.id: [("gpu02", "gpu01", False), ("gpu02", "gpu03", False), ("gpu01", "gpu03", True)],
        other.job.id: [("gpu05", "gpu01", False), ("gpu05", "gpu03", False), ("gpu01", "gpu03", True)],
    }
    paired = {
        job: Paired(2, 1, tuple(PairResult(Pair(one, two), passed) for one, two, passed in all_))
        for job, all_ in pairs.items()
    }
    alone = decide(replace(world, paired={first.job.id: paired[first.job.id]}), now + pair_trial.SECONDS)
    both = decide(replace(world, paired=paired), now + pair_trial.SECONDS)
    assert [one.node for one in alone.actions if isinstance(one, Drain)] == ["gpu02"]
    assert not [one for one in both.actions if isinstance(one, Drain)]
    kinds = [one.kind for one in both.decisions]
    assert kinds.count("pairs_tested") == 2
    assert kinds.count("node_kept") == 2
    assert "node_drained" not in kinds


def test_where_nothing_passes_it_is_the_network_and_no_node_is_touched() -> None:
    made = Trying(nodes=5)
    made.fails()
    made.fails()
    told = 0
    while not made.tested():
        made.answer(**dict.fromkeys(made.stage.cluster.hosts, False))
        told += 1
        assert told < 5
    assert made.tested()[0][0].startswith("no pair of gpu01, gpu02, gpu03 and gpu04 passes: it is the network")
    assert not made.record.avoid
    assert not made.record.suspects
    assert not made.stage.controller.drained
    made.until(lambda: made.record.launched == 3, 5)


def test_of_two_nodes_without_a_third_nothing_is_known_and_the_job_goes_on() -> None:
    made = Trying(gang=2, nodes=2)
    made.fails()
    made.fails()
    made.answer(gpu01=False)
    assert made.tested()[0][0] == "of gpu01 and gpu02 it could not be told"
    assert set(made.record.suspects) == {"gpu01", "gpu02"}
    made.until(lambda: made.record.launched == 3, 5)


def test_who_does_not_answer_is_unknown_and_used_last() -> None:
    made = Trying(nodes=8)
    made.fails()
    made.fails()
    order = made.asked[-1]
    results = [PairResult(pair, True) for pair in order.pairs]
    results[0] = PairResult(order.pairs[0], None, "gpu01 did not answer", ("gpu01",))
    made.told(Paired(order.key.number, order.number, tuple(results)))
    assert [pair.first for pair in made.asked[-1].pairs] == ["gpu02"], "it is tested with another one"
    made.answer()
    assert list(made.record.suspects) == ["gpu01"]
    assert not made.stage.controller.drained
    made.until(lambda: made.record.launched == 3, 5)
    assert "gpu01" not in made.record.attempt.allocation.nodes  # type: ignore[union-attr]


def test_nodes_are_kept_while_they_are_tested_and_given_to_nobody() -> None:
    made = Trying(gang=2, nodes=4)
    made.fails()
    made.fails()
    assert made.record.trial is not None
    other = a_job("other", 2, priority=99)
    made.stage.cluster.scripts[other.id] = Script(steps=400)
    third = a_job("third", 1, priority=98)
    made.stage.cluster.scripts[third.id] = Script(steps=400)
    made.answer(gpu01=False)
    spares = made.record.trial.spares
    assert len(spares) == 2
    made.stage.controller.ask(Submit(other), Submit(third))
    for _ in range(40):
        made.stage.tick()
    written = made.stage.controller.written
    assert {written[job.id].state for job in (other, third)} == {"queued"}, "its nodes and the spares are kept"
    while not made.tested():
        made.answer(gpu01=False)
    made.until(lambda: written[other.id].state == "running", 10)


@pytest.mark.parametrize("wish", [Cancel, Hold])
def test_a_job_that_is_stopped_while_its_nodes_are_tested_lets_them_go_once_that_has_ended(
    wish: type[Cancel | Hold],
) -> None:
    made = Trying()
    made.fails()
    made.fails()
    nodes = set(made.stage.controller.world.roster.users)
    for _ in range(2):
        made.stage.controller.ask(wish(made.stage.job.id, ANN))
        for _ in range(40):
            made.stage.tick()
    assert made.record.state == "waiting"
    assert made.record.reason.endswith("as its owner has asked: the test of its nodes ends first")
    assert set(made.stage.controller.world.roster.users) == nodes, "the test runs on them"
    made.answer(gpu01=False)
    assert made.record.state == {Cancel: "cancelled", Hold: "held"}[wish]
    assert len(made.asked) == 1
    assert not made.stage.controller.world.roster.users
    assert not made.tested()
    made.stage.controller.ask(Resume(made.stage.job.id, ANN))
    made.until(lambda: made.record.state == "running", 10)
    assert made.record.trial is None


def test_the_nodes_of_a_job_that_is_stopped_are_let_go_when_the_time_of_the_test_is_over() -> None:
    made = Trying()
    made.fails()
    made.fails()
    began = made.stage.cluster.now
    made.stage.controller.ask(Cancel(made.stage.job.id, ANN))
    made.stage.tick()
    made.stage.controller.killed()
    made.answer()
    assert made.record.state == "waiting", "what an earlier controller has begun may still run"
    made.until(lambda: made.record.state == "cancelled")
    assert pair_trial.SECONDS <= made.stage.cluster.now - began <= pair_trial.SECONDS + 2


def test_a_test_that_is_never_answered_is_asked_for_again_and_holds_the_job_up_for_a_minute_at_most() -> None:
    made = Trying()
    made.fails()
    made.fails()
    began = made.stage.cluster.now
    made.until(lambda: made.record.launched == 3)
    assert made.stage.cluster.now - began <= pair_trial.SECONDS + 3
    assert [one.number for one in made.asked] == [1, 1, 1]
    assert made.tested()[0][0].endswith("it could not be told, in the time that there was")
    assert not made.stage.controller.drained


def test_an_answer_of_another_round_or_attempt_is_none() -> None:
    made = Trying()
    made.fails()
    made.fails()
    order = made.asked[-1]
    results = tuple(PairResult(pair, False) for pair in order.pairs)
    for attempt, number in ((order.key.number - 1, 1), (order.key.number, 2)):
        made.told(Paired(attempt, number, results))
        assert made.record.trial is not None
        assert not made.record.trial.results


def test_nodes_of_slurm_and_such_as_are_out_of_service_are_not_tested() -> None:
    for changes in ({"engine": "slurm"}, {"closed": "drained by hand"}):
        made = Trying(gang=2)
        made.fails()
        made.until(lambda m=made: m.record.state == "running")  # type: ignore[misc]
        made.stage.controller._place("gpu01", **changes)
        made.stage.cluster.exit(made.stage.key, "gpu02", -6, "nccl_timeout")
        made.until(lambda m=made: len(m.record.past) == 2)  # type: ignore[misc]
        assert not made.asked


def test_it_is_told_to_people_and_its_parts_are_kept_as_they_are() -> None:
    made = Trying()
    made.fails()
    made.fails()
    record = made.record
    assert action_of(action_document(made.asked[0])) == made.asked[0]
    written = document(replace(record, job=None, attempt=None))  # type: ignore[arg-type]
    assert value_of(JobRecord, {**written, "job": document(record.job)}).trial == record.trial
    world, order = made.stage.controller.world, made.asked[0]
    results = (
        *(PairResult(Pair("gpu02", one), False) for one in ("gpu01", "gpu03")),
        PairResult(Pair("gpu01", "gpu03"), True),
    )
    paired = Paired(order.key.number, 1, (*results, PairResult(Pair("gpu04", "gpu03"), True)))
    decided = decide(replace(world, paired={record.job.id: paired}), made.stage.cluster.now)
    assert [type(one) for one in decided.actions][:2] == [Drain, Notify]
