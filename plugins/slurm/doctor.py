"""Whether Slurm is set so that a long run lives: asked by `aiops doctor` where Slurm's commands are.

What each setting does is said in slurm.conf(5), its defaults too; how each bears on a run was seen with Slurm 22.05.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.examination import Examination, Remark
from aiops.layers.l2_jobs.job import Limits

_ASK = (
    'PATH="$PATH:/opt/slurm/bin:/usr/local/slurm/bin"\ncommand -v scontrol >/dev/null || exit 127\n'
    "exec scontrol show config"
)
_ABSENT = 127
_NO_CONFIGURATION = "Could not establish a configuration source"
_LINE = re.compile(r"^(\w+)\s+= (.*)$", re.MULTILINE)
_SECONDS = re.compile(r"^(\d+)(?: sec)?$")
_CREDENTIAL = re.compile(r"(?:^|,)cred_expire=(\d+)")

STOP_SECONDS = int(Limits().stop)
LEAST_KILL_WAIT = 2 * STOP_SECONDS
"""Seconds: what a job has by default to save and leave, and as many again for the ending itself."""

LEAST_SLURMD_TIMEOUT = 120
"""Seconds: a slurmd that restarts, or waits for a busy node, is back by then; Slurm's default is 300."""

LEAST_UNKILLABLE = 120
"""Seconds: storage that stalls for a minute, and some time for what waits on it to end; Slurm's default is 60."""

LEAST_JOB_AGE = 60
"""Seconds: a controller that was restarted asks again within that."""

LEAST_CREDENTIAL = 30
"""Seconds: a launch on many nodes, with clocks that differ; the least that Slurm takes is 5, its default 120."""

DEFAULT_CREDENTIAL = 120


def settings_in(text: str) -> dict[str, str]:
    """The answer to `scontrol show config`: values by their names. Pure."""
    return {name: value.strip() for name, value in _LINE.findall(text)}


def judge_settings(settings: Mapping[str, str]) -> Iterator[Remark]:
    """What each setting means for a run, and what to set. Pure; what is not there, or no number, is unknown."""
    yield _one(
        settings,
        "SlurmdTimeout",
        lambda seconds: seconds >= LEAST_SLURMD_TIMEOUT,
        "Slurm ends the jobs of a node whose slurmd is silent for so long; aiops finds lost nodes itself, and sooner",
        300,
    )
    yield _one(
        settings,
        "ReturnToService",
        lambda value: value == 2,  # noqa: PLR2004 - Slurm's own number
        "2 lets a node come back by itself after a reboot; with less it stays down until somebody resumes it",
        2,
    )
    yield _one(
        settings,
        "KillWait",
        lambda seconds: seconds >= LEAST_KILL_WAIT,
        f"seconds from SIGTERM to SIGKILL; a job has {STOP_SECONDS} by default to save and leave (`limits.stop`)",
        LEAST_KILL_WAIT,
    )
    yield _one(
        settings,
        "UnkillableStepTimeout",
        lambda seconds: seconds >= LEAST_UNKILLABLE,
        "a node whose processes wait so long for storage that is away, and cannot be killed, is drained",
        180,
    )
    yield _credential(settings)
    yield _one(
        settings,
        "JobRequeue",
        lambda _: True,
        "whether Slurm starts batch jobs again by itself; those of aiops are submitted with --no-requeue",
        0,
    )
    yield _one(
        settings,
        "MinJobAge",
        lambda seconds: seconds == 0 or seconds >= LEAST_JOB_AGE,
        "Slurm forgets a job so long after its end; aiops' jobs leave a record of their own beside that",
        300,
    )


def _one(settings: Mapping[str, str], name: str, fits: Callable[[int], bool], meaning: str, better: int) -> Remark:
    subject, value = f"slurm.{name}", settings.get(name)
    number = _SECONDS.match(value or "")
    if value is None or not number:
        said = "Slurm does not tell it" if value is None else f"it is `{value[:40]}`"
        return Remark(subject, "unknown", f"{said}: {meaning}", None)
    fine = fits(int(number[1]))
    return Remark(subject, "ok" if fine else "warn", f"{value}: {meaning}", None if fine else _set(name, better))


def _credential(settings: Mapping[str, str]) -> Remark:
    subject, value = "slurm.cred_expire", settings.get("AuthInfo")
    meaning = "a launch must have reached all nodes by then, and Slurm's own requeue waits a second longer"
    if value is None:
        return Remark(subject, "unknown", f"Slurm does not tell AuthInfo: {meaning}", None)
    found = _CREDENTIAL.search(value)
    seconds = int(found[1]) if found else DEFAULT_CREDENTIAL
    fine = seconds >= LEAST_CREDENTIAL
    action = None if fine else _set("AuthInfo", f"cred_expire={DEFAULT_CREDENTIAL}")
    return Remark(subject, "ok" if fine else "warn", f"{seconds} sec: {meaning}", action)


def _set(name: str, value: object) -> str:
    return (
        f"set it to {value}: `{name}: {value}` in `aiops_slurm_options` of the head, "
        "then `aiops cluster deploy --only scheduler`"
    )


def judge(done: Completed) -> Iterator[Remark]:
    """The remarks on Slurm of what scontrol has said. Pure."""
    if done.exit_status == _ABSENT or _NO_CONFIGURATION in done.error_text:
        yield Remark("slurm", "ok", "not on this machine; where it is, run this on its head")
    elif not done.ok:
        said = "no answer in time" if done.timed_out else (done.error_text.splitlines() or ["no reason was given"])[-1]
        action = "look at its controller: `systemctl status slurmctld`"
        yield Remark("slurm", "critical", f"`scontrol show config`: {said[:200]}", action)
    else:
        yield from judge_settings(settings_in(done.text))


@hookimpl
def examinations() -> tuple[Examination, ...]:
    """What is asked of Slurm."""
    return (Examination("slurm", Command(("sh", "-c", _ASK), timeout=20.0), judge),)
