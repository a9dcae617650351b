"""A site's own test of pairs, by its real program on this machine."""

import os
import pwd
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.l2_jobs.simulated_stage import a_job
from tests.l2_jobs.test_pair_probe import ENDS, fleet

from aiops.layers.l2_jobs.job import Account
from aiops.layers.l2_jobs.pair_own import OwnTest, own_pairs
from aiops.layers.l2_jobs.pair_test import Pair, PairResult

ME = pwd.getpwuid(os.geteuid())
PASSED = PairResult(Pair("gpu01", "gpu02"), True, rate=100.0)


def ran(
    *argv: str,
    owner: Account | None = None,
    environment: Mapping[str, str] | None = None,
    folder: str = "/",
    seconds: float = 20.0,
    before: tuple[PairResult, ...] = (PASSED,),
) -> tuple[PairResult, ...]:
    me = owner or Account(ME.pw_name, ME.pw_uid, ME.pw_gid)
    job = a_job("llama", owner=me, environment=dict(environment or {}), folder=folder)
    devices = {"gpu01": ("nvidia", (0, 1)), "gpu02": ("nvidia", (4, 5))}
    with fleet() as nodes:
        return own_pairs(nodes, ENDS, before, OwnTest(argv, job, 20000, devices, seconds))


def test_both_are_given_what_ranks_find_each_other_by(tmp_path: Path) -> None:
    words = 'echo "$RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT $CUDA_VISIBLE_DEVICES $MINE $PWD" > "$RANK"'
    (found,) = ran("sh", "-c", words, environment={"MINE": "yes"}, folder=str(tmp_path))
    assert found == PASSED, "what was measured stays"
    assert (tmp_path / "0").read_text().split() == ["0", "2", "127.0.0.1", "20000", "0,1", "yes", str(tmp_path)]
    assert (tmp_path / "1").read_text().split() == ["1", "2", "127.0.0.1", "20000", "4,5", "yes", str(tmp_path)]


def test_one_that_fails_on_either_node_is_no_proof() -> None:
    (found,) = ran("sh", "-c", "echo started; echo no route to peer; exit $RANK")
    assert found == replace(
        PASSED, passed=False, own=True, why="the site's own test: gpu02 ended with 1: no route to peer"
    )


def test_pairs_that_have_failed_already_are_left_as_they_are() -> None:
    failed = PairResult(Pair("gpu03", "gpu04"), False, "no connection")
    found = ran("sh", "-c", "exit 3", before=(failed, PASSED))
    assert found[0] == failed
    assert found[1].passed is False
    assert ran("false", before=(failed,)) == (failed,)


def test_one_that_takes_too_long_is_ended_with_all_that_it_has_started() -> None:
    began = time.monotonic()
    (found,) = ran("sh", "-c", "setsid sleep 97.125 & echo waits; exec sleep 97.125", seconds=0.5)
    assert time.monotonic() - began < 10
    assert found.passed is False
    words = "was not done in its time: waits"
    assert found.why == f"the site's own test: gpu01 {words}; gpu02 {words}"
    assert not [one for one in Path("/proc").glob("[0-9]*/cmdline") if b"97.125" in _read(one)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_what_a_test_that_has_passed_leaves_behind_is_ended_too() -> None:
    (found,) = ran("sh", "-c", "setsid sleep 97.375 & exit 0")
    assert found.passed
    assert not [one for one in Path("/proc").glob("[0-9]*/cmdline") if b"97.375" in _read(one)]


def test_where_it_cannot_be_run_nothing_is_known() -> None:
    (found,) = ran("/nowhere/pair-test")
    assert (found.passed, found.silent) == (None, ("gpu01", "gpu02"))
    assert "gpu01: it cannot be started: " in found.why
    (found,) = ran("true", folder="/nowhere")
    assert "it cannot be started: its user or folder: /nowhere" in found.why
    (found,) = ran("true", owner=Account("nobody-at-all", 1, 1))
    assert "gpu02: there is no account nobody-at-all" in found.why
    (found,) = ran("true", owner=Account(ME.pw_name, ME.pw_uid + 7, 1))
    assert f"gpu02: {ME.pw_name} has the number {ME.pw_uid} there" in found.why
    assert found.passed is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_it_runs_as_the_owner_of_the_job() -> None:
    nobody = pwd.getpwnam("nobody")
    owner = Account("nobody", nobody.pw_uid, nobody.pw_gid)
    words = 'test "$(id -u) $(id -ru) $(id -g) $HOME" = "$WANTED"'
    wanted = f"{nobody.pw_uid} {nobody.pw_uid} {nobody.pw_gid} {nobody.pw_dir}"
    (found,) = ran("sh", "-c", words, owner=owner, environment={"WANTED": wanted})
    assert found.passed
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        (found,) = ran("true", owner=owner, folder=folder)
        assert found.passed is None, "a folder that its owner may not enter is not entered as root"
