"""Submission: a job.yml becomes a Job, or all that keeps it from ever running is told. Nothing is started.

First the file alone (`read_job_file`); then, all at once, the cluster, the nodes' accounts and folders, and the
checkpoint that the job is to go on from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .checkpoint.checkpoint import Checkpoint
from .feasibility import Offer, candidates, misfit, obstacles
from .foothold import footing_obstacles
from .footing import Footing
from .job import Account, Job
from .job_file import JobFile, compile_job, wrong_job
from .node import Place

Look = Callable[[Job, Sequence[Place]], Mapping[str, Footing]]
"""Asks nodes what a job would stand on there: `footings` over a fleet."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a job is checked against.

    Attributes:
        places: All nodes, closed ones too.
        look: Is called once, with the nodes that the job may be placed on.
    """

    places: tuple[Place, ...]
    offer: Offer
    look: Look


def submission(
    file: JobFile,
    account: Account,
    number: int,
    now: datetime,
    cluster: Cluster,
    *,
    checkpoint: Checkpoint | None = None,
) -> Job:
    """The job, checked.

    Args:
        file: What was read.
        account: Whose it is.
        number: What makes its name unique in the store.
        now: When it was submitted.
        cluster: Where it is to run.
        checkpoint: What it is to go on from, where it is.

    Raises:
        InputError: It can never run there; all reasons together, with lines (`job.wrong`).
    """
    job = compile_job(file, account, number, now)
    problems = obstacles(file, job, cluster.places, cluster.offer)
    able = candidates(job, cluster.places)
    if able:
        problems += footing_obstacles(file, job, cluster.look(job, able))
    if checkpoint is not None and (found := misfit(file, job, checkpoint)) is not None:
        problems.append(found)
    if problems:
        raise wrong_job(problems, file.places.file)
    return job
