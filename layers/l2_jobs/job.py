"""Job: one intention to run, as it was submitted. It is compiled from job.yml, and nothing in it changes afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["batch", "service"]
Launch = Literal["torchrun", "command", "srun"]
"""`torchrun`: one agent per node, with a rendezvous of the attempt's own. `command`: one process per node. `srun`: the
command is given to Slurm's srun as it is."""

EngineName = Literal["ssh", "slurm"]
OnFault = Literal["restart", "hold"]


@dataclass(frozen=True, slots=True)
class Account:
    """Whose job it is: the same user and number on all nodes, which is checked before a start."""

    user: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Span:
    """How many nodes.

    Attributes:
        least: Fewer are never started.
        most: As many as there are room for, up to this; restarts may shrink to `least`.
        chosen: Only these may be used; empty for any.
    """

    least: int
    most: int
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Devices:
    """What is taken of each node.

    Attributes:
        count: Whole accelerators; with `share` exactly one, of which a part is taken.
        share: Part of one accelerator's memory, 0 < share < 1; None for whole ones.
        vendor: Only of this maker; None for any (all nodes of an attempt have the same).
    """

    count: int = 0
    share: float | None = None
    vendor: str | None = None


@dataclass(frozen=True, slots=True)
class CheckpointPlan:
    """Where checkpoints are written.

    Attributes:
        path: The folder, the same on all nodes.
        format: Name of a plugin of the kind `checkpoint_format`; `auto` finds out.
        every: Steps between two, where the job says it; only for words.
        keep: Good ones that pruning leaves.
        resume: Whether its first attempt goes on from what is there already; else nothing may be there.
    """

    path: str
    format: str = "auto"
    every: int | None = None
    keep: int = 2
    resume: bool = False


@dataclass(frozen=True, slots=True)
class ProgressPlan:
    """How steps are seen of a program that does not tell them itself.

    Attributes:
        regex: With a group `step` and perhaps `loss`, searched in each line of output.
    """

    regex: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job may take.

    Attributes:
        time: Seconds that it may run in all attempts together; None for no limit.
        hang: Seconds without progress after which it is taken for hung; None for automatic, inf for never.
        memory: Bytes of each node; None for no limit.
        processors: Of each node; None for no limit.
        stop: Seconds it has to save and leave when it is asked to.
    """

    time: float | None = None
    hang: float | None = None
    memory: int | None = None
    processors: float | None = None
    stop: float = 30.0


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often a job is started again, by who caused the fault.

    Attributes:
        budget: By causer (`node`, `network`, `storage`, `framework`, `scheduler`, `process`): so often.
        without_progress: Attempts in a row without a newer verified checkpoint after which it is held, whatever it was.
    """

    budget: Mapping[str, int] = field(default_factory=dict, hash=False)
    without_progress: int = 3


@dataclass(frozen=True, slots=True)
class Service:
    """What a job of the kind `service` has beside.

    Attributes:
        ports: Names of the ports that it is given, as AIOPS_PORT_NAME.
        ready: A command that ends with 0 once it serves, run on its first node; or `http:PORTNAME/path`.
        ready_seconds: How long that may take.
    """

    ports: tuple[str, ...] = ()
    ready: tuple[str, ...] | str = ()
    ready_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Job:
    """One intention to run.

    Attributes:
        id: Unique in the store: the name and a number, `llama-sft-7`.
        command: Words, never a shell line.
        processes: Per node; by default one for each device, at least one.
        environment: Of the processes, beside what aiops gives.
        folder: Where they begin.
        engine: Which must run it; None for the one that the chosen nodes belong to.
        image: A container image, for a plugin of the kind `container`; None for none.
        stack: The environment of Python that its programs run in: as the file names it, and once its nodes were asked,
            the folder; None for the node's own.
        spares: Healthy nodes that are kept free for it.
        priority: 0 to 100; more goes first.
        source: The text of job.yml that it was compiled from.
    """

    id: str
    name: str
    owner: Account
    kind: Kind
    command: tuple[str, ...]
    launch: Launch
    nodes: Span
    devices: Devices
    processes: int
    folder: str
    submitted: datetime
    engine: EngineName | None = None
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    checkpoint: CheckpointPlan | None = None
    progress: ProgressPlan | None = None
    limits: Limits = field(default_factory=Limits)
    restarts: Restarts = field(default_factory=Restarts)
    on_fault: OnFault = "restart"
    service: Service | None = None
    image: str | None = None
    stack: str | None = None
    spares: int = 0
    priority: int = 50
    queue: str = "default"
    source: str = field(default="", repr=False)
