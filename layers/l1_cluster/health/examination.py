"""The examination: all checks on all records, and what they find. Pure; it forgets nothing and remembers nothing.

A judge that fails costs its own check only: that is then `unknown` there, with the name of the plugin that it is of.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Ask

from .check import Check, FleetJudge, Judge, Sighting, Subject
from .fabric import attribute
from .finding import Finding
from .rules import Rules
from .verdict import Level, includes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Examination:
    """What came of it.

    Attributes:
        findings: In the order of nodes, then of checks.
        judged: By node, the checks that had something to judge there.
        counters: By node, the counters to be remembered.
        untested: By node, what could not be tested there for want of a tool: the tool, by check.
    """

    findings: tuple[Finding, ...] = ()
    judged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    untested: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def chosen(checks: Iterable[Check], level: Level, rules: Rules) -> tuple[Check, ...]:
    """The checks of an examination at `level`."""
    return tuple(one for one in checks if includes(level, one.level) and one.id not in rules.off)


def asks_of(checks: Iterable[Check], facts: Iterable[Ask]) -> tuple[Ask, ...]:
    """What is asked of a node for its facts and `checks`, each ask once.

    A check may ask what a vendor asks for the facts: of nodes that have such devices, as there.

    Raises:
        ValueError: Two asks of one name differ.
    """
    asks: dict[str, Ask] = {}
    for ask in (*facts, *(ask for check in checks for ask in check.asks)):
        before = asks.setdefault(ask.name, ask)
        if before != replace(ask, makers=before.makers):
            raise ValueError(f"two asks are called {ask.name} and differ")
    return tuple(asks.values())


def examine(subjects: Iterable[Subject], checks: Sequence[Check], rules: Rules) -> Examination:
    """Judge every subject by every check: each by itself as it comes, then all beside each other.

    Of a subject that was judged only what the comparing checks need is kept, so that a large fleet fits in memory.
    """
    findings: list[Finding] = []
    judged: dict[str, tuple[str, ...]] = {}
    counters: dict[str, Mapping[str, int]] = {}
    untested: dict[str, Mapping[str, str]] = {}
    kept: list[Subject] = []
    for subject in subjects:
        one = examine_one(subject, checks, rules)
        findings += one.findings
        judged |= one.judged
        counters |= one.counters
        untested |= one.untested
        kept.append(slim(subject, checks))
    findings += compared(kept, checks, judged, rules)
    findings = _told_once(attribute(findings, judged, checks, rules), checks)
    order = {name: number for number, name in enumerate(judged)}
    places = {check.id: number for number, check in enumerate(checks)}
    findings.sort(key=lambda one: (order.get(one.node, len(order)), places[one.check], one.about))
    return Examination(tuple(findings), judged, counters, {name: tools for name, tools in untested.items() if tools})


def _told_once(findings: Iterable[Finding], checks: Iterable[Check]) -> list[Finding]:
    """The findings without those that another check tells better."""
    several = list(findings)
    better = {check.id: check.unless for check in checks if check.unless}
    told: dict[tuple[str, str], set[str]] = {}
    for one in several:
        if one.verdict != "unknown" and one.standing != "observed":
            told.setdefault((one.node, one.check), set()).add(one.about)

    def is_told(one: Finding) -> bool:
        abouts = {about for id_ in better.get(one.check, ()) for about in told.get((one.node, id_), ())}
        return one.about in abouts or "" in abouts or (one.about == "" and bool(abouts))

    return [one for one in several if not is_told(one)]


def examine_one(subject: Subject, checks: Iterable[Check], rules: Rules) -> Examination:
    """Judge one subject by the checks of single nodes; what applies of those that compare is told too."""
    name = subject.node.name
    findings: list[Finding] = []
    judged: list[str] = []
    counters: dict[str, int] = {}
    untested: dict[str, str] = {}
    withheld = {} if subject.metrics is None else subject.metrics.withheld
    for check in checks:
        if any(one.name in withheld for one in check.series):
            continue
        lacking = "" if check.lacks is None else _guarded(check, partial(check.lacks, subject))
        if lacking and isinstance(lacking, str):
            untested[check.id] = lacking
            continue
        applies = lacking if isinstance(lacking, Sighting) else _guarded(check, partial(check.applies, subject))
        if isinstance(applies, Sighting):
            findings.append(_finding(check, name, applies, rules))
            judged.append(check.id)
            continue
        if not applies:
            continue
        judged.append(check.id)
        if check.judge is not None:
            seen = _guarded(check, partial(_judged, check, check.judge, subject, rules))
            findings += (_finding(check, name, seen, rules),) if isinstance(seen, Sighting) else seen
        if check.counters is not None:
            counted = _guarded(check, partial(_counted, check.counters, subject))
            if not isinstance(counted, Sighting):  # what cannot be read the judge has told
                counters |= counted
    return Examination(tuple(findings), {name: tuple(judged)}, {name: counters}, {name: untested})


def slim(subject: Subject, checks: Iterable[Check]) -> Subject:
    """The subject with the answers that comparing checks have asked for, and no other."""
    wanted = {ask.name for check in checks if check.compare is not None for ask in check.asks}
    record = subject.record
    answers = {name: answer for name, answer in record.answers.items() if name in wanted}
    return replace(subject, record=replace(record, answers=answers))


def compared(
    subjects: Sequence[Subject], checks: Iterable[Check], judged: Mapping[str, Sequence[str]], rules: Rules
) -> list[Finding]:
    """What the checks find that look at nodes beside each other.

    Args:
        subjects: Of all nodes that answered.
        checks: All checks.
        judged: By node, the checks that apply there.
        rules: The site's.
    """
    findings: list[Finding] = []
    for check in checks:
        if check.compare is None:
            continue
        here = [subject for subject in subjects if check.id in judged[subject.node.name]]
        seen = _guarded(check, partial(_compared, check, check.compare, here, rules))
        if isinstance(seen, Sighting):
            findings += [_finding(check, subject.node.name, seen, rules) for subject in here]
        else:
            findings += seen
    return findings


def _judged(check: Check, judge: Judge, subject: Subject, rules: Rules) -> tuple[Finding, ...]:
    limits = rules.limits(check, subject.node)
    return tuple(_finding(check, subject.node.name, sighting, rules) for sighting in judge(subject, limits))


def _compared(check: Check, compare: FleetJudge, here: Sequence[Subject], rules: Rules) -> tuple[Finding, ...]:
    limits = rules.limits(check, None)
    return tuple(_finding(check, name, sighting, rules) for name, sighting in compare(here, limits))


def _counted(counters: Callable[[Subject], Mapping[str, int]], subject: Subject) -> dict[str, int]:
    return dict(counters(subject))


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
