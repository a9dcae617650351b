"""Somebody who runs work on nodes, in memory; held to the same contract as Slurm."""

from collections.abc import Callable, Mapping, Sequence

from aiops.layers.core.errors import ConflictError, FailedError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.draining import PREFIX, Standing
from aiops.layers.l1_cluster.gate import STALE


class FakeWorkload:
    """Knows the nodes it is given; `work` is what runs where."""

    name = "Fake"

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.work: dict[str, list[str]] = {}
        self.reasons: dict[str, str] = {}
        self.down: set[str] = set()
        self.session: Callable[[str], str | None] = lambda _: "1"
        self.acts: list[tuple[str, tuple[str, ...]]] = []
        self.silent = False
        self.refusing = False
        self.answers_late = False
        """Whether it does what it is asked to and gives no answer in time."""
        self.out_most = 0
        self.epoch = 0
        """The highest that it has seen: a step of a lower one is refused."""

    def standings(self, nodes: Sequence[Node]) -> Mapping[str, Standing]:
        if self.silent:
            return {node.name: Standing("unknown", "it does not answer") for node in nodes}
        return {node.name: self._standing(node.name) for node in nodes if node.name in self.names}

    def _standing(self, name: str) -> Standing:
        session = self.session(name)
        work = tuple(self.work.get(name, ()))
        if name in self.down:
            return Standing("down", "Not responding", (), session)
        if name in self.reasons:
            return Standing("draining" if work else "drained", self.reasons[name], work, session)
        return Standing("in_service", "", work, session)

    def drain(self, nodes: Sequence[Node], reason: str, epoch: int) -> None:
        self._answer(epoch)
        for node in nodes:
            ours = self.reasons.get(node.name, PREFIX).startswith(PREFIX)
            if ours and node.name in self.names and node.name not in self.down:
                self.reasons[node.name] = reason
        self.acts.append(("drain", tuple(node.name for node in nodes)))
        self.out_most = max(self.out_most, len(self.reasons))
        if self.answers_late:
            raise FailedError("Fake: no answer in time", code="fake.silent")

    def resume(self, nodes: Sequence[Node], epoch: int) -> None:
        self._answer(epoch)
        self.acts.append(("resume", tuple(node.name for node in nodes)))
        for node in nodes:
            if self.reasons.get(node.name, "").startswith(PREFIX):
                del self.reasons[node.name]

    def _answer(self, epoch: int) -> None:
        if epoch < self.epoch:
            raise ConflictError(f"fence: epoch {epoch} is stale, this node has seen {self.epoch}", code=STALE)
        self.epoch = epoch
        if self.silent or self.refusing:
            raise FailedError("Fake: it refuses", code="fake.refused")
