"""What is said of a job while its attempt was begun and does not run yet."""

from dataclasses import replace

import pytest
from tests.l2_jobs.simulated_stage import a_job

from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.beginning import begun, being_started
from aiops.layers.l2_jobs.draft import Draft
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.report import Freed, Report, Scheduled, Started
from aiops.layers.l2_jobs.roster import Roster
from aiops.layers.l2_jobs.watch import Watch
from aiops.layers.l2_jobs.world import World

KEY = Key("llama-1", 2)
ATTEMPT = Attempt(KEY, "slurm", Allocation((Slot("a"), Slot("b"))), 20000)
RECORD = JobRecord(a_job("llama"), "starting", 90.0, being_started(2), ATTEMPT, launched=2)
FREED = Freed(KEY, "b", 99.0, (1,))


def after(*reports: Report, record: JobRecord = RECORD) -> tuple[JobRecord, Draft]:
    watch = Watch().after(reports)
    draft = Draft(World(Roster.of([record]), watch=watch), 100.0)
    return begun(draft, record, ATTEMPT, watch.track(KEY)), draft


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Scheduled(KEY, 99.0, "PENDING"), "attempt 2 is being started"),
        (
            Scheduled(KEY, 99.0, "PENDING", "", "42", ("b",)),
            "attempt 2 waits: b is still completing the attempt before",
        ),
        (Scheduled(KEY, 99.0, "PENDING", "Resources", "42"), "attempt 2 waits (Slurm: Resources)"),
        (
            Scheduled(KEY, 99.0, "PENDING", "Resources", "42", ("b",)),
            "attempt 2 waits: b is still completing the attempt before (Slurm: Resources)",
        ),
        (
            Scheduled(KEY, 99.0, "PENDING", "Priority", "42", ("a", "b")),
            "attempt 2 waits: a, b are still completing the attempt before (Slurm: Priority)",
        ),
        (Scheduled(KEY, 99.0, "RUNNING", "None", "42"), "attempt 2 is being started"),
    ],
)
def test_what_slurm_waits_for_is_said_and_the_time_of_the_beginning_stays(report: Report, words: str) -> None:
    record, draft = after(report)
    assert (record.state, record.reason, record.since) == ("starting", words, 90.0)
    assert draft.decided().decisions == ()


def test_without_a_word_of_slurms_nothing_is_written() -> None:
    record, draft = after(Started(KEY, "a", 99.0, "boot"))
    assert record == RECORD
    assert draft.decided().records == ()


def test_it_runs_once_all_of_it_does_and_nothing_is_said_of_slurm_any_more() -> None:
    record, _ = after(Scheduled(KEY, 98.0, "PENDING", "Resources"), *(Started(KEY, one, 99.0, "boot") for one in "ab"))
    assert (record.state, record.reason, record.began) == ("running", "runs", 100.0)


def test_a_node_that_was_given_back_is_told_once() -> None:
    record, draft = after(FREED, replace(FREED, at=99.5))
    (told,) = draft.decided().decisions
    assert (told.kind, told.attempt, told.evidence) == ("node_freed", 2, {"node": "b", "attempts": [1]})
    assert told.message == (
        "b was given back to Slurm, which was still completing attempt 1 there: it has booted since, and nothing of "
        "that runs on it"
    )
    assert after(FREED, record=record)[1].decided().decisions == ()


def test_it_is_told_though_the_attempt_runs_by_then() -> None:
    late = replace(FREED, before=(1, 2), said="it is still to be resumed: x")
    record, draft = after(late, *(Started(KEY, one, 99.0, "boot") for one in "ab"))
    assert record.state == "running"
    assert [one.kind for one in draft.decided().decisions] == ["node_freed", "job_running"]
    assert "attempts 1, 2 there" in draft.decided().decisions[0].message
    assert draft.decided().decisions[0].message.endswith("; it is still to be resumed: x")
