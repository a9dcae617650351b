"""Submission: an attempt as Slurm is given it. Pure.

Every attempt is a job of its own, on exactly its nodes. Slurm never runs one again (`--no-requeue`): its own requeue
waits for two minutes and goes back to where it broke.

A node that slurmctld does not hear for SlurmdTimeout ends the whole job, as Slurm does by itself. `--no-kill` would
only take that node out of the allocation: as soon as slurmctld hears it again it counts as free, and is given to others
while our processes may still run there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiops.layers.core.command import Command
from aiops.layers.l2_jobs.attempt import Attempt
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.term import Term

from .program import batch
from .queue import SECONDS, comment

FOLDER = "/var/lib/aiops-jobs"
"""Of all attempts, on every node."""

LAUNCHER = "launcher.py"
LOG = "out-000000000000000.log"
"""Of a user's own command: where a launcher's output begins, so that it is followed like that."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/slurm/bin:/usr/local/slurm/bin"
"""What a job has; Slurm that was built on the site is often in the last two."""

WARNING = 15.0
"""Seconds before the time limit, beyond those that a job has to save and leave, when it is asked to."""

SPARE = 60.0
"""Seconds that Slurm's limit is later than ours: the launcher, who knows how long earlier attempts ran, comes first."""

_ASKING = """import json, os, socket, sys
os.chdir(sys.argv[1])
with socket.socket(socket.AF_UNIX) as launcher:
    launcher.settimeout(10)
    launcher.connect("control")
    launcher.sendall(json.dumps({"do": "stop", "why": "time_limit", "seconds": float(sys.argv[2])}).encode() + b"\\n")
"""
"""Asks the launcher of a folder to have its processes save and leave, for Slurm's time is nearly over."""

STEPS = 64
"""sruns of one attempt: each takes some MiB on its first node. Of a larger one several nodes share a step."""

_END = "AIOPS_END_OF_BATCH"
_MIB = 1 << 20
_MOST_WARNING = 65535
"""The most that `--signal` takes."""


@dataclass(frozen=True, slots=True)
class Room:
    """A node as Slurm has it; what Slurm does not tell is None.

    Attributes:
        name: Slurm's own name of it.
    """

    name: str
    devices: int | None = None
    processors: int | None = None
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which Slurm takes jobs; empty where Slurm's default will do.

    Attributes:
        store: The name of the store whose attempts these are.
    """

    store: str
    partition: str = ""
    account: str = ""
    qos: str = ""


def folder_of(attempt: Attempt) -> str:
    """Where an attempt has its files, on each of its nodes."""
    return f"{FOLDER}/{attempt.key}"


def processors_of(job: Job, rooms: Sequence[Room]) -> int | None:
    """Processors of each node; None for all of them.

    What the job says; with some of a node's devices the same share of its processors; else one for each process.
    """
    if takes_all(job, rooms):
        return None
    least = min((room.processors for room in rooms if room.processors), default=None)
    if job.limits.processors is not None:
        return max(1, math.ceil(job.limits.processors))
    shares = [room.processors * job.devices.count // room.devices for room in rooms if room.processors and room.devices]
    wanted = max(job.processes, min(shares, default=1) if job.devices.count else 1, 1)
    return wanted if least is None else min(wanted, least)


def memory_of(job: Job, rooms: Sequence[Room]) -> int | None:
    """MiB of each node; 0 for all of it, None for what Slurm gives with each processor."""
    if job.limits.memory is not None:
        return max(1, math.ceil(job.limits.memory / _MIB))
    if takes_all(job, rooms):
        return 0
    shares = [room.memory_mib * job.devices.count // room.devices for room in rooms if room.memory_mib and room.devices]
    return max(1, min(shares)) if job.devices.count and shares else None


def takes_all(job: Job, rooms: Sequence[Room]) -> bool:
    """Whether a job has all devices of all its nodes, and so the nodes for itself."""
    return job.devices.count > 0 and all(room.devices == job.devices.count for room in rooms)


def minutes_of(job: Job) -> int | None:
    """Slurm's time limit; None for the partition's own."""
    if job.limits.time is None:
        return None
    return max(1, math.ceil((job.limits.time + job.limits.stop + SPARE) / 60))


def sbatch(job: Job, attempt: Attempt, rooms: Sequence[Room], terms: Terms, script: str) -> Command:
    """The command that submits an attempt; its script goes in on stdin.

    Args:
        job: The job.
        attempt: The attempt.
        rooms: Its nodes in Slurm's words, in the order of its node ranks.
        terms: The partition and the like.
        script: What `script` has made.
    """
    processors, memory, minutes = processors_of(job, rooms), memory_of(job, rooms), minutes_of(job)
    warning = min(math.ceil(job.limits.stop + WARNING), _MOST_WARNING)
    tasks = job.processes if job.launch == "srun" else 1
    each = None if processors is None else max(1, processors // tasks)
    folder = folder_of(attempt)
    words = [
        *("sbatch", "--parsable", "--no-requeue", f"--job-name={attempt.key}"),
        f"--comment={comment(attempt.key, terms.store)}",
        *(f"--uid={job.owner.uid:d}", f"--gid={job.owner.gid:d}"),
        *(f"--nodes={len(rooms):d}", f"--nodelist={','.join(room.name for room in rooms)}"),
        f"--ntasks-per-node={tasks:d}",
        *(("--exclusive",) if takes_all(job, rooms) else ()),
        *((f"--gres=gpu:{job.devices.count:d}",) if job.devices.count else ()),
        *((f"--cpus-per-task={each:d}",) if each is not None else ()),
        *((f"--mem={memory:d}",) if memory is not None else ()),
        *((f"--time={minutes:d}",) if minutes is not None else ()),
        f"--signal=B:USR1@{warning:d}",
        *("--chdir=/", f"--export=PATH={PATH}", f"--output={folder}/batch.log", "--open-mode=append"),
        *((f"--partition={terms.partition}",) if terms.partition else ()),
        *((f"--account={terms.account}",) if terms.account else ()),
        *((f"--qos={terms.qos}",) if terms.qos else ()),
    ]
    return Command(tuple(words), stdin=script.encode(), timeout=SECONDS, root=True)


def sruns(job: Job, attempt: Attempt, rooms: Sequence[Room], around: Sequence[str] = ()) -> list[list[str]]:
    """What the batch script runs, all at once: one launcher on every node, or the user's own command.

    Launchers are steps of their own, up to `STEPS` of them: the first node of a step waits for up to a minute for the
    others to end (REVERSE_TREE_CHILDREN_TIMEOUT of slurmstepd), and one that is lost would keep it from the next
    attempt for as long. The user's own command is one step, whose processes know each other by Slurm.
    """
    if job.launch == "srun":
        return [srun(job, attempt, rooms, around)]
    each = math.ceil(len(rooms) / STEPS)
    parts = [rooms[first : first + each] for first in range(0, len(rooms), each)]
    return [srun(job, attempt, rooms, around, part) for part in parts]


def srun(
    job: Job,
    attempt: Attempt,
    rooms: Sequence[Room],
    around: Sequence[str] = (),
    part: Sequence[Room] | None = None,
) -> list[str]:
    """One srun, on those of the rooms that are in `part`; None for all.

    One that cannot begin ends all (`--kill-on-bad-exit`, and the batch script for the other sruns): a gang without one
    of them is of no use. A keeper whose launcher has begun never ends badly, so that the others can say their last
    words. One that is done ends nobody (`--wait=0`).
    """
    folder, count = folder_of(attempt), len(rooms if part is None else part)
    own = job.launch == "srun"
    tasks = job.processes if own else 1
    processors = processors_of(job, rooms)
    each = None if processors is None else max(1, processors // tasks)
    return [
        *("srun", f"--nodes={count:d}", f"--ntasks={count * tasks:d}", f"--ntasks-per-node={tasks:d}"),
        *((f"--nodelist={','.join(room.name for room in part)}",) if part is not None else ()),
        *(
            "--kill-on-bad-exit=1",
            "--wait=0",
            "--export=ALL" if own else f"--export=ALL,AIOPS_PROGRESS={folder}/progress",  # what the agent knows it by
            "--input=none",
            "--open-mode=append",
        ),
        *((f"--cpus-per-task={each:d}",) if each is not None else ()),
        *(("--label", f"--chdir={job.folder}", f"--output={folder}/{LOG}") if own else _LAUNCHING),
        *((f"--output={folder}/step.log",) if not own else ()),
        *around,
        "--",
        *(job.command if own else ("python3", "-I", "-S", f"{folder}/{LAUNCHER}", folder)),
    ]


_LAUNCHING = ("--mpi=none", "--cpu-bind=none", "--chdir=/", "--label")


def asking(job: Job, attempt: Attempt, rooms: Sequence[Room]) -> list[str]:
    """What the batch script runs to ask all that it has started to save and leave; `JOB` is the job's number."""
    if job.launch == "srun":
        return ["scancel", "--signal=TERM", "JOB"]
    count = len(rooms)
    return [
        # Beside the launchers, which have all memory and devices of the job: it asks for none of its own.
        *(
            "srun",
            "--overlap",
            "--mem=0",
            "--gres=none",
            f"--nodes={count:d}",
            f"--ntasks={count:d}",
            "--ntasks-per-node=1",
        ),
        *("--mpi=none", "--cpu-bind=none", "--chdir=/", "--input=none", "--"),
        *("python3", "-I", "-S", "-c", _ASKING, folder_of(attempt), str(job.limits.stop)),
    ]


def environment(job: Job, attempt: Attempt, address: str) -> dict[str, str]:
    """What the user's own command sees where srun is given it as it is; a launcher sees to that itself.

    Args:
        job: The job.
        attempt: The attempt.
        address: Of its first node.
    """
    mine = {
        "AIOPS_JOB": job.id,
        "AIOPS_ATTEMPT": str(attempt.key.number),
        "AIOPS_EPOCH": str(attempt.key.number),
        "AIOPS_NODES": str(len(attempt.allocation.slots)),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(attempt.port),
    }
    if job.checkpoint is not None:
        mine |= {"AIOPS_CHECKPOINTS": job.checkpoint.path, "AIOPS_RESUME": attempt.resume or ""}
    return {**job.environment, **mine}


def script(
    job: Job,
    attempt: Attempt,
    rooms: Sequence[Room],
    address: str,
    *,
    around: Sequence[str] = (),
    term: Term | None = None,
) -> str:
    """The batch script: a program in Python on the stdin of one, in which all values are literals.

    Args:
        job: The job.
        attempt: The attempt.
        rooms: Its nodes, as for `sbatch`.
        address: Of its first node, for the others.
        around: Options of srun that put the user's own command into a container.
        term: Of the controller that submits it: once its node has seen a later one nothing is run.
    """
    own = (
        {}
        if job.launch != "srun"
        else {
            "folder": job.folder,
            "checkpoints": job.checkpoint.path if job.checkpoint is not None else None,
            "environment": environment(job, attempt, address),
        }
    )
    values: Mapping[str, object] = {
        "folder": folder_of(attempt),
        "key": str(attempt.key),
        "commands": sruns(job, attempt, rooms, around),
        "ask": asking(job, attempt, rooms),
        "own": own,
        "term": None if term is None else (term.lineage, term.number),
    }
    call = ", ".join(f"{name}={value!a}" for name, value in values.items())
    return f"#!/bin/sh\nexec python3 -I -S - <<'{_END}'\n{batch(f'main({call})')}{_END}\n"
