"""Slurm's settings, judged for runs of weeks."""

import json
from pathlib import Path

import pytest

from aiops.layers.core.command import Command, Completed
from aiops.plugins.slurm.doctor import judge, judge_settings, settings_in

SHOWN = """Configuration data as of 2026-11-20T10:07:02
AccountingStorageBackupHost = (null)
AuthInfo                = (null)
JobRequeue              = 1
KillWait                = 30 sec
MinJobAge               = 300 sec
ReturnToService         = 1
SlurmdTimeout           = 300 sec
UnkillableStepTimeout   = 60 sec
X11Parameters           = (null)

Cgroup Support Configuration:
AllowedRAMSpace         = 100.0%

Slurmctld(primary) at head is UP
"""
"""The layout of Slurm 22.05, with its defaults."""


def verdicts(**changes: str | None) -> dict[str, str]:
    settings = {name: value for name, value in {**settings_in(SHOWN), **changes}.items() if value is not None}
    return {remark.subject.partition(".")[2]: remark.verdict for remark in judge_settings(settings)}


def test_slurms_defaults() -> None:
    assert verdicts() == {
        "SlurmdTimeout": "ok",
        "ReturnToService": "warn",
        "KillWait": "warn",
        "UnkillableStepTimeout": "warn",
        "cred_expire": "ok",
        "JobRequeue": "ok",
        "MinJobAge": "ok",
    }
    remarks = {remark.subject: remark for remark in judge_settings(settings_in(SHOWN))}
    assert remarks["slurm.KillWait"].words.startswith("30 sec: ")
    assert "`KillWait: 60` in `aiops_slurm_options`" in str(remarks["slurm.KillWait"].action)
    assert remarks["slurm.cred_expire"].words.startswith("120 sec: ")
    assert all((remark.verdict == "warn") == (remark.action is not None) for remark in remarks.values())


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("SlurmdTimeout", "10 sec", "warn"),
        ("SlurmdTimeout", "0 sec", "warn"),
        ("SlurmdTimeout", "120 sec", "ok"),
        ("ReturnToService", "0", "warn"),
        ("ReturnToService", "2", "ok"),
        ("KillWait", "60 sec", "ok"),
        ("UnkillableStepTimeout", "180 sec", "ok"),
        ("MinJobAge", "2 sec", "warn"),
        ("MinJobAge", "0 sec", "ok"),
        ("JobRequeue", "0", "ok"),
        ("KillWait", "soon", "unknown"),
        ("KillWait", None, "unknown"),
    ],
)
def test_a_setting(name: str, value: str | None, verdict: str) -> None:
    assert verdicts(**{name: value})[name] == verdict


def test_the_expiry_of_credentials() -> None:
    assert verdicts(AuthInfo="socket=/run/munge,cred_expire=5")["cred_expire"] == "warn"
    assert verdicts(AuthInfo="cred_expire=60")["cred_expire"] == "ok"
    assert verdicts(AuthInfo=None)["cred_expire"] == "unknown"


def test_slurm_that_is_not_there_or_silent() -> None:
    command = Command(("scontrol",))

    def said(status: int, stderr: str = "", *, late: bool = False) -> tuple[str, str]:
        (remark,) = judge(Completed(command, status, b"", stderr.encode(), 0.0, timed_out=late))
        return remark.verdict, remark.words

    assert said(127)[0] == "ok"
    assert said(1, "x\nslurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)") == (
        "critical",
        "`scontrol show config`: slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)",
    )
    assert said(1, "fatal: Could not establish a configuration source")[0] == "ok"
    assert said(124, late=True)[1].endswith("no answer in time")


def test_what_is_deployed_is_judged_well() -> None:
    """The settings of our own slurm.conf have no warning."""
    template = (Path(__file__).parents[2] / "playbooks/scheduler/slurm.conf.j2").read_text()
    ours = dict(line.strip().rstrip(",").split(": ") for line in template.splitlines() if line.startswith('  "'))
    numbers = {json.loads(name): f"{value}" for name, value in ours.items() if value.isdigit()}
    assert set(verdicts(**numbers).values()) == {"ok"}
