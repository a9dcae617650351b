"""Looking at a cluster once, read-only: every node is asked a single time for all that drift is judged by.

What nodes said in earlier deploys tells what to ask of them, so that facts, desired state and traits come in one round
trip. Only nodes that have never been asked, or that want something else since, are asked a second time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiops.layers.core.errors import AiopsError, FailedError, InputError, UnreachableError
from aiops.layers.l0_nodes.ask import Record
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.probe import CLOCK, PYTHON
from aiops.layers.l0_nodes.variables import variables_of

from .change import Change
from .desired import SecretSource
from .drift import Evidence
from .phase import Phase
from .resource import File
from .survey import Memory, Prober, Survey
from .trait import Trait
from .trait_reading import TRAIT_ASKS, traits_of


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at.

    Attributes:
        phases: Whose desired state is compared; facts are asked of all nodes, for files that list them.
        nodes: The chosen nodes.
        compared: Whether nodes are also compared with those of their group.
    """

    inventory: Inventory
    phases: tuple[Phase, ...]
    nodes: tuple[Node, ...]
    compared: bool = True


class KeptSecrets:
    """Secrets of a cluster, as far as the head tells them now; a stand-in for others, with the reason."""

    def __init__(self, source: SecretSource) -> None:
        self.reasons: dict[str, str] = {}
        self._source = source

    def get(self, name: str) -> bytes:
        """The secret `name`; empty where it cannot be had, which `reasons` then tells why."""
        if name in self.reasons:
            return b""
        try:
            return self._source.get(name)
        except (UnreachableError, FailedError) as error:
            self.reasons[name] = error.message
            return b""


@dataclass(slots=True)
class Inspection:
    """One look: asks through a survey, and hands what it learned to the pure judge.

    Attributes:
        told: Called with each node that has answered, or has failed to (True).
    """

    scope: Scope
    survey: Survey
    prober: Prober
    secrets: KeptSecrets
    memory: Memory | None = None
    told: Callable[[str, bool], None] = lambda *_: None
    _traits: dict[str, dict[str, Trait]] = field(default_factory=dict)

    def evidence(self) -> Evidence:
        """Ask every node once, and tell what it said.

        Where a phase cannot be worked out for some nodes, that is told of them: what they say of themselves is amiss,
        and it hides no other.

        Raises:
            InputError: It cannot be worked out for any of the chosen nodes: the phase is amiss.
        """
        errors = self._ask()
        unclear = {node.name: one for node in self.scope.nodes if isinstance(one := errors.get(node.name), InputError)}
        if unclear and len(unclear) == len(self.scope.nodes):
            raise next(iter(unclear.values()))
        for name in unclear:
            self.told(name, True)
        seen = [node for node in self.scope.nodes if node.name not in errors]
        changes = {phase.name: self._changes(phase, seen) for phase in self.scope.phases}
        mends = {phase.name for phase in self.scope.phases if "driver" in phase.mends}
        mended = {name for phase in mends for name in changes[phase]}
        facts = self.survey.facts
        return Evidence(
            nodes=tuple(node.name for node in self.scope.nodes),
            errors={
                node.name: errors[node.name].message
                for node in self.scope.nodes
                if node.name in errors and node.name not in unclear
            },
            unclear={
                name: "; ".join([error.message, *(problem.message for problem in error.problems)])
                for name, error in unclear.items()
            },
            changes={phase: by_node for phase, by_node in changes.items() if by_node},
            traits={node.name: self._traits[node.name] for node in self._inventory if node.name in self._traits},
            groups={node.name: node.groups for node in self._inventory},
            mismatches={
                node.name: reason
                for node in seen
                if self.scope.compared
                and node.name not in mended
                and (reason := facts[node.name].driver_mismatch) is not None
            },
            strangers=self._strangers(),
        )

    @property
    def _inventory(self) -> tuple[Node, ...]:
        return self.scope.inventory.nodes

    def _strangers(self) -> tuple[str, ...]:
        known = self.survey.recall()
        return tuple(node.name for node in self._inventory if node.name not in known)

    def _ask(self) -> dict[str, AiopsError]:
        names = [phase.name for phase in self.scope.phases]
        known = self.survey.recall()
        errors: dict[str, AiopsError] = {}
        self._learn([node for node in self._inventory if node.name not in known], errors)
        self._observe([node for node in self._inventory if node.name not in errors], names, known, errors)
        # What was remembered did not do to work out what a phase wants: ask for the facts first.
        again = [node for node in self._inventory if isinstance(errors.get(node.name), InputError)]
        for node in again:
            del errors[node.name]
        self._learn([node for node in again if node.name in known], errors)
        self._observe([node for node in again if node.name not in errors], names, (), errors)
        changed = [node for node in self.scope.nodes if node.name not in errors and self._wants_more(node, errors)]
        if changed:
            errors.update(self.survey.observe(changed, names))
        return errors

    def _learn(self, nodes: Sequence[Node], errors: dict[str, AiopsError]) -> None:
        for node, error in self.survey.learn(nodes) if nodes else ():
            if error is not None:
                errors[node.name] = error
                self.told(node.name, True)

    def _observe(
        self,
        nodes: Sequence[Node],
        phases: Sequence[str],
        fresh: Sequence[str] | frozenset[str],
        errors: dict[str, AiopsError],
    ) -> None:
        if nodes:
            extra = TRAIT_ASKS if self.scope.compared else ()
            failed = self.survey.observe(nodes, phases, fresh=fresh, extra=extra, heard=self._hear)
            for name, error in failed.items():
                if not isinstance(error, InputError):
                    self.told(name, True)
            errors.update(failed)

    def _wants_more(self, node: Node, errors: dict[str, AiopsError]) -> bool:
        """Whether by the newest facts a phase wants what this node was not asked for."""
        try:
            return any(self.survey.unasked(phase.name, [node]) for phase in self.scope.phases)
        except InputError as error:
            errors[node.name] = error
            return False

    def _hear(self, record: Record) -> None:
        self.told(record.node, False)
        node = self.scope.inventory.node(record.node)
        facts = self.survey.facts[record.node]
        if self.scope.compared:
            self._traits[record.node] = traits_of(record, facts)
        names = {CLOCK, PYTHON, *(ask.name for ask in self.prober.fact_asks(node))}
        if self.memory is not None and names <= set(record.answers):
            self.memory.keep(
                replace(record, answers={name: record.answers[name] for name in record.answers if name in names})
            )

    def _changes(self, phase: Phase, nodes: Sequence[Node]) -> Mapping[str, tuple[Change, ...]]:
        """What a deploy would do in `phase`, by node; what cannot be told is to be read."""
        found = {}
        for node in nodes:
            resources = {one.key: one for one in self.survey.resources(phase.name, node.name)}
            changes = []
            for change in self.survey.differences(phase.name, node.name):
                wanted = resources.get(change.key)
                if isinstance(wanted, File) and wanted.secret and not wanted.content and self.secrets.reasons:
                    reason = next(iter(self.secrets.reasons.values()))
                    changes.append(Change(change.key, "read", "the cluster's secret", reason))
                else:
                    changes.append(change)
            if changes:
                found[node.name] = tuple(changes)
        return found


def bundled_nodes(nodes: Sequence[Node]) -> frozenset[str]:
    """The nodes that install from the bundle."""
    return frozenset(node.name for node in nodes if variables_of(node).aiops_repository == "bundle")
