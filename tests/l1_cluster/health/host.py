"""Judging one node by the checks on the host itself."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.l1_cluster.health.case import AT, Case, subject

from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health import bus, memory, operating_system, processor
from aiops.layers.l1_cluster.health import processes as proc
from aiops.layers.l1_cluster.health.check import Check
from aiops.layers.l1_cluster.health.examination import Examination, examine
from aiops.layers.l1_cluster.health.past import Past
from aiops.layers.l1_cluster.health.rules import Rules

CHECKS: tuple[Check, ...] = tuple(
    check for domain in (processor, memory, proc, bus, operating_system) for check in domain.CHECKS
)


def judged(
    answers: Mapping[str, Answer | None],
    facts: Callable[[Facts], Facts] = lambda facts: facts,
    past: Past | None = None,
    groups: tuple[str, ...] = ("workers",),
    variables: Mapping[str, object] | None = None,
) -> Examination:
    """What the checks make of a node with these answers."""
    case = Case(
        "",
        "",
        "unknown",
        "none",
        answers=answers,
        facts=facts,
        past=past or Past(),
        groups=groups,
        variables=variables or {},
    )
    return examine([subject(case)], CHECKS, Rules())


def told(*arguments: object, **more: object) -> list[tuple[str, str, str]]:
    """Check, verdict and thing of each finding."""
    outcome = judged(*arguments, **more)  # type: ignore[arg-type]
    return [(one.check, one.verdict, one.about) for one in outcome.findings]


def container(facts: Facts) -> Facts:
    """A container in somebody's machine."""
    return replace(facts, container=True, virtualization="systemd-nspawn")


def virtual(facts: Facts) -> Facts:
    """A virtual machine."""
    return replace(facts, virtualization="kvm")


def record(answer: Answer) -> Record:
    return Record("gpu01", AT, {answer.name: answer})
