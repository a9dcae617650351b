"""Checks that judge wrongly on purpose, and whether the suite of cases notices each of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

from tests.l1_cluster.health.case import Case, subject
from tests.l1_cluster.health.suite import ALL, CASES, examined, subjects, unanswered, wrong

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l1_cluster.health.check import Check, Limits, Sighting, Subject
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.fabric import CHECK as SWITCH
from aiops.layers.l1_cluster.health.fabric import TAG as LINK
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.layers.l1_cluster.health.verdict import Action, Owner, Severity

T = TypeVar("T")
Seen = tuple[str, Sighting]
Change = Callable[[Check, list[Seen], Sequence[Subject]], list[Seen]]
"""What a wrong judge makes of what the right one has seen: (check, seen as (node, sighting), subjects)."""

MUCH = 10.0
"""By how much a threshold is moved, up and down."""

_OTHER_SEVERITY: Mapping[str, Severity] = {"warn": "critical", "critical": "warn"}
_OTHER_ACTION: Mapping[Action, Action] = {
    "none": "service",
    "restart_app": "reboot",
    "reset_device": "reboot",
    "restart_service": "reboot",
    "reboot": "service",
    "service": "reboot",
}
_OTHER_OWNER: Mapping[Owner, Owner] = {"node": "user", "fabric": "node", "user": "node", "controller": "node"}


def _deleted(_check: Check, _seen: list[Seen], _of: Sequence[Subject]) -> list[Seen]:
    return []


def _inverted(_check: Check, seen: list[Seen], of: Sequence[Subject]) -> list[Seen]:
    found = {name for name, _ in seen}
    return [(one.node.name, Sighting("warn", "inverted")) for one in of if one.node.name not in found]


def _each(change: Callable[[Check, Sighting], Sighting]) -> Change:
    return lambda check, seen, _: [(name, change(check, one)) for name, one in seen]


def _severity(_check: Check, one: Sighting) -> Sighting:
    return one if one.severity == "unknown" else replace(one, severity=_OTHER_SEVERITY[one.severity])


def _action(check: Check, one: Sighting) -> Sighting:
    said = one.action or ("none" if one.severity == "unknown" else check.action)
    return replace(one, action=_OTHER_ACTION[said])


def _owner(check: Check, one: Sighting) -> Sighting:
    return replace(one, owner=_OTHER_OWNER[one.owner or check.owner])


def _about(_check: Check, one: Sighting) -> Sighting:
    return replace(one, about=f"{one.about}?")


KINDS: Mapping[str, Change] = {
    "deleted": _deleted,
    "inverted": _inverted,
    "another severity": _each(_severity),
    "another action": _each(_action),
    "another owner": _each(_owner),
    "of another thing": _each(_about),
}


@dataclass(frozen=True)
class Mutant:
    """A check that judges wrongly, and how."""

    kind: str
    check: Check

    @property
    def name(self) -> str:
        """`gpu.temp: inverted`."""
        return f"{self.check.id}: {self.kind}"


def mutants(check: Check) -> Iterator[Mutant]:
    """All wrong kinds of one check."""
    for kind, change in KINDS.items():
        yield Mutant(kind, _changed(check, change))
    yield Mutant("never applies", replace(check, applies=lambda _: False))
    if unanswered(check) is not None:
        yield Mutant("takes unread for well", _silent(check))
    for one in check.thresholds:
        for by, word in ((MUCH, "up"), (1 / MUCH, "down")):
            moved = replace(one, default=min(max(one.default * by, one.least), one.most))
            if moved != one:
                others = tuple(moved if other is one else other for other in check.thresholds)
                yield Mutant(f"`{one.name}` moved {word}", replace(check, thresholds=others))


def _changed(check: Check, change: Change) -> Check:
    judge, compare = check.judge, check.compare
    if judge is not None:

        def judged(subject: Subject, limits: Limits) -> Iterator[Sighting]:
            seen = [(subject.node.name, one) for one in judge(subject, limits)]
            yield from (one for _, one in change(check, seen, (subject,)))

        return replace(check, judge=judged)
    assert compare is not None

    def compared(subjects: Sequence[Subject], limits: Limits) -> Iterator[Seen]:
        yield from change(check, list(compare(subjects, limits)), subjects)

    return replace(check, compare=compared)


def _silent(check: Check) -> Check:
    """The check with everything it cannot read left out."""
    judge = check.judge
    assert judge is not None

    def judged(subject: Subject, limits: Limits) -> Iterator[Sighting]:
        try:
            yield from (one for one in judge(subject, limits) if one.severity != "unknown")
        except UnreadableError:
            return

    def applies(subject: Subject) -> bool:
        try:
            return check.applies(subject)
        except UnreadableError:
            return False

    return replace(check, judge=judged, applies=applies)


class Suite:
    """The suite of cases with its right findings at hand, so that a wrong check alone is run again."""

    def __init__(self, checks: Sequence[Check] = ALL, cases: Sequence[Case] = CASES) -> None:
        self._checks = checks
        self._cases = cases
        self._right: dict[int, tuple[Finding, ...]] = {}

    def right(self, case: Case) -> tuple[Finding, ...]:
        """What all checks, as they are, find in a case."""
        if id(case) not in self._right:
            self._right[id(case)] = examined(case, self._checks).findings
        return self._right[id(case)]

    def catcher(self, mutant: Check) -> str | None:
        """The first case that fails with this check in place of the right one; None: none does.

        The healthy nodes and those that answer nothing are cases too.
        """
        own = [case for case in self._cases if mutant.id in {case.check, *case.also}]
        others = [case for case in self._cases if case not in own]
        tests: Iterable[tuple[str, Callable[[], bool]]] = chain(
            ((case.name, lambda case=case: self._fails(case, mutant)) for case in own),  # type: ignore[misc]
            [("healthy nodes", lambda: bool(examined(None, (mutant,)).findings))],
            [("nothing is answered", lambda: _unanswered(mutant))],
            ((case.name, lambda case=case: self._fails(case, mutant)) for case in others),  # type: ignore[misc]
        )
        return next((name for name, fails in tests if fails()), None)

    def _fails(self, case: Case, mutant: Check) -> bool:
        told_once = mutant.unless or any(mutant.id in one.unless for one in self._checks)
        if mutant.id == SWITCH or LINK in mutant.all_tags or told_once:  # these change what others say
            checks = [mutant if one.id == mutant.id else one for one in self._checks]
            return any(wrong(case, examined(case, checks).findings))
        others = [one for one in self.right(case) if one.check != mutant.id]
        return any(wrong(case, [*others, *examine(subjects(case), (mutant,), Rules()).findings]))


def _unanswered(mutant: Check) -> bool:
    case = unanswered(mutant)
    if case is None:
        return False
    found = examine([subject(case)], (mutant,), Rules()).findings
    return not found or any(one.verdict != "unknown" for one in found)
