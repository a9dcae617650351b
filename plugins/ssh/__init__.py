"""The engine `ssh`: aiops places jobs itself, and runs them over its own lines as units of systemd."""

from collections.abc import Mapping, Sequence

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.attempt import Attempt, Key
from aiops.layers.l2_jobs.container import contained_specs
from aiops.layers.l2_jobs.engine import Engine, EngineContext
from aiops.layers.l2_jobs.job import Job
from aiops.layers.l2_jobs.report import Report
from aiops.layers.l2_jobs.spec import Seat, seat_of


class SshEngine:
    """Runs attempts over the lines; it keeps nothing but which nodes they are on."""

    name = "ssh"

    def __init__(self, context: EngineContext) -> None:
        """Connect to nobody yet."""
        self._context = context
        self._lines = context.lines
        self._nodes: dict[Key, tuple[str, ...]] = {}

    def start(self, job: Job, attempt: Attempt) -> None:
        """Have every rank group of `attempt` run, once.

        Raises:
            InputError: It cannot run on this engine; nothing was started.
        """
        seats = {node: self._seat(job, node) for node in attempt.allocation.nodes}
        given = contained_specs(job, attempt, seats, self._context.containers)
        self._nodes[attempt.key] = attempt.allocation.nodes
        for node, spec in given.items():
            self._lines.start(attempt.key, node, spec)

    def stop(self, key: Key, *, seconds: float) -> None:
        """Ask all of an attempt to save and leave."""
        for node in self._nodes.get(key, ()):
            self._lines.stop(key, node, seconds)

    def kill(self, key: Key, nodes: Sequence[str]) -> None:
        """End at once what runs of an attempt on `nodes`."""
        known = self._nodes.get(key, ())
        self._nodes[key] = (*known, *(node for node in nodes if node not in known))
        for node in nodes:
            self._lines.kill(key, node)

    def adopt(self, running: Mapping[Key, tuple[Job, Attempt]]) -> None:
        """Follow attempts that an earlier controller has started."""
        for key, (job, attempt) in running.items():
            self._nodes[key] = attempt.allocation.nodes
            for node in attempt.allocation.nodes:
                self._lines.follow(key, node, job.owner.uid)

    def release(self, key: Key) -> None:
        """Forget an attempt that has ended."""
        for node in self._nodes.pop(key, ()):
            self._lines.release(key, node)

    def reports(self) -> list[Report]:
        """What has come of its attempts since the last call."""
        return self._lines.reports(tuple(self._nodes)) if self._nodes else []

    def close(self) -> None:
        """Nothing: the lines are their owner's, who lets go of them."""

    def _seat(self, job: Job, name: str) -> Seat:
        return seat_of(job, self._context.inventory.node(name), self._context.vendor(name))


@hookimpl
def engine(context: EngineContext) -> Engine:
    """The engine; every cluster has it, for nodes with `aiops_engine: ssh`."""
    return SshEngine(context)
