"""When a job that tells no progress is hung, and when it is not."""

import math
from dataclasses import replace

import pytest
from tests.l2_jobs.simulated_stage import a_job

from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.hang import EVALUATE, SAVE, SOONER, START, STORAGE, UNTOLD, hang, quiet
from aiops.layers.l2_jobs.job import Job, Limits, ProgressPlan
from aiops.layers.l2_jobs.report import Ended, Frozen, Halted, Heard, Phase, Report, Silent, Started, Stepped
from aiops.layers.l2_jobs.shelf import Shelf
from aiops.layers.l2_jobs.watch import Watch

KEY = Key("llama-1", 1)
JOB = replace(a_job("llama"), checkpoint=None)


def steps(*, each: float, count: int = 10, phases: bool = True, rank: int = 0, node: str = "a") -> list[Report]:
    begun: list[Report] = [Heard(node, 0.0, "b"), Started(KEY, node, 0.0, "b")]
    if phases:
        begun.append(Stepped(KEY, node, 0.0, rank, 0, "start"))
    return begun + [Stepped(KEY, node, each * number, rank, number) for number in range(1, count + 1)]


def found(
    job: Job, reports: list[Report], now: float, shelf: Shelf | None = None, *, before: float | None = None
) -> str | None:
    watch = Watch().after(reports)
    seen = quiet(job, watch.track(KEY), watch, 0.0, now, before=before)
    fault = None if seen is None else hang(job, seen, shelf, now)
    return None if fault is None else fault.kind


@pytest.mark.parametrize(("each", "limit"), [(0.1, 10.0), (1.0, 10.0), (2.0, 16.0), (30.0, 240.0)])
def test_a_hang_is_found_within_ten_seconds_or_eight_median_steps(each: float, limit: float) -> None:
    last = each * 10
    assert found(JOB, steps(each=each), last + limit - SOONER) is None
    assert found(JOB, steps(each=each), last + limit - SOONER + 0.1) == "hang"


def test_a_program_that_tells_no_phases_may_pause_for_a_minute() -> None:
    told = steps(each=1.0, phases=False)
    assert found(JOB, told, 10 + UNTOLD) is None
    assert found(JOB, told, 10 + UNTOLD + 1) == "hang"


def test_one_that_tells_phases_and_whose_steps_are_read_from_its_output_may_pause_for_a_minute_too() -> None:
    printed = [
        replace(one, printed=one.phase == "step") if isinstance(one, Stepped) else one for one in steps(each=1.0)
    ]
    assert found(JOB, printed, 10 + UNTOLD) is None
    assert found(JOB, printed, 10 + UNTOLD + 1) == "hang"


@pytest.mark.parametrize(("phase", "limit"), [("save", SAVE), ("evaluate", EVALUATE)])
def test_a_phase_has_its_own_allowance(phase: Phase, limit: float) -> None:
    told = [*steps(each=1.0), Stepped(KEY, "a", 10.5, 0, 10, phase)]
    assert found(JOB, told, 10.5 + limit) is None
    assert found(JOB, told, 10.5 + limit + 1) == "hang"


def test_a_slow_first_step_is_no_hang() -> None:
    begun: list[Report] = [Heard("a", 0.0, "b"), Started(KEY, "a", 0.0, "b"), Stepped(KEY, "a", 0.0, 0, 0, "start")]
    assert found(JOB, begun, START) is None
    assert found(JOB, begun, START + 1) == "hang"


def test_three_words_are_enough_where_a_node_has_timed_its_steps() -> None:
    told = [replace(one, seconds=0.1) if isinstance(one, Stepped) else one for one in steps(each=1.0, count=3)]
    saved = [told[0], told[1], told[2], Stepped(KEY, "a", 0.5, 0, 0, "save"), *told[3:]]
    assert found(JOB, saved, 3 + 10 - SOONER) is None
    assert found(JOB, saved, 3 + 10 - SOONER + 0.1) == "hang"


@pytest.mark.parametrize("phase", ["start", "step", "save", "evaluate"])
def test_a_rank_that_a_signal_has_stopped_is_found_in_any_phase(phase: Phase) -> None:
    last = Stepped(KEY, "a", 5.5, 0, 6, phase)
    told: list[Report] = [*steps(each=1.0, count=5), last, Halted(KEY, "a", 8.0, 0)]
    assert found(JOB, told, 5.5 + 10 - SOONER) is None
    assert found(JOB, told, 5.5 + 10 - SOONER + 0.1) == "hang"
    goes_on = [*told, Halted(KEY, "a", 9.0, 0, halted=False)]
    assert found(JOB, goes_on, 5.5 + 10) == ("hang" if phase == "step" else None)
    assert found(replace(JOB, limits=Limits(hang=math.inf)), told, 1e7) is None
    frozen = [*told, Frozen(KEY, "a", 9.0, thawed=False)]
    assert found(JOB, frozen, 5.5 + 10) is None, "its own launcher has stopped it"


def test_one_that_was_stopped_before_its_first_step_is_found_too() -> None:
    begun: list[Report] = [Heard("a", 0.0, "b"), Started(KEY, "a", 0.0, "b"), Halted(KEY, "a", 3.0, 0)]
    assert found(replace(JOB, progress=ProgressPlan("step")), begun, 11.0) == "hang"


@pytest.mark.parametrize(("before", "limit"), [(None, START), (0.1, UNTOLD), (30.0, 240.0)])
def test_before_its_steps_were_timed_those_of_an_earlier_attempt_say_how_long_they_take(
    before: float | None, limit: float
) -> None:
    told = steps(each=1.0, count=3)
    assert found(JOB, told, 3 + limit, before=before) is None
    assert found(JOB, told, 3 + limit + 1, before=before) == "hang"


def test_an_earlier_attempt_says_nothing_of_a_slow_start_or_of_steps_that_were_timed() -> None:
    begun: list[Report] = [Heard("a", 0.0, "b"), Started(KEY, "a", 0.0, "b"), Stepped(KEY, "a", 0.0, 0, 0, "start")]
    assert found(JOB, begun, START, before=0.1) is None
    assert found(JOB, steps(each=30.0), 300 + 230, before=0.1) is None
    assert found(JOB, steps(each=0.1), 1 + 10, before=30.0) == "hang"


def test_a_program_that_tells_nothing_is_never_hung() -> None:
    begun: list[Report] = [Heard("a", 0.0, "b"), Started(KEY, "a", 0.0, "b")]
    assert found(JOB, begun, 1e7) is None
    assert found(replace(JOB, progress=ProgressPlan("step")), begun, START + 1) == "hang"


def test_what_the_job_says_itself_holds() -> None:
    assert found(replace(JOB, limits=Limits(hang=100.0)), steps(each=1.0), 105.0) is None
    assert found(replace(JOB, limits=Limits(hang=100.0)), steps(each=1.0), 111.0) == "hang"
    assert found(replace(JOB, limits=Limits(hang=math.inf)), steps(each=1.0), 1e7) is None


def test_who_is_not_heard_is_not_hung() -> None:
    told = [*steps(each=1.0), Silent("a", 12.0, "")]
    assert found(JOB, told, 500.0) is None
    assert found(JOB, [*told, Heard("a", 400.0, "b")], 408.0) is None
    assert found(JOB, [*told, Heard("a", 400.0, "b")], 411.0) == "hang"


def test_a_rank_that_has_ended_holds_nobody_up() -> None:
    told = steps(each=1.0) + steps(each=1.0, count=50, rank=1, node="b")
    assert found(JOB, told, 55.0) == "hang"
    assert found(JOB, [*told, Ended(KEY, "a", 10.0, "done", 0)], 55.0) is None


def test_a_storage_that_does_not_answer_is_not_a_hang() -> None:
    job = a_job("llama")
    told = steps(each=1.0)
    assert found(job, told, 25.0) is None
    assert found(job, told, 25.0, Shelf(15.0)) == "hang"
    assert found(job, told, 25.0, Shelf(15.0, answered=24.0)) is None  # it stalled until just now
    assert found(job, told, 25.0, Shelf(5.0)) is None  # that was before the last step
    assert found(job, told, 10 + 10 + STORAGE + 1, Shelf(5.0)) == "storage_io"
    assert found(job, told, 10 + 10 + STORAGE + 1, Shelf(15.0, problem="stale file handle")) == "storage_io"
