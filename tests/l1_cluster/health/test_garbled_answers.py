"""Garbage, and answers that break off: unknown or nothing, never a failing judge, never something that is wrong."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l1_cluster.health.case import Case, subject
from tests.l1_cluster.health.cases import bmc, drives, filesystems, services

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health import bmc as bmc_checks
from aiops.layers.l1_cluster.health import drive_health, mounts
from aiops.layers.l1_cluster.health import drives as drive_checks
from aiops.layers.l1_cluster.health import filesystems as filesystem_checks
from aiops.layers.l1_cluster.health import services as service_checks
from aiops.layers.l1_cluster.health.check import Check
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.rules import Rules

DOMAINS = (filesystem_checks, mounts, drive_checks, drive_health, service_checks, bmc_checks)
CHECKS: tuple[Check, ...] = tuple(check for domain in DOMAINS for check in domain.CHECKS)
HEALTHY = {name: answer for module in (filesystems, drives, services, bmc) for name, answer in module.HEALTHY.items()}


def found(answer: Answer) -> Iterable[Finding]:
    case = Case("", "", "unknown", "none", answers={answer.name: answer})
    return examine([subject(case)], CHECKS, Rules()).findings


def assert_nothing_wrong(answer: Answer) -> None:
    for finding in found(answer):
        assert finding.verdict == "unknown", finding
        assert "its judge" not in finding.message, finding


@pytest.mark.parametrize("name", sorted(HEALTHY))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_an_answer_that_breaks_off(name: str, data: st.DataObject) -> None:
    whole = HEALTHY[name]
    if whole.stdout:
        end = data.draw(st.integers(0, len(whole.stdout)), "end of stdout")
        assert_nothing_wrong(replace(whole, stdout=whole.stdout[:end]))
    for path, text in whole.files.items():
        end = data.draw(st.integers(0, len(text)), f"end of {path}")
        assert_nothing_wrong(replace(whole, files={**whole.files, path: text[:end]}, truncated=True))


@pytest.mark.parametrize("name", sorted(HEALTHY))
@given(text=st.one_of(st.text(), st.text(alphabet="=!?.>|[]{}:/ \n\t0123456789abcmnrx\"'")))
@settings(max_examples=150, deadline=None)
def test_garbage(name: str, text: str) -> None:
    whole = HEALTHY[name]
    assert_nothing_wrong(replace(whole, stdout=text, stderr=text))
    assert_nothing_wrong(replace(whole, exit_status=1, stdout=text, stderr=text))
    assert_nothing_wrong(replace(whole, files=dict.fromkeys(whole.files, text)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_is_as_severe_as_its_worst_case(check: Check) -> None:
    cases = [case for module in (filesystems, drives, services, bmc) for case in module.CASES if case.check == check.id]
    assert check.severity == ("critical" if "critical" in {case.severity for case in cases} else "warn")


@pytest.mark.parametrize("name", sorted(HEALTHY))
@pytest.mark.parametrize("status", [None, 2, 126, 255])
def test_a_tool_that_ends_badly(name: str, status: int | None) -> None:
    whole = HEALTHY[name]
    assert_nothing_wrong(replace(whole, exit_status=status, stdout="", stderr="Segmentation fault\n", files={}))
