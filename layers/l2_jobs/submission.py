"""Submission: a job.yml becomes a Job, or all that keeps it from ever running is told. Nothing is started.

First the file alone (`read_job_file`); then, all at once, the cluster, the nodes' accounts and folders, and what lies
in the folder of its checkpoints.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiops.layers.core.errors import Problem

from .checkpoint.checkpoint import Checkpoint
from .feasibility import Offer, candidates, misfit, obstacles
from .foothold import footing_obstacles
from .footing import Footing
from .job import Account, CheckpointPlan, Job
from .job_file import JobFile, compile_job, wrong_job
from .node import Place
from .stack import Stack, settled, stack_obstacles

Lying = Callable[[Job], Sequence[Checkpoint]]
"""The checkpoints that are in a job's folder before it was submitted, the newest first."""

Look = Callable[[Job, Sequence[Place]], Mapping[str, Footing]]
"""Asks nodes what a job would stand on there: `footings` over a fleet."""


Ask = Callable[[Job, Sequence[Place]], Mapping[str, Stack]]
"""Asks nodes for the environment that a job names: `stacks` over a fleet."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a job is checked against.

    Attributes:
        places: All nodes, closed ones too.
        look: Is called once, with the nodes that the job may be placed on.
        ask: Is called once where the job names an environment.
        lying: Is called where that has found nothing wrong.
    """

    places: tuple[Place, ...]
    offer: Offer
    look: Look
    lying: Lying
    ask: Ask | None = None


def submission(file: JobFile, account: Account, number: int, now: datetime, cluster: Cluster) -> Job:
    """The job, checked.

    Args:
        file: What was read.
        account: Whose it is.
        number: What makes its name unique in the store.
        now: When it was submitted.
        cluster: Where it is to run.

    Raises:
        InputError: It can never run there; all reasons together, with lines (`job.wrong`).
    """
    job = compile_job(file, account, number, now)
    problems = obstacles(file, job, cluster.places, cluster.offer)
    able = candidates(job, cluster.places)
    if able:
        problems += footing_obstacles(file, job, cluster.look(job, able))
        if job.stack is not None and cluster.ask is not None:
            found = cluster.ask(job, able)
            problems += stack_obstacles(file, job, found, {place.name: place.vendor for place in able})
            job = settled(job, found)
    if job.checkpoint is not None and not problems:
        problems += _lying(file, job, job.checkpoint, cluster.lying(job))
    if problems:
        raise wrong_job(problems, file.places.file)
    return job


def _lying(file: JobFile, job: Job, plan: CheckpointPlan, there: Sequence[Checkpoint]) -> list[Problem]:
    """What speaks against the checkpoints that lie in the folder: a job never takes another's for its own."""
    path = ("checkpoint", "path")
    if not plan.resume:
        if not there:
            return []
        step = "" if there[0].step is None else f", the newest of step {there[0].step}"
        count = "a checkpoint" if len(there) == 1 else f"{len(there)} checkpoints"
        hint = "go on from them: the same command with `--resume`; or name a folder of its own for a new run"
        return [file.places.problem(path, f"{plan.path} has {count} already{step}", hint)]
    best = next((one for one in there if one.verified), None)
    if best is None:
        why = f", the newest: {there[0].why}" if there and there[0].why else ""
        words = f"there is no checkpoint in {plan.path} to go on from" if not there else f"none verifies{why}"
        hint = f"see what is there: `aiops checkpoint list {plan.path}`; without `--resume` it begins at the beginning"
        return [file.places.problem(path, words, hint)]
    found = misfit(file, job, best)
    return [] if found is None else [found]
