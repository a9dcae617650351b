"""What is known of the nodes in one deploy: their facts, what each phase wants of them, and what was seen there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from aiops.layers.core.errors import AiopsError, InputError, UnreachableError
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.fleet import Outcome
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node

from .bundle.offer import Offer
from .change import Change, difference
from .context import ClusterContext, cluster_context
from .desired import Desired, SecretSource
from .observation import Observation, asks_for, read_observation
from .phase import Phase
from .resource import Resource

AsksFor = Callable[[Node], tuple[Ask, ...]]


class Prober(Protocol):
    """How nodes are asked: one round trip each, all at once."""

    def probe(self, nodes: Sequence[Node], asks_for: AsksFor) -> Iterator[Outcome[Record]]:
        """The records of `nodes` as they come; a node that cannot be asked is an outcome with its error."""
        ...

    def fact_asks(self, node: Node) -> tuple[Ask, ...]:
        """What is asked for the facts."""
        ...

    def facts(self, record: Record) -> Facts:
        """The facts in a record that has the answers to `fact_asks`."""
        ...


class Memory(Protocol):
    """What nodes said in earlier deploys."""

    def keep(self, record: Record) -> None:
        """Remember a node's record."""
        ...

    def of(self, node: str) -> Record | None:
        """The last record of a node, or None."""
        ...


class Survey:
    """Asks and remembers; judging is left to pure functions."""

    def __init__(
        self,
        inventory: Inventory,
        phases: Sequence[Phase],
        prober: Prober,
        secrets: SecretSource,
        *,
        bundle: Offer | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.facts: dict[str, Facts] = {}
        self._memory = memory
        self._recalled: dict[str, Facts] = {}
        self._inventory = inventory
        self._bundle = bundle
        self._prober = prober
        self._desired = {phase.name: Desired(phase, secrets) for phase in phases}
        self._observations: dict[str, Observation] = {}
        self._asked: dict[str, Mapping[str, frozenset[str]]] = {}
        self._cluster: ClusterContext | None = None

    @property
    def cluster(self) -> ClusterContext:
        """What templates see, with the newest facts; of nodes that do not answer, those of an earlier deploy."""
        if self._cluster is None:
            self._cluster = cluster_context(self._inventory, {**self._recalled, **self.facts}, self._bundle)
        return self._cluster

    def learn(self, nodes: Sequence[Node]) -> Iterator[tuple[Node, AiopsError | None]]:
        """Ask for facts; tell of each node as it answers."""
        for outcome in self._prober.probe(nodes, self._prober.fact_asks):
            if outcome.value is not None:
                self._remember(outcome.node, self._prober.facts(outcome.value))
                if self._memory is not None:
                    self._memory.keep(outcome.value)
            elif self._memory is not None and (record := self._memory.of(outcome.node.name)) is not None:
                self._recalled[outcome.node.name] = self._prober.facts(record)
            yield outcome.node, outcome.error

    def resources(self, phase: str, node: str) -> tuple[Resource, ...]:
        """What `phase` wants of `node`, by the newest facts.

        Raises:
            InputError: The phase cannot be worked out for this node.
        """
        return self._desired[phase].of(self.cluster.node(node), self.cluster)

    def observe(self, nodes: Sequence[Node], phases: Sequence[str]) -> dict[str, AiopsError]:
        """Look at everything that `phases` want of `nodes`, facts too.

        Returns:
            Errors by node: it did not answer, or a phase cannot be worked out for it (an `InputError`).
        """
        errors: dict[str, AiopsError] = {}
        wanted: dict[str, list[Resource]] = {}
        for node in nodes:
            try:
                wanted[node.name] = [one for phase in phases for one in self.resources(phase, node.name)]
            except InputError as error:
                errors[node.name] = error
        asks = {name: asks_for(resources) for name, resources in wanted.items()}
        known = [node for node in nodes if node.name in wanted]
        for outcome in self._prober.probe(known, lambda node: (*self._prober.fact_asks(node), *asks[node.name])):
            name = outcome.node.name
            if outcome.value is None:
                errors[name] = outcome.error or UnreachableError(f"{name} gave no answer", code="probe.silent")
                continue
            self._remember(outcome.node, self._prober.facts(outcome.value))
            self._observations[name] = read_observation(outcome.value, wanted[name])
            self._asked[name] = _subjects(asks[name])
        return errors

    def unasked(self, phase: str, nodes: Iterable[Node]) -> list[Node]:
        """Nodes of which newer facts make `phase` want what was not looked at yet."""
        return [
            node
            for node in nodes
            if any(
                not subjects <= self._asked.get(node.name, {}).get(ask, frozenset())
                for ask, subjects in _subjects(asks_for(self.resources(phase, node.name))).items()
            )
        ]

    def differences(self, phase: str, node: str) -> tuple[Change, ...]:
        """What differs on `node` from what `phase` wants, by the last look."""
        return difference(self.resources(phase, node), self._observations[node])

    def _remember(self, node: Node, facts: Facts) -> None:
        self.facts[node.name] = facts
        self._cluster = None


def _subjects(asks: Iterable[Ask]) -> dict[str, frozenset[str]]:
    return {ask.name: frozenset((*ask.argv, *ask.paths)) for ask in asks}


def describe(facts: Iterable[Facts]) -> str:
    """What there is, in a line: `Debian 12, 16 × NVIDIA H100 80GB HBM3, simulated`."""
    systems: dict[str, int] = {}
    devices: dict[str, int] = {}
    simulated = False
    for one in facts:
        simulated |= one.simulated
        name = " ".join(word for word in ((one.os_id or "").capitalize(), one.os_version) if word)
        systems[name or "unknown system"] = systems.get(name or "unknown system", 0) + 1
        if one.accelerators:
            for device in one.accelerators:
                model = device.model or device.vendor
                devices[model] = devices.get(model, 0) + 1
        else:
            for bus in one.bus_accelerators or ():
                devices[bus.vendor] = devices.get(bus.vendor, 0) + bus.count
    parts = [name if len(systems) == 1 else f"{count} {name}" for name, count in sorted(systems.items())]
    parts += [f"{count} × {model}" for model, count in sorted(devices.items())]
    return ", ".join([*parts, *(["simulated"] if simulated else [])])
