"""A round of pairs by its real programs on this machine: how long it may take, and what of it is begun."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.l2_jobs.simulated_stage import a_job
from tests.l2_jobs.test_pair_probe import ENDS, fleet

from aiops.layers.core.errors import FailedError
from aiops.layers.l2_jobs import pair_trial
from aiops.layers.l2_jobs.action import TryPairs
from aiops.layers.l2_jobs.allocation import Slot
from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.job import Account, Devices
from aiops.layers.l2_jobs.pair_round import carry_out
from aiops.layers.l2_jobs.pair_test import Pair, Paired, Trial
from aiops.layers.l2_jobs.record import JobRecord

ME = pwd.getpwuid(os.geteuid())
PAIRS = (Pair("gpu01", "gpu02"),)
ORDER = TryPairs(Key("llama-1", 2), 1, PAIRS, 24000)


def carried(*own: str, now: float = 100.0, waits: Callable[[], bool] = lambda: True) -> Paired:
    job = a_job("llama", owner=Account(ME.pw_name, ME.pw_uid, ME.pw_gid), folder="/", devices=Devices(2))
    slots = (Slot("gpu01", (4, 5)), Slot("gpu02", (0, 1, 2, 3)))
    record = JobRecord(job, "waiting", 100.0, launched=2, trial=Trial(100.0, ("gpu01", "gpu02"), slots, (), 1, PAIRS))
    vendors = dict.fromkeys(("gpu01", "gpu02"), "nvidia")
    with fleet() as nodes:
        return carry_out(nodes, ENDS, record, ORDER, vendors=vendors, now=lambda: now, waits=waits, own=own)


def test_the_sites_own_test_follows_ours_on_the_devices_that_are_the_jobs(tmp_path: Path) -> None:
    found = carried("sh", "-c", f'echo "$MASTER_PORT $CUDA_VISIBLE_DEVICES" > {tmp_path}/"$RANK"')
    assert (found.attempt, found.number, [one.passed for one in found.results]) == (2, 1, [True])
    assert (tmp_path / "0").read_text() == "24000 4,5\n"
    assert (tmp_path / "1").read_text() == "24000 0,1\n", "a spare that is kept whole lends as many as the job has"


def test_for_a_job_that_no_longer_waits_the_sites_own_test_is_not_begun(tmp_path: Path) -> None:
    found = carried("touch", str(tmp_path / "begun"), waits=lambda: False)
    assert [one.passed for one in found.results] == [True]
    assert not (tmp_path / "begun").exists()


def test_nothing_is_begun_that_would_be_left_when_the_job_goes_on() -> None:
    with pytest.raises(FailedError, match="its time is over"):
        carried(now=100.0 + pair_trial.SECONDS - 4.0)
