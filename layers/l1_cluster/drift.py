"""Drift: where nodes are not what the phases want, or not as most of their group are. Pure.

What is wanted comes from the same resources and the same comparison as a deploy's plan. What is not known, because a
node did not answer or one of its answers could not be read, is told as unknown and never taken for right.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from aiops.layers.l0_nodes.nodeset import fold

from .change import Change
from .majority import Deviation, Odd, compare
from .repair import UNDECIDED, Commands, repair
from .trait import Trait

Verdict = Literal["drift", "unknown"]

WHOLE_DRIVER = "one version, installed and loaded"
_WANTED = "what is wanted of it"
_NAMED = 3
_PACKAGE = "package:"


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference, on all the nodes where it is the same.

    Attributes:
        what: A resource's key (`file:/etc/hosts`), the name of a trait (`kernel`), or `node`.
        phase: Which phase wants it; None where most of the group decide.
        repair: A command or words; empty where only what is unknown is told.
        odds: The items that differ, in full.
        lines: The difference of a file's content, line by line, where it was asked for.
    """

    nodes: tuple[str, ...]
    verdict: Verdict
    what: str
    expected: str
    found: str
    phase: str | None = None
    repair: str = ""
    odds: tuple[Odd, ...] = ()
    lines: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "basis": "desired" if self.phase else "node" if self.what == "node" else "majority"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that drift is judged by.

    Attributes:
        nodes: The nodes it is about, in their order.
        errors: Why a node did not answer, by node.
        changes: What a deploy would do, by phase and node; empty where nothing.
        traits: By node and name, of every node that answered; others than `nodes` help to compare.
        groups: By node: equal values are one group.
        mismatches: Why the parts of a driver do not fit together, by node.
        strangers: Nodes that have never answered; files that list nodes rest on what they are taken to be.
        unclear: Why it cannot be worked out what phases want of a node, by node.
    """

    nodes: tuple[str, ...]
    errors: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, Sequence[Change]]] = field(default_factory=dict)
    traits: Mapping[str, Mapping[str, Trait]] = field(default_factory=dict)
    groups: Mapping[str, Hashable] = field(default_factory=dict)
    mismatches: Mapping[str, str] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    unclear: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        alone: Nodes that answered and have nobody in their group to be compared with.
        strangers: See `Evidence`.
    """

    nodes: tuple[str, ...]
    drifts: tuple[Drift, ...]
    alone: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()

    def having(self, verdict: Verdict) -> tuple[str, ...]:
        """The nodes of which something has this verdict."""
        found = {node for one in self.drifts if one.verdict == verdict for node in one.nodes}
        return tuple(node for node in self.nodes if node in found)


def judge(evidence: Evidence, commands: Commands) -> Report:
    """Find what has drifted, what is wanted first, then what most nodes have, then what is not known."""
    compared = compare(evidence.traits, evidence.groups)
    chosen = set(evidence.nodes)
    found = [
        *_undesired(evidence),
        *(Drift((node,), "drift", "driver", WHOLE_DRIVER, reason) for node, reason in evidence.mismatches.items()),
        *(drift for deviation in compared.deviations for drift in _deviating(deviation, evidence)),
        *(Drift((one.node,), "unknown", one.trait, "to be read", one.reason) for one in compared.unread),
        *(Drift((node,), "unknown", "node", "an answer", reason) for node, reason in evidence.errors.items()),
        *(Drift((node,), "unknown", "node", _WANTED, reason) for node, reason in evidence.unclear.items()),
    ]
    folded = _folded(one for one in found if set(one.nodes) <= chosen)
    # What is folded gets its repair for all its nodes at once.
    repaired = [_repaired(one, compared.deviations, commands) for one in folded]
    return Report(
        evidence.nodes,
        tuple(sorted(repaired, key=lambda one: one.verdict != "drift")),
        tuple(node for node in compared.alone if node in chosen),
        evidence.strangers,
    )


def repairs(drifts: Iterable[Drift], commands: Commands) -> Iterator[tuple[str, str]]:
    """What is repaired, and how: one deploy for all that phases want of the same nodes, then the rest one by one."""
    phases: dict[str, list[str]] = {}
    others = []
    for one in drifts:
        if one.verdict != "drift":
            continue
        if one.phase is None:
            others.append((f"{fold(one.nodes)}, {one.what}", one.repair))
            continue
        for node in one.nodes:
            wanted = phases.setdefault(node, [])
            if one.phase not in wanted:
                wanted.append(one.phase)
    together: dict[tuple[str, ...], list[str]] = {}
    for node, names in phases.items():
        together.setdefault(tuple(names), []).append(node)
    for wanted_phases, nodes in together.items():
        yield fold(nodes), f"`{commands.deploy(wanted_phases, nodes)}`"
    yield from others


def _undesired(evidence: Evidence) -> Iterator[Drift]:
    for phase, by_node in evidence.changes.items():
        for node, changes in by_node.items():
            for one in changes:
                verdict: Verdict = "unknown" if one.action == "read" else "drift"
                yield Drift((node,), verdict, one.key, one.expected, one.found, phase)


def _deviating(deviation: Deviation, evidence: Evidence) -> Iterator[Drift]:
    """A deviation, less what a phase tells of the same node already."""
    node, name, odds = deviation.node, deviation.trait, deviation.odds
    if name == "packages":
        told = {change.key for by_node in evidence.changes.values() for change in by_node.get(node, ())}
        odds = tuple(one for one in odds if f"{_PACKAGE}{one.item.partition(':')[0]}" not in told)
    if not odds or (name == "driver" and node in evidence.mismatches):
        return
    found = _summary(odds, [one.found for one in odds])
    if deviation.decided:
        yield Drift((node,), "drift", name, _summary(odds, [one.expected for one in odds]), found, odds=odds)
    else:
        expected = f"no majority in {fold(deviation.peers)}"
        yield Drift((node,), "unknown", name, expected, found, repair=UNDECIDED, odds=odds)


def _repaired(one: Drift, deviations: Iterable[Deviation], commands: Commands) -> Drift:
    """With what repairs it on all its nodes."""
    if one.verdict == "unknown":
        return one
    if one.phase is not None:
        return replace(one, repair=f"`{commands.deploy([one.phase], one.nodes)}`")
    if one.expected == WHOLE_DRIVER:
        reboot = commands.execute(one.nodes, "systemctl", "reboot")
        return replace(one, repair=f"drain it, then load what is installed: `{reboot}`")
    same = [other for other in deviations if other.trait == one.what and other.decided]
    peers = next(other.peers for other in same if other.node == one.nodes[0])
    items = {odd.item for odd in one.odds}
    differing = {other.node for other in same if items & {odd.item for odd in other.odds}}
    model = next((node for node in peers if node not in differing), "most of its group")
    return replace(one, repair=repair(one.what, one.odds, one.nodes, model, commands))


def _folded(drifts: Iterable[Drift]) -> Iterator[Drift]:
    """Equal ones of several nodes as one, where the first of them stood."""
    nodes: dict[Drift, list[str]] = {}
    for one in drifts:
        nodes.setdefault(replace(one, nodes=()), []).extend(one.nodes)
    for one, names in nodes.items():
        yield replace(one, nodes=tuple(dict.fromkeys(names)))


def _summary(odds: Sequence[Odd], values: Sequence[str | None]) -> str:
    words = [_words(one.item, value) for one, value in zip(odds, values, strict=True)]
    more = len(words) - _NAMED
    return "; ".join(words[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _words(item: str, value: str | None) -> str:
    if value is None:
        return f"no {item}"
    return " ".join(word for word in (item, value) if word)
