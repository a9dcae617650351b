"""Nodes that Slurm keeps from a restart for an attempt before: which are given back, how, and that none stays down."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plugins.test_slurm_engine import ANN, KEY, NODES, Desk, attempt, job

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.report import Deposed, Ended, Freed, Scheduled, Started, Unavailable
from aiops.plugins.slurm import course
from aiops.plugins.slurm import engine as module
from aiops.plugins.slurm.enlisted import Enlisted, Forerunner
from aiops.plugins.slurm.freeing import REASON, being_freed, kept, may_be_freed, proved_over
from aiops.plugins.slurm.program import freeing
from aiops.plugins.slurm.queue import Tenant, read_tenants
from aiops.plugins.slurm.reading import SlurmNode, read_nodes

STORE = "lab-a"
NOW = "2026-11-22T03:00:00"
AGAIN = Key(KEY.job, KEY.number + 1)
BEFORE = Forerunner(KEY, "41", {node: frozenset({f"first-{node}"}) for node in NODES})
TENANT = Tenant("41", "COMPLETING", ANN.uid, "2026-11-22T01:00:00", f"aiops:{STORE}:{KEY}")
NODE = SlurmNode("n2", frozenset({"IDLE", "COMPLETING"}), started=NOW)
WAITS = Enlisted(job(), replace(attempt(), key=AGAIN), number="42", state="PENDING", before=(BEFORE,))
ANSWER = {"boot_id": "second", "left": 0}


def is_freed(
    one: Enlisted = WAITS,
    node: SlurmNode = NODE,
    tenants: tuple[Tenant, ...] = (TENANT,),
    answer: Any = ANSWER,
    name: str = "n2",
) -> bool:
    found = kept(one, name, node, tenants, STORE)
    return found is not None and may_be_freed(one, found) and proved_over(one, found, answer)


def test_a_node_that_has_booted_since_and_that_only_the_attempt_before_keeps_is_given_back() -> None:
    assert is_freed()
    earlier = Forerunner(Key(KEY.job, 1), "30", BEFORE.boots)
    third = replace(TENANT, number="30", comment=f"aiops:{STORE}:{KEY.job}.1")
    assert is_freed(node=replace(NODE, states=NODE.states | {"PLANNED"}))
    over = replace(TENANT, number="7", state="COMPLETED", comment="somebody's", uid=5)
    assert is_freed(replace(WAITS, before=(earlier, BEFORE)), tenants=(TENANT, third, over))


@pytest.mark.parametrize("flag", ["DRAIN", "DOWN", "FAIL", "MAINT", "RESERVED", "NOT_RESPONDING", "POWERED_DOWN", "X"])
def test_one_with_any_other_flag_is_left_as_it_is(flag: str) -> None:
    assert not is_freed(node=replace(NODE, states=NODE.states | {flag}))


@pytest.mark.parametrize(
    "changes",
    [
        {"node": replace(NODE, states=frozenset({"IDLE"}))},
        {"node": replace(NODE, states=frozenset({"COMPLETING"}))},
        {"node": replace(NODE, started=None)},
        {"node": replace(NODE, started="2026-11-22T00:59:59")},  # the slurmd that knew of it
        {"tenants": ()},
        {"tenants": (replace(TENANT, state="RUNNING"),)},
        {"tenants": (TENANT, replace(TENANT, number="50", state="RUNNING", uid=7, comment=""))},
        {"tenants": (TENANT, replace(TENANT, number="50", comment="aiops:lab-a:other-2.1"))},
        {"tenants": (replace(TENANT, comment=f"aiops:another:{KEY}"),)},
        {"tenants": (replace(TENANT, comment=f"aiops:{STORE}:{AGAIN}"),)},
        {"tenants": (replace(TENANT, uid=2009),)},
        {"tenants": (replace(TENANT, number="40"),)},
        {"tenants": (replace(TENANT, began="N/A"),)},
        {"tenants": (TENANT, Tenant("", "a line of somebody's comment"))},
        {"one": replace(WAITS, before=())},
        {"one": replace(WAITS, before=(replace(BEFORE, boots={"n2": frozenset()}),))},
        {"one": replace(WAITS, before=(replace(BEFORE, key=Key("other-2", 3)),))},
        {"one": replace(WAITS, freed=frozenset({"n2"}))},
        {"name": "n3"},
        {"answer": {}},
        {"answer": {"boot_id": "first-n2", "left": 0}},
        {"answer": {"boot_id": "second", "left": 1}},
        {"answer": {"boot_id": "second", "left": False}},
        {"answer": {"boot_id": "second"}},
        {"answer": {"boot_id": "", "left": 0}},
        {"answer": {"boot_id": None, "left": 0}},
    ],
)
def test_one_of_which_anything_is_otherwise_is_left_as_it_is(changes: dict[str, Any]) -> None:
    assert not is_freed(**changes)


FLAGS = (
    "IDLE",
    "ALLOCATED",
    "MIXED",
    "COMPLETING",
    "COMPLETING",
    "DRAIN",
    "DOWN",
    "NOT_RESPONDING",
    "MAINT",
    "PLANNED",
)
TENANTS = st.builds(
    Tenant,
    st.sampled_from(["41", "41", "41", "40", "50"]),
    st.sampled_from(["COMPLETING", "COMPLETING", "COMPLETING", "RUNNING", "COMPLETED", "PENDING"]),
    st.sampled_from([ANN.uid, ANN.uid, 7]),
    st.sampled_from([TENANT.began, TENANT.began, "2026-11-22T04:00:00"]),
    st.sampled_from([TENANT.comment, TENANT.comment, TENANT.comment, f"aiops:{STORE}:{AGAIN}", "somebody's"]),
)


@given(
    st.frozensets(st.sampled_from(FLAGS), min_size=1, max_size=3),
    st.lists(TENANTS, max_size=3, unique_by=lambda one: one.number),
    st.sampled_from(["first-n2", "second", ""]),
    st.sampled_from([0, 0, 0, 2, None]),
)
def test_nothing_is_given_back_that_anybody_may_need(
    states: frozenset[str], tenants: list[Tenant], boot: str, left: int | None
) -> None:
    if not is_freed(node=replace(NODE, states=states), tenants=tuple(tenants), answer={"boot_id": boot, "left": left}):
        return
    assert "COMPLETING" in states
    assert len(states - {"PLANNED"}) == 2
    assert not states & {"DRAIN", "DOWN", "NOT_RESPONDING", "MAINT"}
    assert (boot, left) == ("second", 0)
    alive = [one for one in tenants if one.state in {"COMPLETING", "RUNNING"}]
    assert alive == [TENANT]


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("DOWN", REASON, True),
        ("DOWN*", REASON, True),
        ("DOWN+COMPLETING", REASON, True),
        ("DOWN+PLANNED", REASON, True),
        ("DOWN", f"{REASON} x", False),
        ("DOWN", "Not responding", False),
        ("DOWN+DRAIN", REASON, False),
        ("IDLE+DRAIN", REASON, False),
        ("IDLE", "", False),
    ],
)
def test_who_is_down_by_our_doing(state: str, reason: str, expected: bool) -> None:
    text = (
        f"NodeName=n2 Arch=x86_64\n   State={state} ThreadsPerCore=1\n   Reason={reason} [root@2026-11-29T10:30:36]\n"
    )
    (node,) = read_nodes(text)
    assert being_freed(node) is expected


def test_a_list_of_a_nodes_jobs_that_somebody_has_written_into_is_read_as_what_it_is() -> None:
    text = f"41|COMPLETING|2001|{TENANT.began}|{TENANT.comment}\n50|RUNNING|7|{NOW}|x\n41|odd\n\n"
    ours, theirs, odd = read_tenants(Completed(Command(("squeue",)), 0, text.encode(), b"", 0.1))
    assert ours == TENANT
    assert (theirs.state, theirs.holds) == ("RUNNING", True)
    assert (odd.number, odd.holds) == ("", True)
    with pytest.raises(FailedError):
        read_tenants(Completed(Command(("squeue",)), 1, b"", b"squeue: error: x\n", 0.1))


def test_once_a_node_was_given_back_slurm_is_asked_soon_whether_it_can_start_the_restart() -> None:
    turn = course.freed(replace(WAITS, nudge_at=12.5), 10.0, "n2", (3,), "")
    assert turn.reports == (Freed(AGAIN, "n2", 10.0, (3,)),)
    assert (turn.enlisted.freed, turn.enlisted.nudge_at) == (frozenset({"n2"}), 11.0)


# -- the engine


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(module, "PAUSE", 0.02)
    monkeypatch.setattr(course, "NUDGE", 0.05)
    monkeypatch.setattr(course, "SOON", 0.05)
    monkeypatch.setattr(module, "MEND", 0.05)
    monkeypatch.setattr(module, "MEND_IDLE", 0.05)
    made = Desk()
    yield made
    for engine in made.engines:
        engine.close()


def lose_power(desk: Desk) -> None:
    """The first attempt runs, n2 loses its power and is back, and the second one waits for it."""
    desk.run()
    desk.lines.waiting = [Started(KEY, node, 1.0, desk.queue.boots[node]) for node in NODES]
    desk.until(lambda: len(desk.of(Started)) == 2)
    desk.engine.kill(KEY, NODES)
    desk.lines.waiting = [Ended(KEY, node, 2.0, "stopped") for node in NODES]
    desk.until(lambda: len(desk.of(Ended)) == 2)
    desk.queue.job(KEY).state = "COMPLETING"
    desk.queue.job(KEY).nodes = ("n2",)
    desk.queue.nodes["n2"].base = "IDLE+COMPLETING"
    desk.queue.nodes["n2"].started = NOW
    desk.queue.boots["n2"] = "second"
    desk.engine.release(KEY)


def wait_again(desk: Desk) -> None:
    desk.engine.start(job(), replace(attempt(), key=AGAIN))
    desk.until(lambda: desk.queue.of(AGAIN))
    desk.queue.job(AGAIN).reason = "Resources"


def nudged(desk: Desk, times: int = 3) -> None:
    before = desk.queue.nudges
    desk.until(lambda: desk.queue.nudges >= before + times)


def test_it_is_given_back_to_slurm_and_told_once(desk: Desk) -> None:
    lose_power(desk)
    wait_again(desk)
    found = desk.until(lambda: desk.of(Freed))
    nudged(desk)
    assert [(one.key, one.node, one.before, one.said) for one in found] == [(AGAIN, "n2", (3,), "")]
    assert desk.queue.deeds == [("free", "n2")]
    assert (desk.queue.nodes["n2"].base, desk.queue.nodes["n2"].reason) == ("IDLE", "")
    told = [one.completing for one in desk.of(Scheduled) if one.key == AGAIN]
    assert ("n2",) in told
    assert told[-1] == ()


def test_a_node_that_stays_kept_is_set_down_once_for_each_attempt(desk: Desk) -> None:
    lose_power(desk)
    wait_again(desk)
    desk.until(lambda: desk.of(Freed))
    desk.queue.nodes["n2"].base = "IDLE+COMPLETING"
    nudged(desk)
    assert desk.queue.deeds == [("free", "n2")]
    assert [one.completing for one in desk.of(Scheduled)][-1] == ("n2",)


def test_what_changes_at_the_last_moment_is_left_and_may_be_given_back_later(desk: Desk) -> None:
    lose_power(desk)
    desk.queue.meanwhile = lambda: setattr(desk.queue.nodes["n2"], "base", "IDLE+COMPLETING+DRAIN")
    wait_again(desk)
    desk.until(lambda: desk.queue.deeds)
    nudged(desk)
    assert (desk.queue.nodes["n2"].base, desk.of(Freed)) == ("IDLE+COMPLETING+DRAIN", [])
    desk.queue.meanwhile = lambda: None
    desk.queue.nodes["n2"].base = "IDLE+COMPLETING"
    desk.until(lambda: desk.of(Freed))
    assert desk.queue.deeds == [("free", "n2")] * 2


@pytest.mark.parametrize("why", ["same boot", "left", "silent", "drained"])
def test_what_is_not_proved_is_waited_for(desk: Desk, why: str) -> None:
    lose_power(desk)
    if why == "same boot":
        desk.queue.boots["n2"] = "boot-of-n2"
    elif why == "left":
        desk.queue.left["n2"] = 1
    elif why == "drained":
        desk.queue.nodes["n2"].base = "IDLE+COMPLETING+DRAIN"
    wait_again(desk)
    if why == "silent":
        desk.queue.dead.add("n2")
    nudged(desk)
    assert desk.queue.deeds == []
    assert desk.of(Freed, Unavailable) == []


def test_a_first_attempt_and_one_whose_forerunner_is_not_known_free_nothing(desk: Desk) -> None:
    lose_power(desk)
    again = desk.another()
    again.start(job(), replace(attempt(), key=AGAIN))
    desk.until(lambda: desk.queue.of(AGAIN), again)
    nudged(desk)
    assert desk.queue.deeds == []
    desk.until(lambda: [one for one in desk.of(Scheduled) if one.completing == ("n2",)], again)


def test_cut_off_between_the_two_it_is_resumed_all_the_same(desk: Desk) -> None:
    lose_power(desk)
    desk.queue.cut_off = 1
    wait_again(desk)
    desk.until(lambda: ("resume", "n2") in desk.queue.deeds)
    assert desk.queue.nodes["n2"].base == "IDLE"
    assert desk.until(lambda: desk.of(Freed))[0].said == "nobody has said what came of it"


@pytest.mark.parametrize("attempts", [True, False])
def test_a_controller_that_begins_resumes_what_an_earlier_one_has_left_down(desk: Desk, attempts: bool) -> None:
    for name, reason in (("n2", REASON), ("n3", "a fan is broken")):
        desk.queue.nodes[name].base, desk.queue.nodes[name].reason = "DOWN", reason
    desk.queue.silent = True
    if attempts:
        desk.engine.start(job(), attempt())
        desk.until(lambda: desk.of(Unavailable))
    desk.until(lambda: len(desk.queue.asked) > 3)
    desk.queue.silent = False
    desk.until(lambda: desk.queue.nodes["n2"].base == "IDLE")
    desk.until(lambda: not desk.engine._completion.owed)
    if not attempts:  # nobody needs Slurm then, and nobody is told that it does not answer
        assert desk.of(Unavailable) == []
    assert desk.queue.deeds == [("resume", "n2")]
    assert desk.queue.nodes["n3"].base == "DOWN"


def test_a_deposed_head_gives_nothing_back(desk: Desk) -> None:
    lose_power(desk)
    wait_again(desk)
    desk.queue.terms = dict.fromkeys(desk.queue.names, 9)
    desk.until(lambda: desk.of(Deposed))
    assert desk.queue.deeds == []


# -- the program on the head, run for real beside a slurmctld that is a few files

SCONTROL = """#!/bin/sh
cd {folder}
[ "$1" = show ] && exec cat node
echo "$*" >> said
case "$*" in
*State=RESUME*) sed -i "s/State=[^ ]* T/State=IDLE T/" node ;;
*) sed -i -e "s/State=[^ ]* T/State=DOWN T/" -e "s/Reason=.* \\[/Reason={reason} [/" node; {after} ;;
esac
"""
NODE_TEXT = """NodeName=gpu02 Arch=x86_64 CoresPerSocket=2
   Gres=gpu:4
   OS=Linux 6.1 State=WRONG Reason=wrong
   State={state} ThreadsPerCore=1 TmpDisk=0 Weight=1
   BootTime=2026-11-29T10:20:00 SlurmdStartTime=2026-11-29T10:30:00
   Reason={reason} [root@2026-11-29T10:30:36]
"""
OVER = ["COMPLETED", "PENDING"]


def told(
    folder: Path, deed: str, *values: Any, state: str, reason: str = "none", jobs: str = "", after: str = ":"
) -> tuple[Any, list[str]]:
    """What the program answers, and what scontrol was asked to change; `after` follows once the node is down."""
    (folder / "node").write_text(NODE_TEXT.format(state=state, reason=reason))
    for name, text in (
        ("scontrol", SCONTROL.format(folder=folder, reason=REASON, after=after)),
        ("squeue", f"#!/bin/sh\nprintf '%s\\n' '{jobs}'\n"),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    call = f"tell({', '.join(map(repr, (deed, *values)))})"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"],
        input=freeing(call).encode(),
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        check=False,
        timeout=20,
    )
    said = folder / "said"
    return json.loads(done.stdout or b"null"), said.read_text().splitlines() if said.exists() else []


FREE = ("free", "gpu02", ["COMPLETING", "IDLE"], ["41|COMPLETING"], OVER, REASON)
DOWN_WORDS = f"update NodeName=gpu02 State=DOWN Reason={REASON}"
RESUME_WORDS = "update NodeName=gpu02 State=RESUME"


@pytest.mark.parametrize("state", ["IDLE+COMPLETING", "IDLE+COMPLETING+PLANNED"])
def test_it_is_set_down_and_resumed(tmp_path: Path, state: str) -> None:
    jobs = "41|COMPLETING\n7|COMPLETED\n42|PENDING\n"
    answer, said = told(tmp_path, *FREE, state=state, jobs=jobs)
    assert answer == {"done": "freed", "said": ""}
    assert said == [DOWN_WORDS, RESUME_WORDS]


@pytest.mark.parametrize(
    ("state", "jobs"),
    [
        ("IDLE+COMPLETING+DRAIN", "41|COMPLETING"),
        ("IDLE*+COMPLETING", "41|COMPLETING"),
        ("IDLE", "41|COMPLETED"),
        ("MIXED+COMPLETING", "41|COMPLETING"),
        ("IDLE+COMPLETING", "41|COMPLETING\n50|RUNNING"),
        ("IDLE+COMPLETING", "50|COMPLETING"),
        ("IDLE+COMPLETING", ""),
    ],
)
def test_what_has_changed_since_stays_as_it_is(tmp_path: Path, state: str, jobs: str) -> None:
    answer, said = told(tmp_path, *FREE, state=state, jobs=jobs)
    assert answer == {"done": "changed", "said": ""}
    assert said == []


@pytest.mark.parametrize(
    "change", ["s/State=DOWN T/State=DOWN+DRAIN T/", "s/Reason=aiops.* \\[/Reason=a fan is broken [/"]
)
def test_what_a_person_does_between_the_two_is_kept(tmp_path: Path, change: str) -> None:
    _, said = told(tmp_path, *FREE, state="IDLE+COMPLETING", jobs="41|COMPLETING", after=f"sed -i '{change}' node")
    assert said == [DOWN_WORDS]


def test_a_slurmctld_that_dies_in_between_is_told(tmp_path: Path) -> None:
    dies = "rm node; exit 1"
    answer, said = told(tmp_path, *FREE, state="IDLE+COMPLETING", jobs="41|COMPLETING", after=dies)
    assert answer["done"] == "down"
    assert said == [DOWN_WORDS]
    answer, said = told(tmp_path, *FREE, state="IDLE+COMPLETING", jobs="41|COMPLETING", after="rm node")
    assert answer["done"] == "down"


def test_whoever_has_asked_may_go_it_is_resumed_all_the_same(tmp_path: Path) -> None:
    hung = 'kill -TERM "$PPID"; kill -HUP "$PPID"'
    answer, said = told(tmp_path, *FREE, state="IDLE+COMPLETING", jobs="41|COMPLETING", after=hung)
    assert answer["done"] == "freed"
    assert said == [DOWN_WORDS, RESUME_WORDS]


@pytest.mark.parametrize(
    ("state", "reason", "done"),
    [
        ("DOWN", REASON, True),
        ("DOWN*", REASON, True),
        ("DOWN", "Not responding", False),
        ("DOWN+DRAIN", REASON, False),
        ("IDLE", REASON, False),
    ],
)
def test_only_what_is_down_by_our_doing_is_resumed(tmp_path: Path, state: str, reason: str, done: bool) -> None:
    _, said = told(tmp_path, "resume", "gpu02", REASON, state=state, reason=reason)
    assert said == ([RESUME_WORDS] if done else [])
