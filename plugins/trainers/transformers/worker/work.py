"""Work: what this run is to do, as the plugin wrote it down in `trainer.json`. Standard library only."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

FILE = "trainer.json"
VERSION = 1
"""A run keeps its worker, and a later aiops renders what that is given. So a key may be added there, which workers of
before pass over; whoever leaves one out or has it mean something else raises this number, and such runs are refused."""

CAUSES = ("base", "data", "recipe", "code")
"""What a run is made of; each has a digest."""


class RefusedError(Exception):
    """This run cannot be done as it is asked for; the words say why and what to do."""


class LeaveError(Exception):
    """This process was asked to leave, and nothing that it has begun is worth more than that."""


@dataclass(frozen=True, slots=True)
class Work:
    """One run.

    Attributes:
        folder: Of the run, the same on all nodes.
        base: The folder of the model.
        data: The folder of prepared data.
        digests: Of each of `CAUSES`.
        allowed: Which of them may differ from those of a checkpoint.
        template: A file with the chat template that the data was rendered with; None for the base's own.
        form: What the rows of the data are.
        held_out: Whether the data has a part that is held out.
        length: Tokens of a sample, at most.
        devices: Of each node; 0 trains on the processors.
        threads: Of torch on processors; None leaves it as the environment has it.
        trace: Whether the samples of each step are written down.
        simulated: Whether its nodes are simulated hardware; None where that is not known.
    """

    run: str
    name: str
    folder: str
    base: str
    data: str
    digests: Mapping[str, str]
    allowed: tuple[str, ...]
    form: str
    packed: bool
    held_out: bool
    length: int
    template: str | None
    method: str
    adapter: Mapping[str, Any]
    steps: int
    world: int
    batch: int
    accumulate: int
    rate: float
    schedule: str
    warmup: int
    weight_decay: float
    clip: float
    optimizer: str
    precision: str
    attention: str
    recompute: bool
    seed: int
    beta: float
    log_every: int
    sharding: str
    devices: int
    threads: int | None
    every: int
    keep: int
    questions: str | None
    right: float
    loss: float | None
    tokens: int
    alias: str | None
    merge: bool
    gguf: tuple[str, ...]
    trace: bool = False
    simulated: bool | None = None

    @property
    def checkpoints(self) -> Path:
        """Where they are."""
        return Path(self.folder, "checkpoints")

    @property
    def artefact(self) -> Path:
        """Where the tuned model is written."""
        return Path(self.folder, "artefact")


def read(path: Path) -> Work:
    """What a run is to do.

    Raises:
        RefusedError: The file is not one of this version.
    """
    try:
        said = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RefusedError(f"{path} cannot be read: {error}") from error
    version = said.get("v") if isinstance(said, dict) else None
    if version != VERSION:
        raise RefusedError(
            f"{path} is of version {version}, and this is the worker of version {VERSION}\n\nhint: go on with the "
            "aiops that has begun the run, or with the worker of this one: `--resume --allow-changed code`"
        )
    known = {one.name: said[one.name] for one in fields(Work) if one.name in said}
    try:
        return Work(**{**known, "allowed": tuple(said["allowed"]), "gguf": tuple(said["gguf"])})
    except (TypeError, KeyError) as error:
        raise RefusedError(f"{path} does not say all that is needed: {error}") from error


def changed(work: Work, told: Mapping[str, Any]) -> list[str]:
    """How a run differs from the one that wrote a checkpoint, in words. Pure.

    Args:
        work: This run.
        told: The `data` of the checkpoint's manifest.
    """
    found = []
    digests = told.get("digests")
    before = digests if isinstance(digests, Mapping) else {}
    for cause in CAUSES:
        if cause not in work.allowed and before.get(cause) != work.digests[cause]:
            was = str(before.get(cause))[:12]
            found.append(f"the {cause} is another: it was {was}, and is {work.digests[cause][:12]}")
    if told.get("world") != work.world:
        found.append(f"it was written by {told.get('world')} processes, and these are {work.world}")
    return found


def refuse_changed(work: Work, checkpoint: Path) -> int:
    """The step of a checkpoint that this run may go on from.

    Raises:
        RefusedError: It may not.
    """
    try:
        manifest = json.loads((checkpoint / "aiops-manifest.json").read_text())
        step, told = int(manifest["step"]), manifest["data"]
        found = changed(work, told)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(f"{checkpoint} has no manifest of this trainer: {error!r}") from error
    if found:
        raise RefusedError(
            f"{checkpoint} is of another run, and nothing was changed:\n  " + "\n  ".join(found) + "\n\nhint: put back "
            "what it was made with, begin a new run, or say `--allow-changed` with what may differ"
        )
    return step
