"""The seam for those who run attempts: `ssh`, and Slurm. `tests/l2_jobs/engine_contract.py` is what all do alike.

An engine starts, stops and tells. It decides nothing: that is `decide`'s part.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aiops.layers.core.clock import Clock
from aiops.layers.core.plugin import hookspec
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory

from .attempt import Attempt, Key
from .container import Container
from .defects import Defects
from .job import Job
from .line import Lines
from .report import Report
from .term import Term


class Engine(Protocol):
    """Who runs attempts."""

    @property
    def name(self) -> str:
        """`ssh` or `slurm`."""
        ...

    def start(self, job: Job, attempt: Attempt) -> None:
        """Have every rank group of `attempt` run, once; `Started` or `NotStarted` comes later for each node.

        An attempt that was started before, by this process or an earlier one, is followed and not started again.

        Raises:
            AiopsError: It cannot be asked; nothing of it was started, or the same call later finds it.
        """
        ...

    def stop(self, key: Key, *, seconds: float) -> None:
        """Ask all of an attempt to save and leave, and end what is left after `seconds`; `Ended` comes for each node.

        Of one that does not run, or is stopped already, nothing comes of it.
        """
        ...

    def kill(self, key: Key, nodes: Sequence[str]) -> None:
        """End at once what runs of an attempt on `nodes`.

        `Ended` comes for each that can be reached, also for those on which nothing of it runs any more.
        """
        ...

    def adopt(self, running: Mapping[Key, tuple[Job, Attempt]]) -> None:
        """Follow attempts that an earlier controller has started; for each rank group `Started` or `Ended` comes."""
        ...

    def release(self, key: Key) -> None:
        """Forget an attempt that has ended and was written down: what it left on its nodes may go."""
        ...

    def reports(self) -> list[Report]:
        """What has come since the last call; never waits."""
        ...

    def close(self) -> None:
        """Let go of all connections; what runs goes on."""
        ...


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What engines are given.

    Attributes:
        lines: The open lines to nodes, shared by all engines.
        vendor: The maker of a node's accelerators, as its facts have it; None without any, or where none are known.
        containers: The kinds of containers that are installed, by name.
        term: Of the controller; None where nobody is to be told apart.
        defects: Is told of ours that a node's or a job's words have met.
    """

    inventory: Inventory
    fleet: Fleet
    clock: Clock
    lines: Lines
    vendor: Callable[[str], str | None] = lambda _name: None
    containers: Callable[[], Mapping[str, Container]] = dict
    term: Term | None = None
    defects: Defects = field(default_factory=Defects)


class EngineHooks:
    """Hooks of the kind `engine`."""

    @hookspec
    def engine(self, context: EngineContext) -> Engine | None:
        """The engine of this cluster; None where it has none of this kind. It connects to nobody yet."""
