"""A cluster, its controller and one job, while a fault is played or a healthy run goes by."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

from tests.l2_jobs.simulated_cluster import Cluster
from tests.l2_jobs.simulated_controller import SimulatedController
from tests.l2_jobs.simulated_program import Script

from aiops.layers.l2_jobs.attempt import Key
from aiops.layers.l2_jobs.job import Account, CheckpointPlan, Devices, Job, Span
from aiops.layers.l2_jobs.record import JobState
from aiops.layers.l2_jobs.roster import HOLDING

ANN = Account("ann", 1001, 1001)
Later = list[tuple[float, Callable[[], None]]]


def a_job(name: str, nodes: int = 2, most: int | None = None, **changes: object) -> Job:
    """A training job that saves."""
    job = Job(
        f"{name}-1",
        name,
        ANN,
        "batch",
        ("python", "train.py"),
        "torchrun",
        Span(nodes, most or nodes),
        Devices(8),
        8,
        "/shared",
        datetime(2026, 1, 1, tzinfo=UTC),
        checkpoint=CheckpointPlan(f"/shared/{name}"),
    )
    return replace(job, **changes)  # type: ignore[arg-type]


@dataclass
class Stage:
    """A cluster, its controller and one job, while a fault is played."""

    seed: int
    nodes: int = 5
    gang: int = 2
    script: Script = field(default_factory=Script)
    at: float = 20.0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - drawn by a seed
        self.cluster = Cluster([f"gpu{number:02}" for number in range(1, self.nodes + 1)], self.seed)
        self.controller = SimulatedController(self.cluster)
        self.job = a_job("llama", self.gang)
        self.cluster.scripts[self.job.id] = self.script
        self.later: Later = []
        self.expected: tuple[JobState, ...] = ("succeeded",)
        self.attempts: tuple[int, int] = (1, 99)
        self.unbroken = False

    @property
    def key(self) -> Key:
        attempt = self.controller.written[self.job.id].attempt
        assert attempt is not None
        return attempt.key

    @property
    def victim(self) -> str:
        """One of the nodes that the job runs on."""
        attempt = self.controller.written[self.job.id].attempt
        assert attempt is not None
        return self.random.choice(attempt.allocation.nodes)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something later."""
        self.later.append((self.cluster.now + seconds, act))

    def tick(self) -> None:
        """A quarter of a second, and what must always hold after it."""
        due = [act for at, act in self.later if at <= self.cluster.now]
        self.later = [one for one in self.later if one[0] > self.cluster.now]
        for act in due:
            act()
        self.controller.tick()
        self.cluster.wrongs += devices_wrong(self.controller)


def devices_wrong(controller: SimulatedController) -> Iterable[str]:
    """Devices that are given twice, and gangs that are not whole."""
    given: dict[tuple[str, int], float] = {}
    for record in controller.written.values():
        if record.state not in HOLDING or record.attempt is None:
            continue
        slots = record.attempt.allocation.slots
        span = record.job.nodes
        if not span.least <= len(slots) <= span.most or len({slot.node for slot in slots}) != len(slots):
            yield f"{controller.cluster.now:.2f} {record.job.id} is no whole gang: {slots}"
        for slot in slots:
            for device in slot.devices:
                given[slot.node, device] = given.get((slot.node, device), 0.0) + slot.share
    yield from (
        f"{controller.cluster.now:.2f} {one} is given {part:g} times" for one, part in given.items() if part > 1
    )
