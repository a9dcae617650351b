"""Rates that deep tests measure, judged by what is expected of them, else beside what a node's equals reach.

What is expected stands in health.yml; where it does not, a vendor's or a field's own limit counts that the rate brings
along. Nodes are equals when they stand in the same groups and have the same processors and devices.
"""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Literal

from aiops.layers.l0_nodes.answer_reading import UnreadableError

from .check import FleetJudge, Judge, Limits, Sighting, Subject, Threshold
from .rate import Rate

LEAST = 4
"""So many nodes at least are compared: among fewer, one that is slow by chance makes the others odd."""


Read = Callable[[Subject], Sequence[Rate]]
"""The rates of a node. It raises `UnreadableError` where they cannot be read."""


def shortfall(rate: Rate, wanted: float) -> float:
    """By how many percent a rate is worse than what is wanted; negative where it is better. Pure."""
    if rate.is_delay:
        return 100.0 * (rate.value / wanted - 1.0)
    return 100.0 * (1.0 - rate.value / wanted)


def by_expectation(read: Read) -> Judge:
    """A judge of rates by what is expected of them; of those of which nothing is it says nothing."""

    def judge(subject: Subject, limits: Limits) -> Iterator[Sighting]:
        for rate in read(subject):
            expected = subject.expected.number(rate.trait)
            if expected:
                source, free = subject.expected.source or "learned", limits["warn"]
            elif rate.floor is not None:
                expected, source, free = rate.floor, rate.floor_source, 0.0
            else:
                continue
            percent = shortfall(rate, expected)
            severity: Literal["warn", "critical"] = "critical" if percent >= limits["critical"] else "warn"
            if percent > free:
                yield _sighting(severity, rate, expected, f"{expected:g} {rate.unit} expected ({source})")

    return judge


def among_equals(read: Read) -> FleetJudge:
    """A judge of rates beside those of equals, where nothing is expected of them."""

    def compare(subjects: Sequence[Subject], limits: Limits) -> Iterator[tuple[str, Sighting]]:
        groups: dict[tuple[object, ...], list[tuple[Subject, Sequence[Rate]]]] = {}
        for subject in subjects:
            try:
                rates = read(subject)
            except UnreadableError:
                continue  # the other half of the check tells it
            groups.setdefault(_kind(subject), []).append((subject, rates))
        for members in groups.values():
            yield from _odd(members, limits)

    return compare


def _odd(members: Sequence[tuple[Subject, Sequence[Rate]]], limits: Limits) -> Iterator[tuple[str, Sighting]]:
    values: dict[str, list[float]] = {}
    nodes: dict[str, set[str]] = {}
    for subject, rates in members:
        for rate in rates:
            values.setdefault(rate.trait, []).append(rate.value)
            nodes.setdefault(rate.trait, set()).add(subject.node.name)
    for subject, rates in members:
        for rate in rates:
            count, usual = len(nodes[rate.trait]), median(values[rate.trait])
            expected = subject.expected.number(rate.trait) or rate.floor
            if expected or count < LEAST or usual <= 0 or shortfall(rate, usual) <= limits["equals"]:
                continue
            words = f"{usual:g} {rate.unit} is the middle of {count} nodes like it"
            yield subject.node.name, _sighting("warn", rate, usual, words)


def _sighting(severity: Literal["warn", "critical"], rate: Rate, wanted: float, words: str) -> Sighting:
    worse = f"{shortfall(rate, wanted):.0f} % {'longer' if rate.is_delay else 'slower'}"
    return Sighting(
        severity,
        f"{rate.title}: {rate.value:.4g} {rate.unit}, {worse}; {words}",
        rate.about,
        {"measured": rate.value, "wanted": wanted, "unit": rate.unit, "trait": rate.trait},
    )


def _kind(subject: Subject) -> tuple[object, ...]:
    """What nodes have in common that are to be equally fast."""
    facts = subject.facts
    devices = tuple(sorted((one.vendor, one.model or "") for one in facts.accelerators or ()))
    return (subject.node.groups, facts.cpu_model, facts.threads, devices)


def thresholds(equals: float, source: str) -> tuple[Threshold, ...]:
    """The thresholds of a check of rates.

    Args:
        equals: Percent by which a rate may be below the middle of its equals.
        source: Where that comes from.
    """
    ours = "aiops' own: what was learned on the same machine differs by less from one test to the next"
    return (
        Threshold("warn", 10.0, "%", ours, least=1.0, most=100.0),
        Threshold("critical", 50.0, "%", "aiops' own: a part of it is missing", least=1.0, most=1000.0),
        Threshold("equals", equals, "%", source, least=1.0, most=100.0),
    )
