"""The plan: what a deploy would change, by phase and node."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiops.layers.l0_nodes.nodeset import fold

from .change import Change

_NAMED = 3
_ORDER = (
    *("install", "replace", "remove", "hold", "release", "add", "alter", "create", "write", "permit", "delete"),
    *("set", "mount", "enable", "start", "restart", "reload", "disable", "stop", "reboot", "read"),
)
_NOUNS = {"package": "packages", "file": "files", "service": "services", "sysctl": "kernel settings"}


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """What one phase changes.

    Attributes:
        changes: By node, only nodes where something changes.
        settled: Nodes that have a part in the phase and are as it wants them.
    """

    phase: str
    title: str
    changes: Mapping[str, tuple[Change, ...]] = field(hash=False)
    settled: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """What is done, equal changes folded over nodes: `install chrony, start chrony on gpu[01-16]`."""
        nodes_by_words: dict[str, list[str]] = {}
        for node, changes in self.changes.items():
            nodes_by_words.setdefault(", ".join(_words(changes)), []).append(node)
        return tuple(f"{words} on {fold(nodes)}" for words, nodes in nodes_by_words.items())


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deploy would change.

    Attributes:
        nodes: All nodes it is about.
        unknown: Those among them that could not be looked at: nothing is said of them.
        notes: What else is to be known before one says yes, a line each.
    """

    phases: tuple[PhasePlan, ...]
    nodes: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed_phases(self) -> tuple[PhasePlan, ...]:
        """Phases that change something."""
        return tuple(phase for phase in self.phases if phase.changes)

    @property
    def changed_nodes(self) -> tuple[str, ...]:
        """Nodes that something changes on, in the plan's order."""
        changed = {node for phase in self.phases for node in phase.changes}
        return tuple(node for node in self.nodes if node in changed)

    @property
    def summary(self) -> str:
        """`3 phases change 16 nodes; 4 are already in place; 1 node is unknown`."""
        phases, nodes, known = len(self.changed_phases), len(self.changed_nodes), len(self.nodes) - len(self.unknown)
        if self.unknown and not known:
            return f"nothing is known of {_count(len(self.nodes), 'node')}"
        missing = len(self.unknown)
        unknown = f"; {_count(missing, 'node')} {'is' if missing == 1 else 'are'} unknown" if missing else ""
        if not phases:
            return f"nothing to change on {_count(known, 'node')}{unknown}"
        settled = sum(not phase.changes and bool(phase.settled or not missing) for phase in self.phases)
        rest = f"; {settled} {'is' if settled == 1 else 'are'} already in place" if settled else ""
        return f"{_count(phases, 'phase')} change{'s' * (phases == 1)} {_count(nodes, 'node')}{rest}{unknown}"

    def changes(self) -> Iterator[tuple[str, str, Change]]:
        """Every change with its phase and node."""
        for phase in self.phases:
            for node, changes in phase.changes.items():
                for change in changes:
                    yield phase.phase, node, change

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "summary": self.summary,
            "nodes": list(self.nodes),
            "unknown": list(self.unknown),
            "notes": list(self.notes),
            "phases": [
                {
                    "phase": phase.phase,
                    "title": phase.title,
                    "settled": list(phase.settled),
                    "changes": {
                        node: [change.document() for change in changes] for node, changes in phase.changes.items()
                    },
                }
                for phase in self.phases
            ],
        }


def _words(changes: tuple[Change, ...]) -> list[str]:
    """Few are named, many are counted; by what is done, in the order it is done."""
    groups: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.action, change.key.partition(":")[0]), []).append(change)
    words = []
    for (action, kind), members in sorted(groups.items(), key=lambda group: _ORDER.index(group[0][0])):
        if action == "reboot":
            words.append("reboot")
        elif len(members) <= _NAMED:
            words.extend(_one(change) for change in members)
        else:
            words.append(f"{action} {len(members)} {_NOUNS.get(kind, f'{kind}s')}")
    return words


def _one(change: Change) -> str:
    if change.action == "replace":
        return f"{change.subject} {change.found} → {change.expected}"
    if change.action == "install" and change.expected != "installed":
        return f"install {change.subject} {change.expected}"
    if change.action == "set":
        return f"set {change.subject} {change.found} → {change.expected}"
    return f"{change.action} {change.subject}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
