"""Run: one carrying out of a recipe, with the digests of all that made it. Pure; its folder is `run_folder`'s."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiops.layers.l1_cluster.bundle.environment import PLACE

from .data.dataset import Manifest
from .recipe import Recipe

Cause = Literal["base", "data", "recipe", "code", "environment"]
"""What a run is made of: each has a digest, and a resume refuses another one unless it is told not to. That of the
environment may be unknown, for only nodes can say it."""

METRICS = "metrics.jsonl"
"""Below the folder of a run, laid out as docs/decisions/tuning.md has it; not there where a tool tells nothing."""

CAUSES: tuple[Cause, ...] = ("base", "data", "recipe", "code", "environment")


@dataclass(frozen=True, slots=True)
class Base:
    """The model that is tuned.

    Attributes:
        path: Absolute, the same on all nodes.
        digest: sha256 over the names, sizes and sha256 of its files.
        config: What its config.json says.
    """

    path: str
    digest: str
    config: Mapping[str, Any] = field(default_factory=dict, hash=False, repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The data of a run.

    Attributes:
        path: The folder of prepared data, absolute.
        manifest: What it says of itself.
        held_out: The same of its part that is held out; None where it has none.
    """

    path: str
    manifest: Manifest
    held_out: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One carrying out of a recipe.

    Attributes:
        name: The recipe's and a number, `llama-facts-3`.
        folder: Its own, absolute, the same on all nodes; all paths of what a trainer renders begin there.
        recipe: Resolved.
        base: The model that is tuned.
        data: What is learnt from.
        code: sha256 over the trainer's own code, as it lies in `worker`.
        steps: Of the optimizer, in all.
        total_tokens: That are read in them, with padding left out; about, where samples differ in length.
        world: Processes of all nodes together.
        environment: The folder of the trainer's environment on nodes, absolute: its Python is `bin/python`.
        allowed: What may differ from what a checkpoint was written with (`--allow-changed`).
        simulated: Whether its nodes are hosts of the lab, as they said when it was planned; None where not known.
    """

    name: str
    folder: str
    recipe: Recipe
    base: Base
    data: Prepared
    code: str
    steps: int
    total_tokens: int
    world: int
    environment: str
    allowed: tuple[Cause, ...] = ()
    simulated: bool | None = None

    @property
    def file(self) -> str:
        """What it is made of; a trainer may be given it, or files of its own."""
        return f"{self.folder}/run.json"

    @property
    def metrics(self) -> str:
        """A line for each step that was told."""
        return f"{self.folder}/{METRICS}"

    @property
    def checkpoints(self) -> str:
        """Where checkpoints are written."""
        return f"{self.folder}/checkpoints"

    @property
    def worker(self) -> str:
        """Where the trainer's own code lies: `Trainer.code` of the time when the run was made."""
        return f"{self.folder}/worker/{self.code[:16]}"

    @property
    def artefact(self) -> str:
        """Where the tuned model is written."""
        return f"{self.folder}/artefact"


def environment_of(recipe: Recipe, wanted: str) -> str:
    """The folder of the environment that a run uses on nodes.

    Args:
        recipe: What the user says of it.
        wanted: The trainer's own, where the user says nothing.
    """
    name = recipe.environment or wanted
    return name if name.startswith("/") else f"{PLACE}/{name}"


def processes_of(recipe: Recipe) -> int:
    """Processes of each node: one for each device, and one on processors, where the recipe does not say."""
    return recipe.placement.processes or max(recipe.placement.devices, 1)


def world_of(recipe: Recipe) -> int:
    """Processes of all nodes together."""
    return recipe.placement.nodes * processes_of(recipe)
