"""The Slurm engine over a queue and nodes in memory: what it submits, what it tells, and that nothing is run twice."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.fake_slurm_queue import BOOT, FakeLines, FakeQueue

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.errors import InputError
from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Connection, Node
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.engine import EngineContext, EngineHooks
from aiops.layers.l2_jobs.job import Account, Devices, Job, Span
from aiops.layers.l2_jobs.report import (
    Available,
    Deposed,
    Ended,
    NotStarted,
    Report,
    Scheduled,
    Started,
    Stepped,
    Unavailable,
)
from aiops.layers.l2_jobs.term import Term
from aiops.plugins.slurm import course
from aiops.plugins.slurm import engine as module
from aiops.plugins.slurm.engine import SlurmEngine
from aiops.plugins.slurm.enlisted import Enlisted
from aiops.plugins.slurm.groundwork import Groundwork
from aiops.plugins.slurm.queue import SlurmJob

ANN = Account("ann", 2001, 2001)
NODES = ("n1", "n2")
KEY = Key("llama-1", 3)
SECONDS = 10.0
TERM = Term("a1", 3)


def job(**changes: Any) -> Job:
    at = datetime(2026, 11, 28, tzinfo=UTC)
    made = Job("llama-1", "llama", ANN, "batch", ("run", "it's"), "command", Span(2, 2), Devices(2), 2, "/shared", at)
    return replace(made, **changes)


def attempt(*nodes: str, devices: tuple[int, ...] = (0, 1), share: float = 1.0) -> Attempt:
    slots = tuple(Slot(node, devices, share) for node in nodes or NODES)
    return Attempt(KEY, "slurm", Allocation(slots), 20000, secret="5ec4e7")


class Desk:
    """An engine on a cluster in memory, and what it has told."""

    def __init__(self) -> None:
        self.queue = FakeQueue(*NODES, "n3")
        self.lines = FakeLines()
        workers = [
            Node(name, roles=frozenset({"workers"}), connection=Connection(address=f"10.0.0.{number}"))
            for number, name in enumerate((*NODES, "n3"), 1)
        ]
        other = Node("o1", roles=frozenset({"workers"}), aiops={"aiops_engine": "ssh"})
        head = Node("head", roles=frozenset({"head"}))
        self.inventory = Inventory(Path("i.yml"), "lab-a", (head, *workers, other), {})
        self.engines: list[SlurmEngine] = []
        self.told: list[Report] = []
        self.engine = self.another()

    def another(self, term: Term | None = TERM) -> SlurmEngine:
        """The engine of a controller that knows nothing yet."""
        context = EngineContext(self.inventory, Fleet(self.queue.transport), SystemClock(), self.lines, term=term)
        (found,) = [
            one for one in Plugins().hooks("engine", EngineHooks).engine(context=context) if one.name == "slurm"
        ]
        assert isinstance(found, SlurmEngine)
        self.engines.append(found)
        return found

    def until(self, condition: Callable[[], Any], engine: SlurmEngine | None = None) -> Any:
        deadline = time.monotonic() + SECONDS
        while True:
            self.told += (engine or self.engine).reports()
            if found := condition():
                return found
            assert time.monotonic() < deadline, self.told
            time.sleep(0.005)

    def of(self, *kinds: type) -> list[Any]:
        return [one for one in self.told if isinstance(one, kinds)]

    def submitted(self, **changes: Any) -> None:
        self.engine.start(job(**changes), attempt())
        self.until(lambda: self.of(Scheduled))

    def run(self, **changes: Any) -> None:
        self.submitted(**changes)
        self.queue.run(KEY)
        self.until(lambda: self.of(Scheduled)[-1].state == "RUNNING")


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(module, "PAUSE", 0.02)
    monkeypatch.setattr("aiops.plugins.slurm.course.GRACE", 0.05)
    monkeypatch.setattr("aiops.plugins.slurm.course.AGAIN", 0.05)
    monkeypatch.setattr("aiops.plugins.slurm.course.HOLD", 0.3)
    made = Desk()
    yield made
    for engine in made.engines:
        engine.close()


def ends(desk: Desk) -> dict[str, str]:
    return {one.node: getattr(one, "end", "not started") for one in desk.of(Ended, NotStarted)}


def test_an_attempt_becomes_one_job_that_its_launchers_tell_of(desk: Desk) -> None:
    desk.run()
    found = desk.queue.job(KEY)
    assert (found.uid, found.nodes, found.comment) == (2001, NODES, "aiops:lab-a:llama-1.3")
    assert "5ec4e7" not in found.script + " ".join(found.words)
    assert "5ec4e7" in desk.queue.place("n1", KEY).files["spec.json"]
    assert sorted(desk.lines.calls[:2]) == [("follow", KEY, "n1", 2001), ("follow", KEY, "n2", 2001)]
    desk.lines.waiting = [*(Started(KEY, node, 1.0, "b") for node in NODES), Stepped(KEY, "n1", 2.0, 0, 7)]
    desk.until(lambda: desk.of(Stepped))
    desk.lines.waiting = [Ended(KEY, node, 3.0, "done", 0) for node in NODES]
    desk.queue.finish(KEY, "COMPLETED")
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "done"))
    desk.engine.release(KEY)
    assert ("release", KEY, "n2") in desk.lines.calls


def test_started_twice_it_is_submitted_once(desk: Desk) -> None:
    desk.run()
    desk.engine.start(job(), attempt())
    again = desk.another()
    again.start(job(), attempt())
    desk.until(lambda: [one for one in desk.of(Scheduled) if one.handle == "41"][1:], again)
    assert len(desk.queue.of(KEY)) == 1


def test_a_lost_answer_of_sbatch_submits_nothing_twice(desk: Desk) -> None:
    desk.queue.lost_answers = 1
    desk.submitted()
    assert desk.of(Scheduled)[0].handle == "41"
    assert len(desk.queue.of(KEY)) == 1
    desk.until(lambda: [type(one) for one in desk.of(Unavailable, Available)] == [Unavailable, Available])


def test_another_users_job_with_that_comment_is_not_taken_for_it(desk: Desk) -> None:
    forged = replace(job(), owner=Account("eve", 2009, 2009))
    eves = desk.another()
    eves.start(forged, attempt())
    desk.until(lambda: desk.queue.of(KEY), eves)
    eves.close()
    desk.told.clear()
    desk.submitted()
    assert sorted(one.uid for one in desk.queue.of(KEY)) == [2001, 2009]


def test_what_slurm_has_forgotten_is_not_run_again(desk: Desk) -> None:
    """The controller was away for longer than MinJobAge, right after the job was submitted."""
    desk.run()
    desk.queue.finish(KEY, "COMPLETED")
    desk.queue.jobs.clear()
    again = desk.another()
    again.start(job(), attempt())
    desk.until(lambda: desk.of(Scheduled)[-1].state == "FORGOTTEN", again)
    assert desk.queue.of(KEY) == []
    assert desk.of(Scheduled)[-1].handle == "41"  # by the record of its beginning
    assert desk.of(NotStarted) == []  # launchers were there: their line tells how it ended


def test_while_slurmctld_is_away_nothing_is_decided(desk: Desk) -> None:
    desk.run()
    desk.lines.waiting = [Started(KEY, node, 1.0, "b") for node in NODES]
    desk.queue.silent = True
    desk.until(lambda: desk.of(Unavailable))
    desk.engine.kill(KEY, NODES)
    assert desk.lines.calls[-2:] == [("kill", KEY, "n1"), ("kill", KEY, "n2")]
    desk.queue.silent = False
    desk.until(lambda: desk.of(Available))
    desk.until(lambda: desk.queue.job(KEY).state == "CANCELLED")
    assert len(desk.of(Unavailable)) == len(desk.of(Available)) == 1


def test_a_start_waits_for_slurmctld_and_is_given_up_when_it_is_not_wanted_any_more(desk: Desk) -> None:
    desk.queue.silent = True
    desk.engine.start(job(), attempt())
    desk.until(lambda: desk.of(Unavailable))
    desk.engine.kill(KEY, NODES)
    desk.queue.silent = False
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "stopped"))
    assert desk.queue.of(KEY) == []


def test_a_group_that_lives_on_beside_a_dead_slurmd_has_not_ended(desk: Desk) -> None:
    desk.run()
    desk.lines.waiting = [Started(KEY, node, 1.0, "b") for node in NODES]
    desk.until(lambda: len(desk.of(Started)) == 2)
    desk.queue.finish(KEY, "NODE_FAIL", None)
    desk.until(lambda: desk.of(Scheduled)[-1].state == "NODE_FAIL")
    desk.lines.waiting = [Ended(KEY, "n1", 2.0, "stopped")]
    desk.until(lambda: desk.of(Ended))
    asked = len(desk.queue.asked)
    desk.until(lambda: len(desk.queue.asked) > asked + 5)
    assert [(one.node, one.end, "NODE_FAIL" in one.reason) for one in desk.of(Ended)] == [("n1", "stopped", True)]
    desk.engine.kill(KEY, NODES)
    desk.lines.waiting = [Ended(KEY, "n2", 3.0, "lost")]
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "stopped"))


@pytest.mark.parametrize(
    ("state", "end", "expected"),
    [
        ("TIMEOUT", "stopped", "time_limit"),
        ("TIMEOUT", "lost", "time_limit"),
        ("PREEMPTED", "lost", "stopped"),
        ("CANCELLED", "stopped", "stopped"),
        ("OUT_OF_MEMORY", "lost", "lost"),
        ("COMPLETED", "lost", "lost"),
    ],
)
def test_an_end_that_nobody_asked_for_is_told_with_slurms_word(desk: Desk, state: str, end: Any, expected: str) -> None:
    desk.run()
    desk.lines.waiting = [Started(KEY, node, 1.0, "b") for node in NODES]
    desk.until(lambda: len(desk.of(Started)) == 2)
    desk.lines.waiting = [Ended(KEY, node, time.time(), end) for node in NODES]
    desk.until(lambda: not desk.lines.waiting)
    assert desk.of(Ended) == []
    desk.queue.finish(KEY, state)
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, expected))
    assert {state in one.reason for one in desk.of(Ended)} == {state != "COMPLETED"}


def test_an_end_that_slurm_has_no_word_for_is_told_all_the_same(desk: Desk) -> None:
    desk.run()
    desk.lines.waiting = [Started(KEY, "n1", 1.0, "b"), Ended(KEY, "n1", time.time(), "lost")]
    assert desk.until(lambda: desk.of(Ended))[0].end == "lost"


def test_ended_on_one_node_it_runs_on_elsewhere(desk: Desk) -> None:
    desk.run()
    desk.lines.waiting = [Started(KEY, node, 1.0, "b") for node in NODES]
    desk.until(lambda: len(desk.of(Started)) == 2)
    desk.engine.kill(KEY, NODES[:1])
    desk.lines.waiting = [Ended(KEY, "n1", time.time(), "lost")]
    desk.until(lambda: ends(desk) == {"n1": "stopped"})
    asked = len(desk.queue.asked)
    desk.until(lambda: len(desk.queue.asked) > asked + 5)
    assert desk.queue.job(KEY).state == "RUNNING"
    desk.engine.kill(KEY, NODES[1:])
    desk.until(lambda: desk.queue.job(KEY).state == "CANCELLED")
    assert desk.lines.calls[-2:] == [("kill", KEY, "n1"), ("kill", KEY, "n2")]


def test_what_is_not_known_can_be_ended(desk: Desk) -> None:
    desk.engine.kill(KEY, NODES[:1])
    assert desk.lines.calls == [("kill", KEY, "n1")]
    desk.lines.waiting = [Ended(KEY, "n1", 1.0, "stopped")]
    desk.until(lambda: ends(desk) == {"n1": "stopped"})


def test_a_job_that_waits_is_cancelled_at_once_when_it_is_stopped(desk: Desk) -> None:
    desk.submitted()
    desk.engine.stop(KEY, seconds=600)
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "stopped"))
    assert desk.queue.job(KEY).state == "CANCELLED"


def test_one_that_runs_is_asked_first_and_ended_by_slurm_when_it_does_not_leave(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SPARE", 0.1)
    desk.run()
    desk.lines.waiting = [Started(KEY, node, 1.0, "b") for node in NODES]
    desk.until(lambda: len(desk.of(Started)) == 2)
    desk.engine.stop(KEY, seconds=0.2)
    assert desk.lines.calls[-2:] == [("stop", KEY, "n1", 0.2), ("stop", KEY, "n2", 0.2)]
    assert desk.queue.job(KEY).signals == []
    desk.until(lambda: desk.queue.job(KEY).signals[:2] == ["USR2", "CANCEL"])


@pytest.mark.parametrize(("number", "most"), [(1, 0), (3, course.NUDGES)])
def test_slurm_is_asked_a_few_times_whether_a_restart_can_start(number: int, most: int) -> None:
    one = Enlisted(job(), replace(attempt(), key=Key("llama-1", number)), number="41")
    asked: list[int] = []
    for second in range(120):
        turn = course.seen(one, float(second), SlurmJob("41", "PENDING", ANN.uid, "Resources"))
        one, asked = turn.enlisted, [*asked, *(second for errand in turn.errands if errand == "nudge")]
    assert len(asked) == most
    assert asked[:2] == [3, 6][: 2 if most else 0]
    assert "nudge" not in course.seen(one, 200.0, SlurmJob("41", "RUNNING", ANN.uid)).errands


def test_one_that_is_ended_ends_by_its_script_and_slurm_need_not_do_it(desk: Desk) -> None:
    desk.queue.deaf = False
    desk.run()
    desk.lines.waiting = [Started(KEY, node, 1.0, "b") for node in NODES]
    desk.until(lambda: len(desk.of(Started)) == 2)
    desk.engine.kill(KEY, NODES)
    desk.lines.waiting = [Ended(KEY, node, 1.0, "stopped") for node in NODES]
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "stopped"))
    desk.until(lambda: desk.queue.job(KEY).state == "FAILED")
    assert desk.queue.job(KEY).signals == ["USR2"]


def test_a_job_that_slurm_ends_before_it_began_is_told_with_the_reason(desk: Desk) -> None:
    desk.submitted()
    desk.queue.place("n1", KEY).said = "srun: error: x\npython3: command not found\n"
    desk.queue.finish(KEY, "FAILED", None)
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "not started"))
    assert {one.causer for one in desk.of(NotStarted)} == {"scheduler"}
    assert desk.of(NotStarted)[0].reason == "Slurm's job 41 is FAILED; python3: command not found"


def test_a_job_that_slurm_will_never_start_is_its_owners_mistake(desk: Desk) -> None:
    desk.submitted()
    desk.queue.job(KEY).reason = "PartitionTimeLimit"
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "not started"))
    assert {(one.causer, one.reason) for one in desk.of(NotStarted)} == {
        ("user", "Slurm will never start it: PartitionTimeLimit")
    }
    assert desk.queue.job(KEY).state == "CANCELLED"


@pytest.mark.parametrize(
    ("refusal", "causer"),
    [
        (b"Invalid account or account/partition combination specified", "user"),
        (b"Requested node configuration is not available", "user"),
        (b"I/O error writing script/environment to file", "scheduler"),
    ],
)
def test_what_slurm_refuses_is_told(desk: Desk, refusal: bytes, causer: str) -> None:
    desk.queue.refusal = refusal
    desk.engine.start(job(), attempt())
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "not started"))
    assert {one.causer for one in desk.of(NotStarted)} == {causer}
    assert refusal.decode() in desk.of(NotStarted)[0].reason


def test_a_node_that_cannot_take_part_keeps_all_from_beginning_and_is_the_only_one_blamed(desk: Desk) -> None:
    desk.queue.dead.add("n2")
    desk.engine.start(job(), attempt())
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "not started"))
    assert {one.node: one.causer for one in desk.of(NotStarted)} == {"n1": "scheduler", "n2": "node"}
    assert desk.queue.of(KEY) == []


def test_an_account_that_differs_is_the_users_trouble(desk: Desk) -> None:
    desk.queue.refusing["n1"] = "there is no user ann here"
    desk.engine.start(job(), attempt())
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "not started"))
    assert {one.node: one.causer for one in desk.of(NotStarted)} == {"n1": "user", "n2": "scheduler"}


def test_a_node_of_the_other_engine_and_parts_of_devices_are_refused(desk: Desk) -> None:
    with pytest.raises(InputError, match="o1 is not Slurm's"):
        desk.engine.start(job(), attempt("n1", "o1"))
    with pytest.raises(InputError, match="whole devices"):
        desk.engine.start(job(), attempt("n1", devices=(0,), share=0.5))
    desk.engine.start(job(), attempt())
    desk.until(lambda: desk.queue.of(KEY))


def test_adopted_attempts_are_found_by_their_lineage_and_followed(desk: Desk) -> None:
    desk.run()
    again = desk.another()
    desk.lines.calls.clear()
    again.adopt({KEY: (job(), attempt())})
    desk.told.clear()
    desk.until(lambda: desk.of(Scheduled), again)
    assert [(one.state, one.handle) for one in desk.of(Scheduled)] == [("RUNNING", "41")]
    assert sorted(desk.lines.calls) == [("follow", KEY, "n1", 2001), ("follow", KEY, "n2", 2001)]
    assert len(desk.queue.of(KEY)) == 1


def test_a_comment_with_line_breaks_keeps_no_attempt_from_being_found(desk: Desk) -> None:
    desk.run()
    for number, words in enumerate(("a\nb", "41|RUNNING\n|\n", "\n\n77|x|y|z")):
        other = replace(desk.queue.job(KEY), number=900 + number, comment=words)
        desk.queue.jobs[other.number] = other
    again = desk.another()
    again.adopt({KEY: (job(), attempt())})
    desk.told.clear()
    desk.until(lambda: desk.of(Scheduled), again)
    assert desk.of(Scheduled)[0].handle == "41"
    assert desk.of(Unavailable) == []


def test_an_adopted_attempt_that_was_never_submitted_has_not_begun(desk: Desk) -> None:
    desk.engine.adopt({KEY: (job(), attempt())})
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "not started"))
    assert desk.of(NotStarted)[0].reason == "Slurm was never given it"


# -- `launch: srun`


def test_the_users_own_command_is_told_by_slurm_and_by_the_record_of_its_end(desk: Desk) -> None:
    desk.run(launch="srun")
    desk.until(lambda: len(desk.of(Started)) == 2)
    assert {one.boot_id for one in desk.of(Started)} == {f"{BOOT}n1", f"{BOOT}n2"}
    desk.queue.finish(KEY, "FAILED", 3)
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "failed"))
    assert {one.status for one in desk.of(Ended)} == {3}
    assert sorted(desk.queue.swept) == [("n1", "41"), ("n2", "41")]


def test_a_record_of_the_end_that_its_user_has_made_up_gives_what_can_be_kept(desk: Desk) -> None:
    desk.run(launch="srun")
    desk.until(lambda: len(desk.of(Started)) == 2)
    desk.queue.finish(KEY, "FAILED")
    odd = {"epoch": 3, "status": 10**30, "reason": "\ud800\x00" + "x" * 9000}
    desk.queue.place("n1", KEY).end = odd
    desk.queue.place("n1", KEY).begun = {"epoch": 3, "job": "9" * 40}
    desk.until(lambda: len(desk.of(NotStarted, Ended)) == 2)
    for one in desk.of(NotStarted, Ended):
        assert getattr(one, "status", None) is None
        assert one.reason.startswith("\ufffd\ufffdxxx")
        assert len(one.reason) == 2000


@pytest.mark.parametrize("where", ["seen", "looked", "told", "place"])
def test_a_defect_that_one_attempt_meets_is_its_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    owner, name = (Groundwork, "place") if where == "place" else (course, where)
    real, other = getattr(owner, name), Key("llama-1", 4)

    def odd(*words: Any, **more: Any) -> Any:
        mine = [getattr(one, "key", one) for one in words]
        if KEY in mine:
            raise KeyError(name)
        return real(*words, **more)

    fallen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", fallen.append)
    monkeypatch.setattr(owner, name, odd)
    desk.engine.start(job(), attempt())
    desk.engine.start(job(), replace(attempt(), key=other))
    desk.until(lambda: desk.queue.of(other))
    desk.queue.run(other)
    desk.lines.waiting = [Started(one, "n1", 1.0, "b") for one in (KEY, other)]
    desk.until(lambda: [one for one in desk.of(Started) if one.key == other])
    desk.until(lambda: [one for one in desk.of(Scheduled) if one.key == other][-1].state == "RUNNING")
    assert fallen == []
    assert "KeyError" in capsys.readouterr().err


def test_what_may_run_on_where_nobody_answers_has_not_ended(desk: Desk) -> None:
    desk.run(launch="srun")
    desk.until(lambda: len(desk.of(Started)) == 2)
    desk.queue.dead.add("n2")
    desk.queue.finish(KEY, "NODE_FAIL", None)
    desk.until(lambda: desk.of(Ended))
    asked = len(desk.queue.asked)
    desk.until(lambda: len(desk.queue.asked) > asked + 10)
    assert ends(desk) == {"n1": "lost"}
    desk.queue.dead.clear()
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "lost"))


def test_the_end_of_one_that_slurm_has_forgotten_is_known(desk: Desk) -> None:
    desk.run(launch="srun")
    desk.queue.finish(KEY, "COMPLETED", 0)
    desk.queue.jobs.clear()
    again = desk.another()
    desk.told.clear()
    again.adopt({KEY: (job(launch="srun"), attempt())})
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "done"), again)
    assert desk.queue.of(KEY) == []


def test_it_is_asked_to_leave_by_a_signal(desk: Desk) -> None:
    desk.run(launch="srun")
    desk.engine.stop(KEY, seconds=60)
    desk.until(lambda: desk.queue.job(KEY).signals == ["TERM"])
    desk.queue.finish(KEY, "COMPLETED", 0)
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "stopped"))


# -- races


def test_ended_while_it_is_being_submitted_it_does_not_stay(desk: Desk) -> None:
    taken, go = threading.Event(), threading.Event()
    real = desk.queue._sbatch

    def slow(command: Any) -> Any:
        taken.set()
        assert go.wait(SECONDS)
        return real(command)

    desk.queue._sbatch = slow  # type: ignore[method-assign]
    desk.engine.start(job(), attempt())
    assert taken.wait(SECONDS)
    desk.engine.kill(KEY, NODES)
    go.set()
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "stopped"))
    assert desk.queue.job(KEY).state == "CANCELLED"


def test_released_while_it_is_being_submitted_it_is_cancelled(desk: Desk) -> None:
    taken, go = threading.Event(), threading.Event()
    real = desk.queue._sbatch

    def slow(command: Any) -> Any:
        taken.set()
        assert go.wait(SECONDS)
        return real(command)

    desk.queue._sbatch = slow  # type: ignore[method-assign]
    desk.engine.start(job(), attempt())
    assert taken.wait(SECONDS)
    desk.engine.release(KEY)
    go.set()
    desk.until(lambda: desk.queue.of(KEY) and desk.queue.job(KEY).state == "CANCELLED")


def test_all_attempts_are_asked_about_together(desk: Desk) -> None:
    for number in range(1, 6):
        key = Key("llama-1", number)
        desk.engine.start(job(), replace(attempt(), key=key))
    desk.until(lambda: len({one.handle for one in desk.of(Scheduled)}) == 5)
    before = len(desk.queue.asked)
    desk.until(lambda: len(desk.queue.asked) >= before + 4)
    questions = [argv for argv in desk.queue.asked[before:] if argv[0] == "squeue"]
    lists = [word.partition("=")[2].split(",") for argv in questions for word in argv if word.startswith("--jobs")]
    assert [sorted(numbers) for numbers in lists] == [["41", "42", "43", "44", "45"]] * len(questions)


# -- a head that was lost and comes back


def test_a_deposed_head_submits_nothing_and_is_told_who_says_so(desk: Desk) -> None:
    desk.queue.terms["n2"] = 9
    desk.engine.start(job(), attempt())
    desk.until(lambda: desk.of(Deposed))
    assert [(one.node, one.term) for one in desk.of(Deposed)] == [("n2", 9)]
    asked = len(desk.queue.asked)
    desk.until(lambda: len(desk.queue.asked) > asked + 5)
    assert desk.queue.of(KEY) == []
    assert desk.of(Scheduled, NotStarted, Unavailable) == []
    assert len(desk.of(Deposed)) == 1
    assert ("n2", str(KEY)) not in desk.queue.places


@pytest.mark.parametrize("launch", ["command", "srun"])
@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_deposed_head_ends_and_signals_nothing(desk: Desk, launch: str, how: str) -> None:
    """The later one has taken its attempt over: it is the same job of Slurm's."""
    desk.run(launch=launch)
    found = desk.queue.job(KEY)
    desk.queue.terms = dict.fromkeys(desk.queue.names, 9)
    if how == "kill":
        desk.engine.kill(KEY, NODES)
    else:
        desk.engine.stop(KEY, seconds=0.0)
        if launch == "command":  # it is asked over the lines, which the agent fences; Slurm's turn comes later
            desk.engine.kill(KEY, NODES)
    desk.until(lambda: desk.of(Deposed))
    asked = len(desk.queue.asked)
    desk.until(lambda: len(desk.queue.asked) > asked + 5)
    assert (found.state, found.signals) == ("RUNNING", [])


def test_a_deposed_head_sweeps_no_node(desk: Desk) -> None:
    desk.run(launch="srun")
    desk.until(lambda: len(desk.of(Started)) == 2)
    desk.queue.terms = dict.fromkeys(desk.queue.names, 9)
    desk.queue.finish(KEY, "FAILED", 3)
    desk.until(lambda: desk.of(Deposed))
    assert desk.queue.swept == []
    assert ends(desk) == {}


def test_the_latest_head_ends_a_job_though_a_node_of_it_does_not_answer(desk: Desk) -> None:
    desk.run()
    desk.queue.dead.add("n1")
    desk.engine.kill(KEY, NODES)
    desk.until(lambda: desk.queue.job(KEY).state == "CANCELLED")
    desk.queue.dead.clear()
    again = Key("llama-1", 4)
    desk.engine.start(job(), replace(attempt(), key=again))
    desk.until(lambda: desk.queue.of(again))
    desk.queue.dead.update(NODES)  # nobody can tell: it may be ended
    desk.until(lambda: [one for one in desk.of(Scheduled) if one.key == again])
    desk.engine.kill(again, NODES)
    desk.until(lambda: desk.queue.job(again).state == "CANCELLED")
    assert desk.of(Deposed) == []


@pytest.mark.parametrize("launch", ["command", "srun"])
def test_a_job_whose_script_has_seen_a_later_controller_was_superseded(desk: Desk, launch: str) -> None:
    desk.submitted(launch=launch)
    assert "term=('a1', 3)" in desk.queue.job(KEY).script
    place = desk.queue.place("n1", KEY)
    place.begun = {"epoch": 3, "job": "41"}
    place.end = {"epoch": 3, "status": None, "end": "superseded", "reason": "a later controller\x00"}
    desk.queue.job(KEY).state = "FAILED"
    desk.until(lambda: ends(desk) == dict.fromkeys(NODES, "superseded"))
    assert {one.reason for one in desk.of(Ended)} == {"a later controller\ufffd"}
