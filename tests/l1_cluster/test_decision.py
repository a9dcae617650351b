"""What a deploy decides without asking anybody."""

import pytest

from aiops.layers.l1_cluster.change import Change
from aiops.layers.l1_cluster.decision import needed_roles, on_the_way, shortfall, wants_reboot
from aiops.layers.l1_cluster.phase import Phase, read_phases, shipped_phases

REBOOT = Change("reboot", "reboot", "done", "due")
STARTING = Change("service:a", "start", "enabled, active", "enabled, activating")
STOPPED = Change("service:b", "start", "enabled, active", "enabled, inactive")


def test_a_reboot_is_wanted_when_it_is_among_the_changes() -> None:
    assert wants_reboot([STARTING, REBOOT])
    assert not wants_reboot([STARTING])


@pytest.mark.parametrize(
    ("changes", "rebooted", "expected"),
    [
        ([], True, False),
        ([STARTING], True, True),
        ([STARTING, STOPPED], True, False),
        ([STARTING, REBOOT], False, True),
        ([STARTING, REBOOT], True, False),
        ([REBOOT], False, False),
    ],
)
def test_only_services_between_two_states_are_waited_for(
    changes: list[Change], *, rebooted: bool, expected: bool
) -> None:
    assert on_the_way(changes, rebooted=rebooted) is expected


def test_a_shortfall_is_one_line() -> None:
    assert shortfall([]) == ""
    assert shortfall([STOPPED]) == str(STOPPED)
    assert shortfall([STOPPED, STARTING, REBOOT]) == f"{STOPPED} (and 2 more)"


def test_a_phase_needs_what_those_before_it_need() -> None:
    phases = {phase.name: phase for phase in read_phases(shipped_phases())}
    needing: list[Phase] = [phase for phase in phases.values() if "head" in phase.needs]
    assert needing
    later = next(phase for phase in phases.values() if needing[0].name in phase.after)
    assert "head" in needed_roles(later, phases.values())
    assert needed_roles(later, [later]) == tuple(dict.fromkeys(later.needs))
