"""A fault of each kind, and a healthy run of each kind, on the simulated cluster; benchmarks do many more."""

from collections.abc import Callable

import pytest
from tests.l2_jobs.simulated_faults import FAULTS
from tests.l2_jobs.simulated_health import KINDS, live
from tests.l2_jobs.simulated_stage import Stage
from tests.l2_jobs.simulated_trial import suffer


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_each_fault_is_survived_or_told(fault: Callable[[Stage], None]) -> None:
    assert not suffer(fault, 7)
    assert not suffer(fault, 8, bmc="true")


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_run_is_left_alone(kind: str) -> None:
    assert not live(kind, 3)
