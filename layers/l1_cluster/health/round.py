"""One round over the nodes: ask all at once, judge each as it answers, remember, and tell what counts."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from aiops.layers.core.clock import Clock
from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask
from aiops.layers.l0_nodes.fact_reading import fact_asks, facts_of
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.probe import longest, probe
from aiops.layers.l0_nodes.variables import variables_of
from aiops.layers.l0_nodes.vendor import Vendor

from .check import Check, Subject
from .examination import asks_of, chosen, examine
from .expected import Expected
from .finding import Finding
from .history import HealthHistory, Recalled
from .kernel_log import KERNEL_ASKS, read_age
from .past import Past
from .reach import unreached
from .rules import Rules
from .series import TARGETS, NodeMetrics
from .settling import Situation, settle, verdicts
from .verdict import Level, Verdict
from .witness import Testimony, Witness

QUICK_SECONDS = 2.0
"""A node has so long to answer at the level `quick`."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a round has come to.

    Attributes:
        nodes: All that were to be asked, in their order.
        findings: In the order of nodes, then of checks.
        verdicts: By node.
        checks: How many different checks had something to judge.
        simulated: Whether some of the nodes are hosts of the lab.
        errors: By node that could not be asked.
        untested: By node, the tool that was missing, by the check that could not be made for that.
    """

    at: datetime
    level: Level
    seconds: float
    nodes: tuple[str, ...]
    findings: tuple[Finding, ...]
    verdicts: Mapping[str, Verdict]
    checks: int
    simulated: bool = False
    errors: Mapping[str, AiopsError] = field(default_factory=dict)
    untested: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many nodes have each verdict."""
        return Counter[str](self.verdicts.values())


@dataclass(frozen=True, slots=True)
class Round:
    """How a round is made.

    Attributes:
        checks: All that are wanted, of every level.
        expected: What each node should have, by name.
        history: What is remembered; None: nothing is, and every sighting counts at once.
        witness: The cluster's Prometheus; None where it was not deployed.
        repaired: When nodes were repaired last: counters are judged by what has come since.
    """

    fleet: Fleet
    vendors: Sequence[Vendor]
    checks: Sequence[Check]
    rules: Rules
    clock: Clock
    level: Level = "standard"
    expected: Mapping[str, Expected] = field(default_factory=dict)
    history: HealthHistory | None = None
    witness: Witness | None = None
    repaired: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def made(self) -> tuple[Check, ...]:
        """The checks of its level."""
        return chosen(self.checks, self.level, self.rules)

    def asks(self, checks: Sequence[Check]) -> tuple[Ask, ...]:
        """What is asked of every node, in one round trip."""
        return asks_of(checks, (*fact_asks(self.vendors), *KERNEL_ASKS))

    @property
    def seconds(self) -> float:
        """After so long a node answers with what it has; at the level `deep` its tests have their own time on top."""
        return QUICK_SECONDS if self.level == "quick" else longest(self.asks(self.made))

    def make(
        self,
        nodes: Sequence[Node],
        on_node: Callable[[str, bool], None] | None = None,
        on_facts: Callable[[Facts], None] | None = None,
    ) -> Report:
        """Ask and judge.

        Args:
            nodes: Whom to ask.
            on_node: Told of each node as it answers, and whether it failed to.
            on_facts: Told the facts of each node that answers.

        Raises:
            FailedError: The history cannot be written.
        """
        begun, at = self.clock.monotonic(), self.clock.now()
        names = tuple(node.name for node in nodes)
        checks = self.made
        recalled = Recalled() if self.history is None else self.history.recall(names, at)
        heard = _Heard(on_node, on_facts)
        examination = examine(self._subjects(nodes, checks, recalled, heard), checks, self.rules)
        reach = [
            unreached(node, heard.errors[node.name], at, _last(recalled, node.name))
            for node in nodes
            if node.name in heard.errors
        ]
        order = {name: place for place, name in enumerate(names)}
        found = sorted((*examination.findings, *reach), key=lambda one: order.get(one.node, 0))
        situation = Situation(
            at,
            frozenset(examination.judged),
            examination.judged,
            heard.ages,
            heard.boot_ids,
            recalled.open,
            recalled.past,
            self.repaired,
        )
        by_id = {check.id: check for check in checks} if self.history is not None else {}
        settled = settle(found, by_id, situation)
        untested = {name: examination.untested[name] for name in names if name in examination.untested}
        silent = {
            name for name in untested if not examination.judged[name]
        }  # nothing was made there, so nothing is well
        ends = {name: "unknown" if name in silent else one for name, one in verdicts(settled.findings, names).items()}
        if self.history is not None:
            self.history.keep(
                settled,
                recalled,
                at=at,
                verdicts=ends,
                counters=examination.counters,
                boot_ids=heard.boot_ids,
            )
        return Report(
            at,
            self.level,
            self.clock.monotonic() - begun,
            names,
            settled.findings,
            ends,
            len({one for judged in examination.judged.values() for one in judged}),
            heard.simulated,
            heard.errors,
            untested,
        )

    def _subjects(
        self, nodes: Sequence[Node], checks: Sequence[Check], recalled: Recalled, heard: "_Heard"
    ) -> Iterator[Subject]:
        asks = self.asks(checks)
        testimony = self._testimony(checks)
        for outcome in probe(self.fleet, nodes, lambda _: asks, self.clock, self.seconds, keep=False):
            node, record = outcome.node, outcome.value
            if record is None:
                heard.silent(node.name, outcome.error)
                continue
            facts = facts_of(record, self.vendors)
            subject = Subject(
                node,
                record,
                facts,
                variables_of(node),
                record.at,
                _past(recalled, node.name, self.repaired.get(node.name)),
                self.expected.get(node.name, Expected()),
                _metrics(testimony).get(node.name),
            )
            heard.answer(subject)
            yield subject

    def _testimony(self, checks: Sequence[Check]) -> Testimony | None:
        """What Prometheus is asked while the nodes are; nothing where no check wants it."""
        series = tuple(dict.fromkeys(one for check in checks for one in check.series))
        return self.witness.ask((TARGETS, *series)) if self.witness is not None and series else None


def _metrics(testimony: Testimony | None) -> Mapping[str, NodeMetrics]:
    return {} if testimony is None else testimony.taken()


class _Heard:
    """What the answers of nodes tell beside what is judged."""

    def __init__(
        self, on_node: Callable[[str, bool], None] | None, on_facts: Callable[[Facts], None] | None = None
    ) -> None:
        self._on_node = on_node
        self._on_facts = on_facts
        self.errors: dict[str, AiopsError] = {}
        self.ages: dict[str, float] = {}
        self.boot_ids: dict[str, str | None] = {}
        self.simulated = False

    def silent(self, name: str, error: AiopsError | None) -> None:
        assert error is not None  # noqa: S101 - an outcome has a value or an error
        self.errors[name] = error
        self._tell(name, failed=True)

    def answer(self, subject: Subject) -> None:
        name = subject.node.name
        self.boot_ids[name] = subject.facts.boot_id
        self.simulated |= subject.facts.simulated
        with suppress(UnreadableError):  # then no finding of this node is excused for having just booted
            self.ages[name] = subject.read(read_age)
        if self._on_facts is not None:
            self._on_facts(subject.facts)
        self._tell(name, failed=False)

    def _tell(self, name: str, *, failed: bool) -> None:
        if self._on_node is not None:
            self._on_node(name, failed)


def _past(recalled: Recalled, node: str, repaired: datetime | None) -> Past:
    """What is remembered of a node's counters since it was repaired, and when it was last looked at."""
    past = replace(recalled.counters.get(node, Past()), looked=_last(recalled, node))
    return past if repaired is None else past.since(repaired)


def _last(recalled: Recalled, node: str) -> datetime | None:
    """When a node was last heard of."""
    stretch = recalled.stretches.get(node)
    if stretch is None or stretch.verdict == "unknown":
        return None
    return stretch.last
