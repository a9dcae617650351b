"""A check that is silent, or that says the opposite, is noticed; `make bench-health_mutation` tries many more ways."""

import pytest
from tests.l1_cluster.health.mutation import KINDS, Suite, mutants
from tests.l1_cluster.health.suite import ALL, CASES

from aiops.layers.l1_cluster.health.check import Check

SUITE = Suite()
QUICK = ("deleted", "inverted")


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.id)
def test_a_check_that_judges_wrongly_fails_the_suite(check: Check) -> None:
    wrong = {mutant.kind: mutant for mutant in mutants(check)}
    assert set(KINDS) <= set(wrong)
    assert [kind for kind in QUICK if SUITE.catcher(wrong[kind].check) is None] == []


def test_a_right_check_passes() -> None:
    cases = [*CASES[:40], *(case for case in CASES if case.check.startswith("metrics."))]
    names = {case.check for case in cases}
    suite = Suite(cases=cases)
    assert {check.id: suite.catcher(check) for check in ALL if check.id in names} == dict.fromkeys(names)
