"""What is kept: documents, the ledger, the lock of the one writer, logs, backups."""

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.l2_jobs.controller.rig import FakeEngine, FakeHands, Rig, job

from aiops.layers.core.errors import ConflictError, FailedError
from aiops.layers.core.store import Store, check_file
from aiops.layers.l2_jobs.action import (
    Action,
    Decided,
    Decision,
    Drain,
    Examine,
    Kill,
    Launch,
    Notify,
    SetAside,
    Stop,
    TryPairs,
    Verify,
)
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.controller.backup import Backup, keep, newest_first, unpacked
from aiops.layers.l2_jobs.controller.controller import Controller
from aiops.layers.l2_jobs.controller.ledger import Ledger
from aiops.layers.l2_jobs.controller.logs import Logs, scarce
from aiops.layers.l2_jobs.controller.progress import Progress
from aiops.layers.l2_jobs.controller.rows import Entry
from aiops.layers.l2_jobs.controller.writer import FILE, sole_writer
from aiops.layers.l2_jobs.document import action_document, action_of, document, value_of
from aiops.layers.l2_jobs.fault.fault import Evidence, Fault
from aiops.layers.l2_jobs.job import CheckpointPlan, Devices, Job, Limits, Restarts, Service
from aiops.layers.l2_jobs.node import Place
from aiops.layers.l2_jobs.pair_test import Pair
from aiops.layers.l2_jobs.record import JobRecord, Mishap
from aiops.layers.l2_jobs.remote.steps import Steps
from aiops.layers.l2_jobs.report import Stepped
from aiops.layers.l2_jobs.request import Submit
from aiops.layers.l2_jobs.strand import Strand
from aiops.layers.l2_jobs.term import Term
from aiops.layers.l2_jobs.world import World

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WORDS = st.text("aé/. \n\"'\u2028{}$", max_size=8)
ATTEMPTS = st.builds(
    Attempt,
    st.builds(Key, st.just("sleep-1"), st.integers(1, 99)),
    st.sampled_from(["ssh", "slurm"]),
    st.builds(
        Allocation,
        st.lists(st.builds(Slot, WORDS, st.lists(st.integers(0, 7)).map(tuple), st.floats(0.1, 1)), min_size=1).map(
            tuple
        ),
    ),
    st.integers(1, 65535),
    st.none() | WORDS,
    st.none() | st.integers(0, 10**12),
    WORDS,
)
JOBS = st.builds(
    replace,
    st.just(job(1)),
    command=st.lists(WORDS).map(tuple),
    environment=st.dictionaries(WORDS, WORDS, max_size=3),
    limits=st.builds(
        Limits, st.none() | st.floats(0, 1e9), st.sampled_from([None, math.inf, 60.0]), st.none() | st.integers(0)
    ),
    devices=st.builds(Devices, st.integers(0, 8), st.none() | st.floats(0.1, 0.9), st.none() | WORDS),
    checkpoint=st.none() | st.builds(CheckpointPlan, WORDS),
    restarts=st.builds(Restarts, st.dictionaries(WORDS, st.integers(0, 99), max_size=3)),
    service=st.none()
    | st.builds(Service, st.lists(WORDS).map(tuple), st.lists(WORDS).map(tuple) | st.just("http:web/ready")),
    submitted=st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001
)
FAULT = Fault("hang", "framework", True, False, ("n1",), (Evidence("log", "x", "n1", 0, 1, 2.0),), 3.0)


@FEW
@given(JOBS)
def test_a_job_is_read_as_it_was_written(one: Job) -> None:
    import json

    assert value_of(Job, json.loads(json.dumps(document(one)))) == one


@FEW
@given(JOBS, ATTEMPTS, st.sampled_from(["queued", "running", "held"]), st.dictionaries(WORDS, WORDS, max_size=3))
def test_a_record_is_read_as_it_was_written(one: Job, attempt: Attempt, state: str, avoid: dict[str, str]) -> None:
    import json

    record = JobRecord(
        one,
        state,  # type: ignore[arg-type]
        1.5,
        attempt=attempt,
        avoid=avoid,
        fault=FAULT,
        past=(Mishap(1, "hang", "framework", ("n1",), stepped=True, charged=False, step_seconds=0.5),),
    )
    assert value_of(JobRecord, json.loads(json.dumps(document(record)))) == record


@pytest.mark.parametrize(
    "action",
    [
        Launch(Attempt(Key("a-1", 1), "ssh", Allocation((Slot("n"),)), 2, secret="s")),
        Stop(Key("a-1", 1), 3.0),
        Kill(Key("a-1", 1), ("n",)),
        Drain("n", "r"),
        SetAside("a-1", "/p", "r"),
        Notify("a-1", "m"),
        Verify("a-1"),
        TryPairs(Key("a-1", 2), 1, (Pair("n", "m"),), 20000),
    ],
)
def test_an_action_is_read_as_it_was_written(action: Action) -> None:
    assert action_of(action_document(action)) == action


@pytest.mark.parametrize("rubbish", [{}, {"action": "Explode"}, {"action": "Stop"}, {"action": "Stop", "key": 3}])
def test_what_is_no_action_is_refused(rubbish: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"action|lacks|no Stop|no "):
        action_of(rubbish)


def test_what_was_decided_is_never_rewritten(tmp_path: Path) -> None:
    store = Store.open(tmp_path, {})
    ledger = Ledger(store)
    ledger.commit(Decided((), (Decision("a-1", 1.0, "job_held", "m"),)), Entry(1.0), {})
    with sqlite3.connect(tmp_path / "aiops.db") as raw:
        for statement in ("UPDATE job_decision SET message = 'x'", "DELETE FROM job_decision"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(statement)


def test_a_name_is_never_given_the_same_number_twice(tmp_path: Path) -> None:
    ledgers = [Ledger(Store.open(tmp_path, {})) for _ in range(3)]
    assert sorted(one.number_of("a") for one in ledgers * 3) == list(range(1, 10))


def test_the_second_controller_is_refused_and_the_first_may_be_killed(tmp_path: Path) -> None:
    source = (
        "import sys, time, pathlib\n"
        "from aiops.layers.l2_jobs.controller.writer import sole_writer\n"
        "with sole_writer(pathlib.Path(sys.argv[1]), cluster='c'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", source, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConflictError, match=f"process {other.pid}") as caught, sole_writer(tmp_path):
            pass
        assert caught.value.code == "controller.held"
        os.kill(other.pid, signal.SIGKILL)
        other.wait(10)
    with sole_writer(tmp_path, cluster="d"):
        assert json.loads((tmp_path / FILE).read_text()) == {"pid": os.getpid(), "cluster": "d"}


def test_many_logs_take_few_files(tmp_path: Path) -> None:
    logs, before = Logs(tmp_path), len(list(Path("/proc/self/fd").iterdir()))
    for number in range(400):
        logs.write(Key("a-1", 1), f"n{number}", 0, b"x")
        logs.write(Key("a-1", 1), "n0", number, b"y")
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 300
    assert logs.read(Key("a-1", 1), "n0", 0) == (0, b"y" * 400)
    assert len(logs.nodes(Key("a-1", 1))) == 400
    logs.close()
    with pytest.raises(ValueError, match="no node"):
        logs.write(Key("a-1", 1), "../x", 0, b"")


BLOCK = 4096


def test_of_a_log_without_end_its_beginning_and_its_end_are_kept(tmp_path: Path) -> None:
    most = 64 * BLOCK
    logs = Logs(tmp_path, most=most)
    key, line = Key("a-1", 1), b"%07d\n"
    whole = b"".join(line % number for number in range(200 * BLOCK // 8))
    for offset in range(0, len(whole), 1000):
        logs.write(key, "n", offset, whole[offset : offset + 1000])
    path = logs.path(key, "n")
    assert path.stat().st_blocks * 512 <= most + most // 16 + 2 * BLOCK
    assert logs.size(key, "n") == len(whole)
    pieces, offset = [], 0
    while True:
        begin, data = logs.read(key, "n", offset, 10_000)
        if not data:
            break
        assert whole[begin : begin + len(data)] == data
        pieces.append((begin, len(data)))
        offset = begin + len(data)
    kept = sum(length for _, length in pieces)
    assert most - BLOCK <= kept <= most + most // 16 + 2 * BLOCK
    lines = list(logs.lines(key, "n"))
    assert (lines[0], lines[-1]) == ("0000000", f"{len(whole) // 8 - 1:07}")
    assert sum(len(one) + 1 for one in lines) == kept
    assert list(logs.lines(key, "n", 80)) == [f"{len(whole) // 8 - number:07}" for number in range(9, 0, -1)]
    logs.close()


def test_on_a_disk_that_is_nearly_full_no_log_is_kept_and_the_store_goes_on(tmp_path: Path) -> None:
    free = 2**40
    logs = Logs(tmp_path, usage=lambda _: (100 * 2**30, 0, free))
    key = Key("a-1", 1)
    logs.write(key, "n", 0, b"one\n")
    free = 2**29
    logs._looked = 0.0
    with pytest.raises(OSError, match="only 512 MiB of 100 GiB are free"):
        logs.write(key, "n", 4, b"two\n")
    assert logs.read(key, "n", 0) == (0, b"one\n")
    Store.open(tmp_path, {}).close()
    free = 2**40
    logs._looked = 0.0
    logs.write(key, "n", 8, b"three\n")
    assert logs.trouble == ""
    assert list(logs.lines(key, "n")) == ["one", "three"]
    logs.close()


@pytest.mark.parametrize(("total", "free", "expected"), [(100, 4, True), (100, 6, False), (2**50, 2**30, False)])
def test_what_is_scarce(total: int, free: int, expected: bool) -> None:
    assert scarce(total, free) is expected


def test_old_logs_of_jobs_that_are_over_go(tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    for name in ("old-1", "alive-1", "young-1"):
        logs.write(Key(name, 1), "n", 0, b"x")
    for path in (tmp_path / "jobs").rglob("*"):
        if "young" not in str(path):
            os.utime(path, (1000, 1000))
    for name in ("old-1", "alive-1"):
        os.utime(tmp_path / "jobs" / name, (1000, 1000))
    assert logs.prune({"alive-1"}, 92, now=lambda: 1000 + 91 * 86400) == 0
    assert logs.prune({"alive-1"}, 90, now=lambda: 1000 + 91 * 86400) == 1
    assert {path.name for path in (tmp_path / "jobs").iterdir()} == {"alive-1", "young-1"}
    assert logs.prune({"alive-1"}, 90, now=lambda: 1000 + 91 * 86400) == 0
    logs.close()


def test_what_was_asked_and_done_is_let_go_and_what_was_decided_is_not(tmp_path: Path) -> None:
    ledger = Ledger(Store.open(tmp_path, {}))
    record = JobRecord(job(1), "queued", 1.0)
    numbers = [ledger.append(Submit(job(number)), record.job.owner, 1.0) for number in range(1, 13)]
    told = (Decision("sleep-1", 1.0, "job_held", "m"),)
    actions = ledger.commit(
        Decided((record,), told, tuple(Notify("sleep-1", str(number)) for number in range(12))), Entry(1.0), {}
    )
    ledger.commit(Decided(), Entry(2.0, tuple(numbers[:10]), done=actions[:10]), {"sleep-1": record})
    ledger.commit(Decided(), Entry(9.0, (numbers[10],), done=(actions[10],)), {"sleep-1": record})
    assert ledger.prune(5.0, most=3) == 20
    assert ledger.prune(5.0) == 0
    assert [one.number for one in ledger.asked()] == [numbers[11]]
    assert [number for number, _ in ledger.open_actions()] == [actions[11]]
    assert all(ledger.heard(number) for number in numbers[:11])
    assert not ledger.heard(numbers[11])
    assert len(ledger.decisions("sleep-1")) == 1
    assert ledger.append(Submit(job(99)), record.job.owner, 9.0) > numbers[11]


def test_a_backup_is_the_store_and_damage_is_found(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "a", {})
    ledger = Ledger(store)
    record = JobRecord(job(1), "queued", 1.0)
    ledger.commit(Decided((record,)), Entry(1.0), {})
    packed = Backup("c", datetime(2026, 11, 28, tzinfo=UTC), store.snapshot()).packed()
    found = unpacked(packed, "x")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "aiops.db").write_bytes(found.database)
    check_file(tmp_path / "b" / "aiops.db")
    assert Ledger(Store.open(tmp_path / "b", {})).alive() == {"sleep-1": record}
    for damaged in (packed[:-20], packed[:50], b"", packed.replace(b'"sha256": "', b'"sha256": "0')):
        with pytest.raises(FailedError, match="no whole backup"):
            unpacked(damaged, "x")
    (tmp_path / "no").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(FailedError, match="no whole database"):
        check_file(tmp_path / "no")


def test_a_store_without_jobs_displaces_no_backup(tmp_path: Path) -> None:
    """A new head runs a controller before anybody has restored what the old one knew."""
    store = Store.open(tmp_path, {})
    fleet: Any = None  # nobody is asked
    with pytest.raises(FailedError, match="knows of no job") as refused:
        keep(store, fleet, [], "c", at=datetime(2026, 11, 28, tzinfo=UTC))
    assert refused.value.code == "backup.empty"
    Ledger(store).commit(Decided((JobRecord(job(1), "cancelled", 1.0),)), Entry(1.0), {})
    with pytest.raises(FailedError, match="no other node"):
        keep(store, fleet, [], "c", at=datetime(2026, 11, 28, tzinfo=UTC))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3), st.floats(0, 100)), max_size=30))
def test_progress_never_goes_back(told: list[tuple[int, int, float]]) -> None:
    progress = Progress()
    highest = -1
    for step, rank, at in told:
        progress = progress.after(Stepped(Key("a-1", 1), "n", at, rank, step, loss=1.0))
        highest = max(highest, step)
        assert progress.step == highest
        assert all(pace >= 0 for pace in progress.paces)


def test_a_node_that_is_being_looked_at_says_so_until_that_is_over(tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(world: World, now: float) -> Decided:
        del now
        stale = tuple(name for name, place in world.places.items() if not place.looking)
        asked.append(stale)
        return Decided(actions=(Examine(stale),)) if stale and len(asked) < 5 else Decided()

    class Slow(FakeHands):
        """Does nothing before it is told to."""

        def take(self, number: int, action: Action, record: JobRecord | None) -> None:
            del action, record
            waiting.append(number)

    waiting: list[int] = []
    rig = Rig(tmp_path, decide=ask)
    rig.engine = FakeEngine(rig.truth)
    hands = Slow(rig.truth)
    controller = Controller(rig.ledger, {"ssh": rig.engine}, ask, hands, lambda: rig.now, dump=lambda *_: None)
    controller.begin({name: Place(name, "ssh") for name in ("n1", "n2")})
    rig.ticks(controller, 3)
    assert asked == [("n1", "n2"), (), ()]
    hands.finish(*waiting)
    rig.ticks(controller, 1)
    assert asked[3] == ("n1", "n2"), "whoever failed is asked again"
    rig.store.close()


def test_tokens_and_time_left_are_of_all_ranks_over_the_last_seconds() -> None:
    progress, strands = Progress(), [strand_of(node) for node in ("n", "m")]
    steps = Steps()
    for step in range(1, 41):
        for rank, strand in enumerate(strands):
            steps.note({"kind": "stepped", "rank": rank, "step": step, "tokens": 4096.0, "total": 100})
            if step % 2 == 0:  # the launcher tells of every other one
                told = strand.heard(0.5 * step, steps.newest[rank])
                assert isinstance(told, Stepped)
                progress = progress.after(told)
    found = progress.document()
    assert (found["step"], found["total"], found["seconds_per_step"], found["seconds_left"]) == (40, 100, 0.5, 30.0)
    assert found["tokens_per_second"] == pytest.approx(2 * 4096 / 0.5, rel=0.05)
    assert Progress().after(Stepped(Key("a-1", 1), "n", 1.0, 0, 1)).document()["tokens_per_second"] is None


def test_tokens_that_were_told_while_nobody_listened_are_counted_once() -> None:
    strand = strand_of("n")
    words = [(1, 10.0), (2, 30.0), (2, 30.0), (9, 100.0)]
    told = [strand.heard(float(n), {"kind": "stepped", "rank": 0, "step": n, "tokens": all_}) for n, all_ in words]
    assert [one.tokens if isinstance(one, Stepped) else one for one in told] == [None, 20.0, None, 70.0]


def strand_of(node: str) -> Strand:
    return Strand(Key("a-1", 1), node, 7, None, lambda _line: None)


def test_the_backup_of_a_lost_head_that_comes_back_is_not_the_newest() -> None:
    def name(day: int, lineage: str, term: int) -> str:
        return Backup("c", datetime(2026, 11, day, tzinfo=UTC), b"", Term(lineage, term)).name

    lost, restored, back = name(1, "a", 1), name(2, "a", 5), name(3, "a", 1)
    assert newest_first([back, lost, restored]) == [restored, back, lost]
    # A store that was begun anew, with no restore, is another one: it counts once it is the last that was backed up.
    assert newest_first([name(4, "b", 1), back, restored]) == [name(4, "b", 1), restored, back]
    assert newest_first([name(2, "b", 1), back, restored])[0] == restored
    assert newest_first(["20261101T000000000000Z.backup", "odd.backup"])[0] == "odd.backup"
