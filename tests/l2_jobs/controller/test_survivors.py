"""A store that was restored from an old backup learns what was begun after it, and nothing is started beside that."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.l2_jobs.controller.rig import NODES, Rig, job
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.command import Command
from aiops.layers.core.errors import ConflictError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l2_jobs.action import Decided, Notify
from aiops.layers.l2_jobs.allocation import Allocation, Slot
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.controller.rows import Entry
from aiops.layers.l2_jobs.controller.survivors import SKIPPED, Found, Survey, survey
from aiops.layers.l2_jobs.controller.survivors import overtaken as learned
from aiops.layers.l2_jobs.job import Devices, EngineName
from aiops.layers.l2_jobs.record import JobRecord
from aiops.layers.l2_jobs.remote import survivors as remote
from aiops.layers.l2_jobs.remote.folders import Base
from aiops.layers.l2_jobs.remote.terms import Terms
from aiops.layers.l2_jobs.report import Deposed
from aiops.layers.l2_jobs.spec import Seat, specs
from aiops.layers.l2_jobs.term import Term

ENGINES: dict[str, EngineName] = {"n1": "ssh", "n2": "ssh", "n3": "ssh"}


def overtaken(specs: Iterable[dict[str, Any]], records: Mapping[str, JobRecord], now: float) -> Found:
    return learned(Survey(tuple(specs), {}), records, ENGINES, now)


def attempt(number: int, *nodes: str) -> Attempt:
    slots = tuple(Slot(node, (0, 3)) for node in nodes)
    return Attempt(Key("sleep-1", number), "ssh", Allocation(slots), 20000 + number, secret=f"s{number}")


def given(one: Attempt) -> list[dict[str, Any]]:
    wanted = replace(job(1), devices=Devices(2))
    return list(specs(wanted, one, {node: Seat(node, "nvidia") for node in one.allocation.nodes}).values())


def known(launched: int) -> JobRecord:
    return JobRecord(job(1), "queued", 1.0, attempt=attempt(launched, "n1", "n2"), launched=launched)


def test_a_later_attempt_is_taken_over_whole() -> None:
    later = attempt(4, "n3", "n1")
    found = overtaken(reversed(given(later)), {"sleep-1": known(2)}, 9.0)
    (record,) = found.records
    assert (record.attempt, record.launched, record.state) == (later, 4, "running")
    assert [one.kind for one in found.decisions] == ["attempt_taken_over"]
    assert found.strangers == {}


def test_one_whose_other_group_has_ended_keeps_its_place() -> None:
    (record,) = overtaken(given(attempt(4, "n3", "n1"))[1:], {"sleep-1": known(2)}, 9.0).records
    assert record.attempt is not None
    assert record.attempt.allocation.nodes == ("n3", "n1")


def test_what_the_store_knows_is_left_as_it_is() -> None:
    for number in (1, 2):
        assert not overtaken(given(attempt(number, "n1", "n2")), {"sleep-1": known(2)}, 9.0).records


def test_a_job_that_nobody_knows_is_told() -> None:
    assert overtaken(given(attempt(1, "n2", "n1")), {}, 9.0).strangers == {"sleep-1.1": ("n1", "n2")}
    assert overtaken([{"key": "nonsense"}, {"node": 3}], {}, 9.0).strangers == {}


def test_nothing_is_started_beside_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.submit([1])
    rig.ticks(rig.begin())
    rig.store.close()
    old = Rig(tmp_path / "old", rig.truth)  # a backup of before the first attempt
    later = replace(attempt(2, *NODES))
    rig.truth.running = {(later.key, node) for node in NODES}
    rig.truth.begun = [(later.key, node) for node in NODES]
    old.ledger.commit(Decided((JobRecord(job(1), "queued", 1.0),)), Entry(1.0), {})
    found = overtaken(given(later), old.ledger.alive(), old.now)
    old.ledger.commit(Decided(found.records, found.decisions), Entry(old.now), old.ledger.alive())
    controller = old.begin()
    old.ticks(controller)
    assert old.ledger.record("sleep-1").state == "running"
    assert [key.number for key, _ in rig.truth.begun] == [2, 2]


def test_only_plain_files_of_running_units_are_read(tmp_path: Path) -> None:
    for key, text in (("a-1.1", '{"key": "a-1.1"}'), ("b-1.1", '{"key": "other"}'), ("c-1.1", "rubbish")):
        (tmp_path / key).mkdir()
        (tmp_path / key / "spec.json").write_text(text)
    (tmp_path / "d-1.1").mkdir()
    (tmp_path / "d-1.1" / "spec.json").symlink_to(tmp_path / "a-1.1" / "spec.json")
    (tmp_path / "e-1.1").mkdir()
    os.mkfifo(tmp_path / "e-1.1" / "spec.json")
    keys = ["a-1.1", "b-1.1", "c-1.1", "d-1.1", "e-1.1", "f-1.1"]
    (tmp_path / "a-1.1" / "spec.json").write_text('{"key": "a-1.1", "v": 1}')
    assert remote.specs(keys, str(tmp_path)) == [{"key": "a-1.1", "v": 1}, *({"key": key} for key in keys[1:])]


SPEC = given(attempt(4, "n1", "n3"))[0]


@pytest.mark.parametrize(
    "forged",
    [
        {"node_rank": "x"},
        {"node_rank": 10**30},
        {"nodes": 10**15},
        {"peers": [{"node": "elsewhere"}]},
        {"peers": [3]},
        {"peers": 3},
        {"environment": [1]},
        {"environment": {"AIOPS_DEVICE_SHARE": "much"}},
        {"environment": {"CUDA_VISIBLE_DEVICES": "9" * 5000}},
        {"beat_port": None},
    ],
)
def test_what_a_user_has_forged_stops_no_head(forged: dict[str, Any]) -> None:
    """That it runs, and where, is known all the same: nothing is started beside it."""
    found = overtaken([{**SPEC, **forged}], {"sleep-1": known(2)}, 9.0)
    (record,) = found.records
    assert record.attempt is not None
    assert (record.attempt.key.number, record.attempt.allocation.nodes) == (4, ("n1",))
    assert len(found.odd) == 1
    assert found.odd[0].startswith("sleep-1.4 runs on n1, and what it was given cannot be read: ")


@pytest.mark.parametrize("forged", [{"key": "sleep-1." + "9" * 30}, {"key": 3}, {"key": "nonsense"}, {"node": "n9"}])
def test_what_names_nothing_is_told_and_left(forged: dict[str, Any]) -> None:
    found = overtaken([{**SPEC, **forged}], {"sleep-1": known(2)}, 9.0)
    assert (found.records, len(found.odd)) == ((), 1)


def test_a_silent_node_may_have_a_later_attempt() -> None:
    found = learned(
        Survey((), {"n2": "no route"}), {"sleep-1": known(2), "sleep-2": JobRecord(job(2), "queued", 1.0)}, ENGINES, 9.0
    )
    assert [(one.job.id, one.launched) for one in found.records] == [("sleep-1", 2 + SKIPPED)]
    assert found.decisions[0].kind == "numbers_skipped"


def test_a_restored_store_has_a_higher_term_and_the_lost_head_decides_nothing_more(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    term = rig.ledger.term()
    assert rig.ledger.term() == term
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "aiops.db").write_bytes(rig.store.snapshot())
    other = Rig(tmp_path / "new", rig.truth)
    assert other.ledger.raise_term(0.0) == Term(term.lineage, term.number + 1)
    assert other.ledger.raise_term(1e9).number == 10**9
    assert other.ledger.term().number == 10**9

    rig.submit([1])
    controller = rig.begin()
    rig.engine.told(Deposed("n1", 0.0, 2))
    with pytest.raises(ConflictError, match=r"n1 obeys a later controller") as caught:
        rig.ticks(controller)
    assert caught.value.code == "controller.deposed"
    assert (rig.ledger.alive(), rig.truth.begun) == ({}, [])


def test_what_was_to_be_done_outside_waits_until_it_is_known_that_nobody_later_decides(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.submit([1])
    rig.ticks(rig.begin())
    rig.ledger.commit(Decided(actions=(Notify("sleep-1", "m"),)), Entry(1.0), rig.ledger.alive())
    controller = rig.begin()
    assert rig.truth.messages == []
    rig.ticks(controller, 2)
    assert rig.truth.messages == [("sleep-1", "m")]
    assert rig.ledger.open_actions() == ()


def test_what_has_ended_since_the_backup_is_not_run_again() -> None:
    ended = {"n2": ("sleep-1.3", "sleep-1.2", "odd"), "n1": ("sleep-1.3",), "n3": ("other-1.1",)}
    found = learned(Survey((), {}, ended), {"sleep-1": known(2)}, ENGINES, 9.0)
    (record,) = found.records
    assert record.attempt is not None
    assert (record.attempt.key, record.attempt.allocation.nodes) == (Key("sleep-1", 3), ("n1", "n2"))
    assert (record.state, record.launched) == ("running", 3)
    assert not learned(Survey((), {}, {"n1": ("sleep-1.2",)}), {"sleep-1": known(2)}, ENGINES, 9.0).records
    over = replace(known(2), state="cancelled")
    assert not learned(Survey((), {}, ended), {"sleep-1": over}, ENGINES, 9.0).records


def test_only_ends_that_are_known_are_told(tmp_path: Path) -> None:
    base = Base(str(tmp_path))
    base.bury("sleep-1.1", {"kind": "ended", "end": "done", "status": 0})
    base.bury("sleep-1.2")
    assert remote.ended(str(tmp_path)) == ["sleep-1.1"]
    base.bury("sleep-1.1")
    assert base.end("sleep-1.1") == {"kind": "ended", "end": "done", "status": 0}
    assert base.end("sleep-1.2") is None
    (tmp_path / "sleep-1.1").mkdir()
    assert base.end("sleep-1.1") is None, "its own words are still there"
    assert remote.ended(str(tmp_path / "none")) == []


def test_who_asks_what_runs_is_the_controller_from_then_on(tmp_path: Path) -> None:
    """Also where nothing of the new one's runs: a job that the lost one has left in Slurm's queue may begin there."""
    base, tools = tmp_path / "jobs", tmp_path / "bin"
    tools.mkdir()
    (tools / "systemctl").write_text("#!/bin/sh\n")
    (tools / "systemctl").chmod(0o755)

    def run(command: Command) -> tuple[int, bytes, bytes]:
        source = command.stdin.replace(b"/var/lib/aiops-jobs", str(base).encode())
        environment = {"PATH": f"{tools}:/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-"],
            input=source,
            capture_output=True,
            env=environment,
            timeout=20,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    nodes = [Node("n1")]
    fleet = Fleet(lambda node: FakeTransport(node, {"python3": run}))
    assert survey(fleet, nodes, Term("a1", 4)) == Survey((), {}, {"n1": ()})
    assert Terms(str(base), "a1", 3).outranked() == 4
    assert survey(fleet, nodes, Term("a1", 3)) == Survey((), {}, {"n1": ()})
    assert (base / ".terms" / "a1").read_text() == "4\n"
