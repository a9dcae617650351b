"""The examination: all checks on all records, and what they find. Pure; it forgets nothing and remembers nothing.

A judge that fails costs its own check only: that is then `unknown` there, with the name of the plugin that it is of.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask

from .check import Check, Limits, Sighting, Subject
from .finding import Finding
from .rules import Rules
from .verdict import Level, includes

T = TypeVar("T")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Examination:
    """What came of it.

    Attributes:
        findings: In the order of nodes, then of checks.
        judged: By node, the checks that had something to judge there.
        counters: By node, the counters to be remembered.
    """

    findings: tuple[Finding, ...] = ()
    judged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def chosen(checks: Iterable[Check], level: Level, rules: Rules) -> tuple[Check, ...]:
    """The checks of an examination at `level`."""
    return tuple(one for one in checks if includes(level, one.level) and one.id not in rules.off)


def asks_of(checks: Iterable[Check], facts: Iterable[Ask]) -> tuple[Ask, ...]:
    """What is asked of a node for its facts and `checks`, each ask once.

    Raises:
        ValueError: Two asks of one name differ.
    """
    asks: dict[str, Ask] = {}
    for ask in (*facts, *(ask for check in checks for ask in check.asks)):
        if asks.setdefault(ask.name, ask) != ask:
            raise ValueError(f"two asks are called {ask.name} and differ")
    return tuple(asks.values())


def examine(subjects: Sequence[Subject], checks: Sequence[Check], rules: Rules) -> Examination:
    """Judge every subject by every check."""
    findings: list[Finding] = []
    judged: dict[str, list[str]] = {one.node.name: [] for one in subjects}
    counters: dict[str, dict[str, int]] = {one.node.name: {} for one in subjects}
    for check in checks:
        here: list[Subject] = []
        for subject in subjects:
            name = subject.node.name
            applies = _guarded(check, partial(check.applies, subject))
            if isinstance(applies, Sighting):
                findings.append(_finding(check, name, applies, rules))
            elif applies:
                here.append(subject)
            if applies:
                judged[name].append(check.id)
        findings += [_finding(check, name, sighting, rules) for name, sighting in _sightings(check, here, rules)]
        for subject in here if check.counters is not None else ():
            assert check.counters is not None  # noqa: S101 - for the type checker
            counted = _guarded(check, partial(check.counters, subject))
            if not isinstance(counted, Sighting):  # what cannot be read the judge has told
                counters[subject.node.name] |= counted
    order = {subject.node.name: number for number, subject in enumerate(subjects)}
    places = {check.id: number for number, check in enumerate(checks)}
    findings.sort(key=lambda one: (order[one.node], places[one.check], one.about))
    return Examination(tuple(findings), {node: tuple(ids) for node, ids in judged.items()}, counters)


def _sightings(check: Check, subjects: Sequence[Subject], rules: Rules) -> Iterator[tuple[str, Sighting]]:
    if check.compare is not None:
        compared = _guarded(check, partial(_all, check.compare, subjects, rules.limits(check, None)))
        if isinstance(compared, Sighting):
            yield from ((subject.node.name, compared) for subject in subjects)
        else:
            yield from compared
        return
    assert check.judge is not None  # noqa: S101 - a check has either
    for subject in subjects:
        seen = _guarded(check, partial(_all, check.judge, subject, rules.limits(check, subject.node)))
        for sighting in (seen,) if isinstance(seen, Sighting) else seen:
            yield subject.node.name, sighting


def _all(judge: Callable[[A, Limits], Iterable[T]], about: A, limits: Limits) -> tuple[T, ...]:
    return tuple(judge(about, limits))


def _guarded(check: Check, work: Callable[[], T]) -> T | Sighting:
    """What `work` gives; a sighting of `unknown` where it fails."""
    try:
        return work()
    except UnreadableError as error:
        return Sighting("unknown", str(error))
    except Exception as error:  # noqa: BLE001 - a stranger's judge must not cost the others
        return Sighting("unknown", f"its judge, of {check.plugin or 'aiops'}, failed: {error!r}", owner="controller")


def _finding(check: Check, node: str, sighting: Sighting, rules: Rules) -> Finding:
    unread = sighting.severity == "unknown"
    return Finding(
        node,
        check.id,
        sighting.severity,
        sighting.message,
        sighting.about,
        sighting.evidence,
        sighting.action or ("none" if unread else check.action),
        sighting.owner or check.owner,
        "observed" if check.id in rules.observe else "counts",
        plugin=check.plugin,
    )
