"""The seam of checks: what one asks, and the pure judge of the answers.

A check says what it needs as `Ask`s (equal ones of several checks are asked once), and judges a `Subject`: one node's
record, its facts, and what is remembered of it. A judge yields what it saw, and nothing where all is well. What it
cannot read it says by `UnreadableError`, or by a `Sighting` of severity `unknown` where only a part is concerned: that
check is then unknown on that node, never ok.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from aiops.layers.core.plugin import hookspec
from aiops.layers.l0_nodes.answer_reading import UnreadableError, once
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.variables import NodeVariables

from .expected import Expected
from .past import Past
from .rate import Rate
from .series import NodeMetrics, Reading, Series
from .verdict import Action, Level, Owner, Severity

T = TypeVar("T")
Limits = Mapping[str, float]
"""The thresholds of a check on one node, by name: its own, or those that the site has set."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing that a judge saw.

    Attributes:
        severity: `unknown`: it could not be read, and `message` says why.
        message: What was found, with the value and the limit: `86 °C, limit 85 °C`. The thing it is about and the node
            are named around it.
        about: The thing on the node: `GPU 3`, `mlx5_0/1`, `/scratch`; empty: the node itself. The same thing has the
            same words in every examination, for that is how it is known again.
        evidence: What was read, as JSON-ready values.
        action: Where it is another than the check's.
        owner: Likewise.
    """

    severity: Severity | Literal["unknown"]
    message: str
    about: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    action: Action | None = None
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """One node, as judges see it.

    Attributes:
        at: When the answers came, by our clock.
        past: What is remembered of the node: counters of earlier examinations.
        expected: What the node should have, as it was learned or is said in the inventory.
        metrics: What Prometheus tells of it; None where it is not deployed, does not answer, or does not watch it.
    """

    node: Node
    record: Record
    facts: Facts
    variables: NodeVariables
    at: datetime
    past: Past = field(default_factory=Past)
    expected: Expected = field(default_factory=Expected)
    metrics: NodeMetrics | None = None

    def read(self, reader: Callable[[Record], T]) -> T:
        """What `reader` makes of the record; each reader is run once for all checks that share it.

        Raises:
            UnreadableError: The reader's own; also for whatever else goes wrong in it, for that is garbage of the node.
        """
        return once(self.record, reader)

    def readings(self, series: Series) -> tuple[Reading, ...]:
        """What Prometheus tells of the node; nothing where it does not watch it.

        Raises:
            UnreadableError: What it tells cannot be read.
        """
        return () if self.metrics is None else self.metrics.read(series)

    def fact(self, name: str) -> Any:
        """A fact that must be known.

        Raises:
            UnreadableError: It is not, with the reason.
        """
        value = getattr(self.facts, name)
        if value is None:
            raise UnreadableError((self.facts.unknown or {}).get(name, "the node did not say"))
        return value


Judge = Callable[[Subject, Limits], Iterable[Sighting]]
FleetJudge = Callable[[Sequence[Subject], Limits], Iterable[tuple[str, Sighting]]]
"""Compares nodes with each other; yields the name of the node that a sighting is of."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number at which a judge draws its line; a site may set another.

    Attributes:
        name: Within its check: `warn`, `critical`, `per_hour`.
        source: Where the number comes from.
        least: The smallest that makes sense, and the `most`.
    """

    name: str
    default: float
    unit: str
    source: str
    least: float = 0.0
    most: float = float("inf")


def always(_subject: Subject) -> bool:
    """A check that every node is judged by."""
    return True


@dataclass(frozen=True, slots=True)
class Check:
    """One question about a node's health, and how it is judged.

    Attributes:
        id: `gpu.ecc_uncorrected`; what stands before the dot is its first tag.
        title: What it is about, in a few words: `uncorrectable memory errors`.
        severity: The worst that it can say.
        action: What is to be done where a sighting does not say otherwise.
        owner: Likewise, who has to act.
        judges: How it judges, in one sentence for `explain`.
        remedy: What a person does about it, in a sentence or two, with commands to paste.
        source: Where the rule comes from.
        asks: What is asked of a node for it, beside its facts.
        series: What is asked of Prometheus for it, where that is deployed.
        judge: Of one node; `compare` instead, or beside it, for one that looks at several nodes together.
        applies: Whether there is anything to judge on a node (it has GPUs, it is a worker); it may raise
            `UnreadableError`.
        lacks: The tool that a node would need for it and has not; else nothing. It judges nothing there, and that is
            told: a node without the tool is not taken for well.
        rates: What it measures, for `aiops health learn`.
        thresholds: What a site may set.
        tags: Beside the one in its id.
        sightings: In how many examinations in a row it must be seen until it counts: 2 for what comes and goes.
        grace: Whether the first minutes after a boot do not count, while services still start.
        counters: Counters that only grow, by name; they are remembered for `subject.past`.
        level: At which level it is asked first.
        unless: Checks that tell the same better: where one of them has found something about the same thing, or one
            of the two is about the node as such, this one says nothing.
        units: systemd units that `restart_service` restarts, where the evidence names no `unit`; those that a node does
            not have are passed over.
        plugin: Who brought it; filled in by the catalogue.
    """

    id: str
    title: str
    severity: Severity
    action: Action
    owner: Owner
    judges: str
    remedy: str
    source: str
    asks: tuple[Ask, ...] = ()
    judge: Judge | None = None
    compare: FleetJudge | None = None
    applies: Callable[[Subject], bool] = always
    lacks: Callable[[Subject], str] | None = None
    rates: Callable[[Subject], Iterable[Rate]] | None = None
    thresholds: tuple[Threshold, ...] = ()
    tags: tuple[str, ...] = ()
    sightings: int = 1
    grace: bool = False
    counters: Callable[[Subject], Mapping[str, int]] | None = None
    level: Level = "standard"
    series: tuple[Series, ...] = ()
    unless: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    plugin: str = ""

    def __post_init__(self) -> None:
        if self.judge is None and self.compare is None:
            raise ValueError(f"{self.id}: `judge` or `compare`")

    @property
    def all_tags(self) -> tuple[str, ...]:
        """The one in its id, then the others."""
        return tuple(dict.fromkeys((self.id.partition(".")[0], *self.tags)))

    def limits(self, own: Mapping[str, float] | None = None) -> Limits:
        """Its thresholds by name, with a site's `own` in their place."""
        return {one.name: one.default for one in self.thresholds} | dict(own or {})


class HealthHooks:
    """Hooks of the kind `health`."""

    @hookspec
    def health_checks(self) -> tuple[Check, ...]:  # type: ignore[empty-body]
        """The checks of this plugin."""
