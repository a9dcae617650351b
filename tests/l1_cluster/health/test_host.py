"""The checks on the host together: where they are quiet, and what garbage costs."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l1_cluster.health.case import Case, healthy_answers, read, subject
from tests.l1_cluster.health.cases import MODULES
from tests.l1_cluster.health.cases.bus import links
from tests.l1_cluster.health.cases.memory import edac, meminfo
from tests.l1_cluster.health.cases.processes import room
from tests.l1_cluster.health.cases.processor import cpus, governors
from tests.l1_cluster.health.host import CHECKS, container, judged, told, virtual

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health import (
    bus,
    disk_events,
    hardware_events,
    kernel_events,
    memory,
    operating_system,
    processor,
)
from aiops.layers.l1_cluster.health import processes as proc
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.layers.l1_cluster.health.verdict import worst


def test_a_container_is_judged_by_its_own_processes_and_its_reboot_alone() -> None:
    sick = {
        memory.MEMORY_ASK.name: meminfo(1024),
        memory.EDAC: edac(uncorrected=5),
        proc.ROOM: room(tasks=4_194_000),
        bus.LINKS: links(**{"0000_1a_00_0": ("8", "16", "16")}),
        processor.CPU_SET: cpus(online="0-3"),
        processor.GOVERNOR: governors("powersave"),
    }
    outcome = judged(sick, lambda facts: replace(container(facts), swaps=("/dev/sda3",)))
    assert outcome.findings == ()
    assert set(outcome.judged["gpu01"]) == {"proc.dstate", "proc.zombie", "os.reboot_required"}


def test_a_virtual_machine_has_no_clocks_modules_and_links_of_its_own() -> None:
    outcome = judged({memory.EDAC: edac(uncorrected=5), processor.GOVERNOR: governors("powersave")}, virtual)
    assert outcome.findings == ()
    assert {"cpu.governor", "mem.dimm_errors", "pcie.link", "pcie.acs"}.isdisjoint(outcome.judged["gpu01"])


def test_a_node_of_which_it_is_not_known_whether_it_is_real_is_unknown() -> None:
    reasons = {"virtualization": "systemd-detect-virt: not found", "container": "systemd-detect-virt: not found"}
    outcome = judged({}, lambda facts: replace(facts, virtualization=None, container=None, unknown=reasons))
    assert {(one.verdict, one.message) for one in outcome.findings} == {("unknown", "systemd-detect-virt: not found")}


@pytest.mark.parametrize(
    ("name", "pattern", "check"),
    [
        (processor.GOVERNOR, "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor", "cpu.governor"),
        (memory.EDAC, "/sys/devices/system/edac/mc/mc*/ue_count", "mem.dimm_errors"),
    ],
)
def test_what_a_machine_does_not_have_is_not_judged(name: str, pattern: str, check: str) -> None:
    outcome = judged({name: read(name, {}, **{pattern: "nothing matches"})})
    assert outcome.findings == ()
    assert check not in outcome.judged["gpu01"]
    assert [one[:2] for one in told({name: read(name, {}, **{pattern: "Input/output error"})})] == [(check, "unknown")]


def test_a_reboot_that_nobody_in_particular_wants() -> None:
    marked = read(
        operating_system.REBOOT,
        {"/run/reboot-required": ""},
        **dict.fromkeys(("/run/reboot-required.pkgs", "/run/aiops/reboot-needed"), "No such file or directory"),
    )
    outcome = judged({operating_system.REBOOT: marked})
    assert [one.message for one in outcome.findings] == ["a reboot is waited for by the distribution"]


EVENTS = (kernel_events, hardware_events, disk_events)
NAMES = sorted({one.name for check in CHECKS for one in check.asks})


def broken(name: str, text: str) -> Answer:
    """The healthy answer, with `text` in every place where there is some."""
    whole = healthy_answers()[name]
    return replace(whole, stdout=text if whole.stdout else "", files=dict.fromkeys(whole.files, text))


@settings(deadline=None)
@given(st.sampled_from(NAMES), st.text(max_size=60) | st.text(alphabet="0123456789-,: .kB\n\t/", max_size=40))
def test_garbage_is_unknown_or_nothing_and_costs_no_other_check(name: str, text: str) -> None:
    mine = tuple(check for check in CHECKS if name in {one.name for one in check.asks})
    outcome = examine([subject(Case("", "", "unknown", "none", answers={name: broken(name, text)}))], CHECKS, Rules())
    assert {one.check for one in outcome.findings} <= {check.id for check in mine}
    assert not [one for one in outcome.findings if "its judge" in one.message]


# what is on the bus is a fact, and a mark of a reboot needs no content
ANSWERS = sorted({*NAMES} - {bus.BUS_ASK.name, operating_system.REBOOT})


def verdicts(answer: Answer) -> set[str]:
    """What is found on a node that is healthy but for one answer."""
    case = Case("", "", "unknown", "none", answers={answer.name: answer})
    return {one.verdict for one in examine([subject(case)], CHECKS, Rules()).findings}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("text", ["\ufffd\ufffd\x01", "Killed\n", "<html></html>", "1e400", "-7", "nan"])
def test_what_is_no_answer_is_unknown(name: str, text: str) -> None:
    assert verdicts(broken(name, text)) == {"unknown"}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_was_cut_or_came_too_late_is_unknown(name: str) -> None:
    whole = healthy_answers()[name]
    cut = replace(
        whole,
        stdout=whole.stdout[: len(whole.stdout) // 2],
        files={path: text[:30] for path, text in whole.files.items()},
    )
    assert verdicts(replace(cut, truncated=True)) == {"unknown"}
    late = replace(cut, timed_out=True, exit_status=None, missing={"files": "it did not answer before the deadline"})
    assert verdicts(late) == {"unknown"}


def test_a_check_says_no_worse_than_its_severity_and_as_bad_in_one_of_its_cases() -> None:
    for check in (*CHECKS, *(check for domain in EVENTS for check in domain.CHECKS)):
        seen = [case.severity for module in MODULES for case in module.CASES if case.check == check.id]
        assert check.severity == worst(one for one in seen if one != "unknown"), check.id
