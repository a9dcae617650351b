"""What the command line of `aiops train` says instead of a job.yml: `--set`, `--nodes` and their like. Pure."""

import re
from collections.abc import Sequence

from aiops.layers.core.errors import InputError
from aiops.layers.core.places import Override

from .job_document import CAUSERS

_KEY = re.compile(r"^[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*$")
_NODES = re.compile(r"^(\d{1,6})(?:-(\d{1,6}))?$")


def overrides_of(
    sets: Sequence[str] = (),
    *,
    nodes: str | None = None,
    engine: str | None = None,
    priority: int | None = None,
    queue: str | None = None,
    max_restarts: int | None = None,
    resume: bool = False,
    example: str = "limits.time=2d",
) -> tuple[Override, ...]:
    """The options as overrides, `--set` first, so that an option of its own counts more.

    Args:
        sets: `KEY=VALUE` with dots between keys, `limits.time=2d`; the value is YAML.
        nodes: `4`, or `2-4`.
        engine: `ssh` or `slurm`.
        priority: 0 to 100.
        queue: Its name.
        max_restarts: For the faults of each causer.
        resume: To begin with the newest checkpoint that is there.
        example: Of `--set`, for whoever wrote it wrong: what they set is a job file's, or another kind's.

    Raises:
        InputError: One of them cannot be understood (`job.option`).
    """
    found = [_set(text, example) for text in sets]
    if nodes is not None:
        spans = _NODES.match(nodes)
        if not spans:
            raise InputError(
                f"`--nodes {nodes}` is no number of nodes", code="job.option", hints=["`--nodes 4`, or `--nodes 2-4`"]
            )
        option = f"--nodes {nodes}"
        found += [
            Override(("nodes", "min"), spans[1], option),
            Override(("nodes", "max"), spans[2] or spans[1], option),
        ]
    for name, value in (("engine", engine), ("priority", priority), ("queue", queue)):
        if value is not None:
            found.append(Override((name,), str(value), f"--{name} {value}"))
    if max_restarts is not None:
        option = f"--max-restarts {max_restarts}"
        found += [Override(("restarts", causer), str(max_restarts), option) for causer in CAUSERS]
    if resume:
        found.append(Override(("checkpoint", "resume"), "true", "--resume"))
    return tuple(found)


def _set(text: str, example: str) -> Override:
    key, equals, value = text.partition("=")
    if not equals or not _KEY.match(key):
        raise InputError(
            f"`--set {text}` sets nothing", code="job.option", hints=[f"write it as KEY=VALUE: `--set {example}`"]
        )
    return Override(tuple(key.split(".")), value if value.strip() else "''", f"--set {text}")
