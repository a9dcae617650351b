"""The suite of cases, as tests and benchmarks run it: what is found in a case, and what of that is wrong."""

from collections.abc import Iterable, Iterator, Sequence

from tests.l1_cluster.health.case import PEERS, Case, subject
from tests.l1_cluster.health.cases import MODULES

from aiops.layers.core.plugin import Plugins
from aiops.layers.l1_cluster.health.catalogue import checks_of
from aiops.layers.l1_cluster.health.check import Check, Subject
from aiops.layers.l1_cluster.health.examination import Examination, examine
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.rules import Rules

ALL = checks_of(Plugins())
CASES: tuple[Case, ...] = tuple(case for module in MODULES for case in module.CASES)
NODE = "gpu01"
"""The one that a case is about."""


def subjects(case: Case | None) -> list[Subject]:
    """The node of a case and those beside it; None: all are healthy."""
    others = (False,) * PEERS if case is None else case.others
    return [subject(case), *(subject(case if has else None, f"gpu{no:02d}") for no, has in enumerate(others, 2))]


def examined(case: Case | None, checks: Sequence[Check] = ALL) -> Examination:
    """What `checks` make of a case."""
    return examine(subjects(case), checks, Rules())


def wrong(case: Case, findings: Iterable[Finding]) -> Iterator[str]:
    """What is not as the case says: nothing where its check finds it, in its words, and no other is alarmed."""
    findings = tuple(findings)
    if case.severity == "ok":
        if findings:
            yield f"nobody may be alarmed; found were {[str(one.document()) for one in findings]}"
        return
    own = [one for one in findings if one.check == case.check and one.node == NODE]
    if not own:
        yield f"not found; found were {[str(one.document()) for one in findings]}"
        return
    if (told := {one.check for one in findings}) != (meant := {case.check, *case.also}):
        yield f"found by {sorted(told)}, not by {sorted(meant)}"
    if (nodes := len({one.node for one in findings})) != 1 + sum(case.others):
        yield f"found on {nodes} nodes"
    finding = next((one for one in own if one.about == case.about), None)
    if finding is None:
        yield f"said of {[one.about for one in own]}, not of {case.about!r}"
        return
    said, meant_ = (finding.verdict, finding.action, finding.owner), (case.severity, case.action, case.owner)
    if said != meant_:
        yield f"said {said}, not {meant_}"
    if case.words not in finding.message:
        yield f"{case.words!r} is not in {finding.message!r}"


def unanswered(check: Check) -> Case | None:
    """A node that answers nothing of what a check asks; None for one that judges facts, or nodes together."""
    if not check.asks or check.judge is None:
        return None
    return Case("nothing is answered", check.id, "unknown", "none", answers={ask.name: None for ask in check.asks})
