"""What slurmctld is asked of the attempts in its queue, as values, and the pure reading of what it says.

Asked are only numbers and states, never text that a user could write, so that no job can speak for another. The one
exception is the comment, by which a job is found whose number was never written down: it is asked for the jobs of one
user alone, and whoever writes another's comment there cheats nobody but himself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError
from aiops.layers.l2_jobs.attempt import Key

SECONDS = 15.0
"""slurmctld's own clients try for 9 s to reach one that is gone."""

STATE_FORMAT = "%i|%T|%U|%r"
COMMENT_FORMAT = "%i|%T|%U|%k"
TENANT_FORMAT = "%i|%T|%U|%S|%k"

OVER = frozenset(
    {
        *("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE"),
        *("OUT_OF_MEMORY", "REVOKED"),
    }
)
"""States in which slurmctld has ended a job on all its nodes, those that do not answer it apart."""

NEVER = frozenset(
    {
        *("AccountNotAllowed", "AssocGrpNodeLimit", "AssocMaxNodePerJobLimit", "AssocMaxWallDurationPerJobLimit"),
        *("BadConstraints", "InvalidAccount", "InvalidQOS", "PartitionNodeLimit", "PartitionTimeLimit"),
        *("QOSMaxWallDurationPerJobLimit", "QOSNotAllowed", "QOSTimeLimit"),
    }
)
"""Reasons of waiting that do not pass by themselves: the job asks for what its owner is not given."""

USERS = re.compile(r"invalid (account|partition|qos|gres)|not permitted|not available|exceeds|limit", re.IGNORECASE)
"""sbatch's words where the fault is what the job asks for."""

AWAY = re.compile(
    r"unable to contact slurm controller|socket timed out|connection refused|unexpected message|slurmctld .*not respond"
    r"|backup controller|configuration source|munge|zero bytes|authentication|temporarily un",
    re.IGNORECASE,
)
"""Words of Slurm's commands where nobody answers them."""

_NO_SUCH = "invalid job id"
_FIELDS = 4
_TENANT_FIELDS = 5
_NUMBER = re.compile(r"^([0-9]+)(?:;.*)?$")


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """One job of Slurm's.

    Attributes:
        number: Slurm's name of it.
        last: What was asked for last: why it waits or has ended, or its comment.
    """

    number: str
    state: str
    uid: int
    last: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing of it will be started any more, and slurmctld counts all of it as ended."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class Tenant:
    """A job that has a node, or had it, as that node's list shows it.

    Attributes:
        number: Slurm's name of it; empty where a line is no job, as the second line of somebody's comment.
        state: Its state; the line itself where that is no job.
        began: When it began, as Slurm writes times.
        comment: Its owner may have written that.
    """

    number: str
    state: str
    uid: int = -1
    began: str = ""
    comment: str = ""

    @property
    def holds(self) -> bool:
        """Whether it may hold the node."""
        return self.state not in OVER and self.state != "PENDING"


def show_jobs(numbers: Sequence[str]) -> Command:
    """The jobs of these numbers, those too that are over and not forgotten."""
    argv = ("squeue", "--all", "--noheader", "--states=all", f"--jobs={','.join(numbers)}", f"--format={STATE_FORMAT}")
    return Command(argv, timeout=SECONDS, root=True)


def show_jobs_of(uid: int) -> Command:
    """All jobs of a user with their comments."""
    argv = ("squeue", "--all", "--noheader", "--states=all", f"--user={uid:d}", f"--format={COMMENT_FORMAT}")
    return Command(argv, timeout=SECONDS, root=True)


def show_tenants(node: str) -> Command:
    """All jobs that have a node; `node` is Slurm's name of it."""
    argv = ("squeue", "--all", "--noheader", "--states=all", f"--nodelist={node}", f"--format={TENANT_FORMAT}")
    return Command(argv, timeout=SECONDS, root=True)


def cancel(number: str, uid: int) -> Command:
    """End a job: SIGTERM to all of it, SIGKILL after KillWait.

    Here and below only where it is this user's: the number may have been read where he can write.
    """
    return Command(("scancel", f"--user={uid:d}", number), timeout=SECONDS, root=True)


def renamed(number: str, words: str) -> Command:
    """Give a job the comment that it has: slurmctld looks for room for jobs that wait after every change of one."""
    return Command(("scontrol", "update", f"JobId={number}", f"Comment={words}"), timeout=SECONDS, root=True)


def end_script(number: str, uid: int) -> Command:
    """Have a job's script end what it has started, at once, and write its record.

    `scancel --signal=KILL` would end the script too, and leave behind it an srun that waits for a lost node: its own
    node would be kept from others until KillWait is over.
    """
    return Command(("scancel", f"--user={uid:d}", "--batch", "--signal=USR2", number), timeout=SECONDS, root=True)


def signal_steps(number: str, uid: int, name: str = "TERM") -> Command:
    """Send a signal to all processes of a job's steps."""
    return Command(("scancel", f"--user={uid:d}", f"--signal={name}", number), timeout=SECONDS, root=True)


def read_jobs(completed: Completed) -> tuple[SlurmJob, ...]:
    """The answer to one of the questions above; none where Slurm has forgotten the only job that was asked for.

    Raises:
        FailedError: Slurm does not answer (`slurm.silent`), or in words that are no job (`slurm.garbled`).
    """
    if not completed.ok:
        if not completed.timed_out and _NO_SUCH in completed.error_text.lower():
            return ()
        raise FailedError(said(completed), code="slurm.silent")
    return tuple(_job(line) for line in completed.text.splitlines() if line.strip())


def read_commented(completed: Completed) -> tuple[SlurmJob, ...]:
    """The answer to `show_jobs_of`. A line that is no job is a part of somebody's comment, and left out.

    Raises:
        FailedError: Slurm does not answer (`slurm.silent`), or in words of which none is a job (`slurm.garbled`).
    """
    if not completed.ok:
        return read_jobs(completed)
    found, garbled = [], None
    for line in completed.text.splitlines():
        try:
            found += [_job(line)] if line.strip() else []
        except FailedError as error:
            garbled = error
    if garbled is not None and not found:
        raise garbled
    return tuple(found)


def read_tenants(completed: Completed) -> tuple[Tenant, ...]:
    """The answer to `show_tenants`; a line that is no job is a tenant of whom nothing is known.

    Raises:
        FailedError: Slurm does not answer (`slurm.silent`).
    """
    if not completed.ok:
        raise FailedError(said(completed), code="slurm.silent")
    return tuple(_tenant(line) for line in completed.text.splitlines() if line.strip())


def _tenant(line: str) -> Tenant:
    parts = [part.strip() for part in line.strip().split("|", _TENANT_FIELDS - 1)]
    if len(parts) != _TENANT_FIELDS or not _NUMBER.match(parts[0]) or not parts[2].isdecimal():
        return Tenant("", line)
    number, state, uid, began, words = parts
    return Tenant(number, state, int(uid), began, words)


def _job(line: str) -> SlurmJob:
    parts = line.strip().split("|", _FIELDS - 1)
    if len(parts) != _FIELDS or not parts[0] or not parts[2].strip().isdecimal():
        raise FailedError(f"squeue said {line!r}, which is no job", code="slurm.garbled")
    number, state, uid, last = (part.strip() for part in parts)
    return SlurmJob(number, state, int(uid), "" if last == "None" else last)


def read_number(completed: Completed) -> str:
    """The number that `sbatch --parsable` has given a job; a line before it may be somebody's greeting.

    Raises:
        FailedError: It has said none.
    """
    for line in reversed(completed.text.splitlines()):
        if found := _NUMBER.match(line.strip()):
            return found[1]
    raise FailedError(f"sbatch said {completed.text.strip()[:80]!r}, which is no number", code="slurm.garbled")


def said(completed: Completed) -> str:
    """The last words of a command of Slurm's, for people."""
    if completed.timed_out:
        return f"`{completed.command.argv[0]}` had no answer within {completed.command.timeout:.0f} s"
    lines = completed.error_text.splitlines() or ["no reason was given"]
    return f"`{completed.command.argv[0]}`: {lines[-1].strip()}"


def comment(key: Key, store: str) -> str:
    """The lineage of a job, by which it is found again: whose it is (a store's name), which job, which attempt."""
    return f"aiops:{store}:{key}"
