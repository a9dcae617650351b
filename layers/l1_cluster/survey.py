"""What is known of the nodes in one deploy: their facts, what each phase wants of them, and what was seen there."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from aiops.layers.core.errors import AiopsError, InputError, UnreachableError
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.fleet import Outcome
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node

from .bundle.offer import Offer
from .change import Change, difference
from .context import ClusterContext, cluster_context
from .desired import Desired, SecretSource
from .likeness import Likeness, likenesses
from .observation import Observation, asks_for, read_observation
from .phase import Phase
from .resource import Resource

_WHENEVER = datetime.min.replace(tzinfo=UTC)

AsksFor = Callable[[Node], tuple[Ask, ...]]


class Prober(Protocol):
    """How nodes are asked: one round trip each, all at once."""

    def probe(self, nodes: Sequence[Node], asks_for: AsksFor) -> Iterator[Outcome[Record]]:
        """The records of `nodes` as they come; a node that cannot be asked is an outcome with its error."""
        ...

    def fact_asks(self, node: Node, *, devices: bool = True) -> tuple[Ask, ...]:
        """What is asked for the facts; without `devices` no vendor's tool, for these are slow."""
        ...

    def facts(self, record: Record, devices_of: Facts | None = None) -> Facts:
        """The facts in a record that has the answers to `fact_asks`.

        Args:
            record: Of the node.
            devices_of: Earlier facts of it, where the record was not asked for devices: they are taken from there.
        """
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
        self._resources: dict[tuple[str, str], tuple[Resource, ...]] = {}

    @property
    def cluster(self) -> ClusterContext:
        """What templates see, with the newest facts; of nodes that do not answer, those of an earlier deploy.

        A node that has never answered is taken to be as most nodes of its groups are. The context stays the same one
        until a node says something new; readings that never stand still are those of then.
        """
        if self._cluster is None:
            taken = {one.node: one.facts for one in self.likenesses}
            self._cluster = cluster_context(self._inventory, {**taken, **self._recalled, **self.facts}, self._bundle)
        return self._cluster

    @property
    def likenesses(self) -> tuple[Likeness, ...]:
        """What nodes that have never answered are taken to be."""
        return likenesses(self._inventory.nodes, {**self._recalled, **self.facts})

    def learn(self, nodes: Sequence[Node]) -> Iterator[tuple[Node, AiopsError | None]]:
        """Ask for facts; tell of each node as it answers."""
        for outcome in self._prober.probe(nodes, self._prober.fact_asks):
            if outcome.value is not None:
                self._remember(outcome.node, self._prober.facts(outcome.value))
                if self._memory is not None:
                    self._memory.keep(outcome.value)
            elif self._memory is not None and (record := self._memory.of(outcome.node.name)) is not None:
                self._recalled[outcome.node.name] = self._prober.facts(record)
                self._forget()
            yield outcome.node, outcome.error

    def recall(self) -> frozenset[str]:
        """Take what nodes said in earlier deploys for true until they answer, so that one round trip asks for all.

        Returns:
            The names of the nodes of which something is known.
        """
        for node in self._inventory.nodes:
            if self._memory is None or node.name in self.facts or node.name in self._recalled:
                continue
            if (record := self._memory.of(node.name)) is not None:
                self._recalled[node.name] = self._prober.facts(record)
                self._forget()
        return frozenset({*self._recalled, *self.facts})

    def resources(self, phase: str, node: str) -> tuple[Resource, ...]:
        """What `phase` wants of `node`, by the newest facts; worked out once for as long as these stay the same.

        Raises:
            InputError: The phase cannot be worked out for this node.
        """
        key = phase, node
        if key not in self._resources:
            self._resources[key] = self._desired[phase].of(self.cluster.node(node), self.cluster)
        return self._resources[key]

    def observe(
        self,
        nodes: Sequence[Node],
        phases: Sequence[str],
        *,
        fresh: Collection[str] = (),
        same_devices: Collection[str] = (),
        extra: tuple[Ask, ...] = (),
        heard: Callable[[Record], None] | None = None,
        thorough: bool = False,
    ) -> dict[str, AiopsError]:
        """Look at everything that `phases` want of `nodes`.

        Args:
            nodes: Whom to ask.
            phases: What for.
            fresh: Names of nodes that are asked for their facts too.
            same_devices: Names of those among them whose devices are as they were when they last told of them: no
                vendor's tool is asked there, for these are slow to answer.
            extra: What is asked of each node beside that.
            heard: Told of each record as it comes, after its facts were read.
            thorough: As for `asks_for`.

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
        asks = {name: asks_for(resources, thorough=thorough) for name, resources in wanted.items()}
        known = [node for node in nodes if node.name in wanted]

        def all_asks(node: Node) -> tuple[Ask, ...]:
            devices = node.name not in same_devices
            facts = self._prober.fact_asks(node, devices=devices) if node.name in fresh else ()
            return (*facts, *asks[node.name], *extra)

        for outcome in self._prober.probe(known, all_asks):
            name = outcome.node.name
            if outcome.value is None:
                errors[name] = outcome.error or UnreachableError(f"{name} gave no answer", code="probe.silent")
                continue
            if name in fresh:
                before = self.facts.get(name) if name in same_devices else None
                self._remember(outcome.node, self._prober.facts(outcome.value, before))
            self._observations[name] = read_observation(outcome.value, wanted[name])
            self._asked[name] = _subjects(asks[name])
            if heard is not None:
                heard(outcome.value)
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

    def seen(self, node: str) -> Observation:
        """What the last look saw on `node`.

        Raises:
            KeyError: It was not looked at.
        """
        return self._observations[node]

    def _remember(self, node: Node, facts: Facts) -> None:
        before = self.facts.get(node.name, self._recalled.get(node.name))
        self.facts[node.name] = facts
        if before is None or _lasting(before) != _lasting(facts):
            self._forget()

    def _forget(self) -> None:
        """What was worked out rests on older facts."""
        self._cluster = None
        self._resources.clear()


def _lasting(facts: Facts) -> Facts:
    """Facts without the readings that differ at every look, on which no desired state may rest."""
    devices = facts.accelerators and tuple(
        Accelerator(one.vendor, one.index, one.uuid, one.serial, one.bus, one.model, one.driver)
        for one in facts.accelerators
    )
    return replace(facts, at=_WHENEVER, clock=None, disks=None, package_lock_held=None, accelerators=devices)


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
