"""job.yml: read with all its mistakes told at once, with lines, and compiled to a Job. Pure but for reading the file.

The format is `JobDocument`; docs/reference/job.yml is its commented example.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.core.file import why_unreadable
from aiops.layers.core.places import Override, Places, Spelling, read_places

from .job import Account, CheckpointPlan, Devices, Job, Limits, ProgressPlan, Restarts, Service, Span
from .job_conflicts import conflicts, launch_of
from .job_document import CAUSERS, JobDocument
from .job_mistake import GRAMMAR
from .mistake import mistakes

SPELLING = Spelling(
    first="name: sft",
    short={"nodes": ("min", "max"), "devices": ("count",)},
    as_written=("command", "env", "name"),
)
_STAND_INS = {"aiops": 1, "name": "x", "command": ["true"]}
"""For required keys that are wrong, so that what lies between the others is judged too."""


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job.yml that is whole.

    Attributes:
        text: As it was written, without what the command line has changed.
        places: Where each value stands, for what is found wrong later.
        folder: Where the job begins when the file does not say.
    """

    text: str = field(repr=False)
    document: JobDocument
    places: Places = field(repr=False)
    folder: str


def job_text(path: Path, name: str) -> str:
    """The text of a job file.

    Args:
        path: Where it is.
        name: What it is called in words about it.

    Raises:
        InputError: It cannot be read (`job.unreadable`).
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name} cannot be read: {why_unreadable(error)}",
            code="job.unreadable",
            hints=["a commented example is docs/reference/job.yml"],
        ) from error


def load_job_file(path: Path, overrides: Sequence[Override] = ()) -> JobFile:
    """The job in a file.

    Raises:
        InputError: It cannot be read (`job.unreadable`), or says something wrong (`job.wrong`).
    """
    name = str(path)
    return read_job_file(job_text(path, name), name, folder=str(path.absolute().parent), overrides=overrides)


def read_job_file(text: str, name: str, *, folder: str, overrides: Sequence[Override] = ()) -> JobFile:
    """The job that a text says.

    Args:
        text: A job.yml.
        name: The file's, for words about it.
        folder: Where the job begins when the file does not say.
        overrides: What the command line says instead.

    Raises:
        InputError: It says something wrong; all mistakes together, with lines (`job.wrong`).
    """
    problems: list[Problem] = []
    places = read_places(text, name, overrides, problems, SPELLING)
    document = _document(places, problems) if places is not None else None
    if problems or places is None or document is None:
        raise wrong_job(problems, name)
    return JobFile(text, document, places, folder)


def wrong_job(problems: Sequence[Problem], name: str) -> InputError:
    """The error that tells `problems` of a job."""
    count = len(problems)
    return InputError(
        f"{count} mistake{'s' * (count != 1)} in {name}",
        code="job.wrong",
        problems=sorted(problems, key=lambda one: (one.file != name, one.line or 0)),
        hints=["every key with an example is in docs/reference/job.yml"],
    )


def _document(places: Places, problems: list[Problem]) -> JobDocument | None:
    plain = places.plain()
    try:
        document = JobDocument.model_validate(plain)
        spoiled: frozenset[str] = frozenset()
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems.extend(mistakes([dict(detail) for detail in details], places, GRAMMAR))
        spoiled = frozenset(str(detail["loc"][0]) for detail in details)
        sound: dict[str, Any] = {key: value for key, value in plain.items() if key not in spoiled}
        document = JobDocument.model_validate({**_STAND_INS, **sound})
    problems.extend(places.problem(path, words, hint) for path, words, hint in conflicts(document, spoiled))
    return document


def compile_job(file: JobFile, account: Account, number: int, now: datetime) -> Job:
    """The job that a file describes. Pure.

    Args:
        file: What was read.
        account: Whose it is.
        number: What makes its name unique in the store.
        now: When it was submitted.
    """
    document = file.document
    launch = launch_of(document)
    devices = _devices(document)
    return Job(
        id=f"{document.name}-{number}",
        name=document.name,
        owner=account,
        kind=document.kind,
        command=document.command,
        launch=launch,
        nodes=Span(document.nodes.min, document.nodes.max or document.nodes.min, document.nodes.only),
        devices=devices,
        processes=(document.processes or max(devices.count, 1)) if launch == "torchrun" else 1,
        folder=document.folder or file.folder,
        submitted=now,
        engine=document.engine or ("slurm" if launch == "srun" else None),
        environment=dict(document.env),
        checkpoint=_checkpoint(document),
        progress=ProgressPlan(document.progress.regex) if document.progress else None,
        limits=Limits(**document.limits.model_dump()),
        restarts=_restarts(document),
        on_fault=document.on_fault,
        service=_service(document),
        image=document.image,
        stack=document.environment,
        spares=document.spares,
        priority=document.priority,
        queue=document.queue,
        source=file.text,
    )


def _devices(document: JobDocument) -> Devices:
    devices = document.devices
    count = 1 if devices.share is not None else devices.count or 0
    return Devices(count, devices.share, devices.vendor)


def _checkpoint(document: JobDocument) -> CheckpointPlan | None:
    plan = document.checkpoint
    return CheckpointPlan(plan.path, plan.format, plan.every, plan.keep, plan.resume) if plan else None


def _restarts(document: JobDocument) -> Restarts:
    said = {causer: getattr(document.restarts, causer) for causer in CAUSERS}
    budget = {causer: count for causer, count in said.items() if count is not None}
    return Restarts(budget, document.restarts.without_progress)


def _service(document: JobDocument) -> Service | None:
    if document.kind != "service":
        return None
    said = document.service
    return Service(tuple(said.ports), said.ready, said.ready_within) if said else Service()
