"""Events in the kernel's log: what the cases do not show, and what only looks like one."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l1_cluster.health.case import Case, read, subject
from tests.l1_cluster.health.cases.kernel_events import disks
from tests.l1_cluster.health.cases.kernel_log import log
from tests.l1_cluster.health.kernel_lines import ALARMING, HARMLESS

from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l1_cluster.health import disk_events, hardware_events, kernel_events
from aiops.layers.l1_cluster.health.disk_events import DISK_KINDS, disk_of
from aiops.layers.l1_cluster.health.examination import Examination, examine
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG, UPTIME
from aiops.layers.l1_cluster.health.rules import Rules

OURS = (kernel_events, hardware_events, disk_events)
CHECKS = tuple(check for domain in OURS for check in domain.CHECKS)
DEFAULTS = Rules()


def judged(answers: Mapping[str, Answer], rules: Rules = DEFAULTS, *, container: bool = False) -> Examination:
    """What the checks on the kernel's log make of a node with these answers."""
    virtualization = "systemd-nspawn" if container else "none"
    case = Case(
        "",
        "",
        "unknown",
        "none",
        answers=answers,
        facts=lambda facts: replace(facts, container=container, virtualization=virtualization),
    )
    return examine([subject(case)], CHECKS, rules)


def found(*lines: tuple[float, str], kinds: Answer | None = None, container: bool = False) -> tuple[Finding, ...]:
    """What they find in a log of `lines`."""
    return judged({KERNEL_LOG: log(*lines), DISK_KINDS: kinds or disks("sr0", "sdz")}, container=container).findings


def test_harmless_lines_alarm_nobody() -> None:
    lines = HARMLESS.splitlines()
    assert len(lines) > 80
    assert found(*((3000.0 - number, line) for number, line in enumerate(lines))) == ()


@pytest.mark.parametrize("line", HARMLESS.splitlines())
def test_a_harmless_line_alarms_nobody(line: str) -> None:
    assert found((600.0, line)) == ()


@pytest.mark.parametrize(
    ("line", "hours"),
    [
        *(
            (lines[0], 24.0)
            for kind, lines in ALARMING.items()
            if kind not in {"pcie_error", "throttled", "overheated"}
        ),
        (ALARMING["pcie_error"][0], 24.0),
        (ALARMING["overheated"][0], 1.0),
    ],
)
def test_what_is_over_does_not_count(line: str, hours: float) -> None:
    assert found((hours * 3600 - 5, line))
    assert found((hours * 3600 + 5, line)) == ()


def test_a_site_sets_how_long_an_event_counts() -> None:
    oops = {KERNEL_LOG: log((7200.0, ALARMING["oops"][0]))}
    rules = Rules(thresholds={"kmsg.panic_or_oops": {"hours": 1.0}})
    assert [one.check for one in judged(oops).findings] == ["kmsg.panic_or_oops"]
    assert judged(oops, rules).findings == ()


def test_a_container_without_a_log_is_not_judged_and_one_with_a_log_is() -> None:
    no_log = {KERNEL_LOG: read(KERNEL_LOG, {}, **{"/dev/kmsg": "No such file or directory"})}
    blind = judged(no_log, container=True)
    assert (blind.findings, blind.judged["gpu01"]) == ((), ())
    assert {one.verdict for one in judged(no_log).findings} == {"unknown"}
    assert [one.check for one in found((60.0, ALARMING["oops"][0]), container=True)] == ["kmsg.panic_or_oops"]


def test_a_daemon_is_no_process_of_a_user_that_bears_its_name() -> None:
    line = "Out of memory: Killed process 7 (sshd) total-vm:9kB, UID:{} pgtables:1kB oom_score_adj:0"
    assert [one.about for one in found((60.0, line.format(0)))] == ["", "sshd"]
    assert [one.about for one in found((60.0, line.format(999)))] == ["", "sshd"]
    assert [one.about for one in found((60.0, line.format(1000)))] == [""]


def test_a_daemon_that_the_kernel_names_alone() -> None:
    assert [
        one.about for one in found((60.0, "Out of memory: Kill process 7 (munged) score 9 or sacrifice child"))
    ] == [
        "",
        "munged",
    ]


def test_the_bits_of_a_bank_tell_whether_an_error_was_corrected() -> None:
    line = "mce: [Hardware Error]: CPU 3: Machine Check: 0 Bank 7: {}"
    assert found((60.0, line.format("8c00004000010091"))) == ()
    assert [one.check for one in found((60.0, line.format("ac00004000010091")))] == ["kmsg.mce"]


def test_reports_of_the_firmware_are_told_apart_by_their_number() -> None:
    lines = (
        "{1}[Hardware Error]: event severity: recoverable",
        "{1}[Hardware Error]:   section_type: PCIe error",
        "{2}[Hardware Error]: event severity: recoverable",
        "{2}[Hardware Error]:   section_type: memory error",
    )
    findings = found(*((60.0 - number, line) for number, line in enumerate(lines)))
    assert [(one.check, one.evidence["count"]) for one in findings] == [("kmsg.mce", 1), ("kmsg.aer", 1)]


def test_an_unknown_request_beside_a_real_error_is_an_error() -> None:
    error = (
        "nvme 0000:e1:00.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer, (Requester ID)"
    )
    state = "nvme 0000:e1:00.0:   device [144d:a824] error status/mask={}/{}"

    def severity(status: str, mask: str = "00000000") -> list[str]:
        return [one.verdict for one in found((60.0, error), (59.0, state.format(status, mask)))]

    assert severity("00100000") == ["warn"]
    assert severity("00104000") == ["critical"]
    assert severity("00104000", "00004000") == ["warn"]
    assert severity("00004000") == ["critical"]
    fatal = error.replace("Non-Fatal", "Fatal")
    assert [one.verdict for one in found((60.0, fatal), (59.0, state.format("00100000", "00000000")))] == ["critical"]


def test_the_port_above_is_not_counted_beside_the_device() -> None:
    findings = found(
        (60.0, "pcieport 0000:e0:01.0: AER: Uncorrected (Non-Fatal) error received: 0000:e1:00.0"),
        (59.0, "nvme 0000:e1:00.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer"),
    )
    assert [(one.about, one.evidence["count"]) for one in findings] == [("0000:e1:00.0", 1)]


def test_corrected_errors_are_counted_for_each_device_and_hour() -> None:
    line = "pcieport 0000:{}:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)"
    assert found(*((3000.0, line.format(bus)) for bus in ("16", "17") for _ in range(99))) == ()
    assert found(*((3700.0 if number else 60.0, line.format("16")) for number in range(300))) == ()
    assert [one.about for one in found(*((60.0, line.format("16")) for _ in range(100)))] == ["0000:16:00.0"]


def test_heat_counts_once_a_minute_and_not_when_it_has_passed() -> None:
    line = "mce: CPU{}: Core temperature above threshold, cpu clock throttled (total events = 9)"
    assert found(*((600.0 - cpu / 10, line.format(cpu)) for cpu in range(96))) == ()
    assert found(*((ago, line.format(0)) for ago in (7200.0, 5400.0, 4000.0, 60.0))) == ()
    assert [one.check for one in found(*((ago, line.format(0)) for ago in (3000.0, 2000.0, 60.0)))] == ["kmsg.thermal"]


def test_disks_by_the_names_of_their_partitions() -> None:
    names = (
        "nvme0n1p2",
        "nvme0c1n1p2",
        "nvme0n1",
        "sda1",
        "sdaa12",
        "sda",
        "md127p1",
        "md127",
        "dm-0",
        "mmcblk0p1",
        "vdb3",
    )
    assert [disk_of(name) for name in names] == [
        *("nvme0n1", "nvme0c1n1", "nvme0n1", "sda", "sdaa", "sda", "md127", "md127", "dm-0", "mmcblk0", "vdb")
    ]


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("Aborting journal on device dm-0-8.", "dm-0"),
        ("Aborting journal on device sda1-8.", "sda"),
        ("XFS (dm-1): Internal error xfs_trans_cancel at line 1 of file fs/xfs/xfs_trans.c", "dm-1"),
    ],
)
def test_journals_are_on_their_disk(line: str, about: str) -> None:
    assert [one.about for one in found((60.0, line))] == [about]


def test_volumes_over_one_disk_are_no_paths() -> None:
    line = (60.0, "I/O error, dev sda, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2")
    for kinds, verdict in ((disks(), "critical"), (disks(paths=("sda",)), "warn")):
        assert [one.verdict for one in found(line, kinds=kinds)] == [verdict]


def test_a_disk_on_a_node_that_shows_none() -> None:
    none = read(DISK_KINDS, {}, **{f"/sys/block/{one}": "nothing matches" for one in ("*/removable", "dm-*/dm/uuid")})
    line = (60.0, "I/O error, dev sdq, sector 0 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2")
    assert [one.about for one in found(line, kinds=none)] == ["sdq"]


def test_messages_are_short_and_of_one_line() -> None:
    findings = found((60.0, "kernel BUG at mm/slub.c:305!" + "x" * 500 + r"\x0asecond"))
    assert len(findings[0].message) < 220
    assert "second" not in findings[0].message


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,-;: \n\tabcPCIeUE[]{}#()", max_size=300))
def test_garbled_logs_and_clocks_cost_only_their_checks(text: str) -> None:
    garbled = {KERNEL_LOG: read(KERNEL_LOG, {"/dev/kmsg": text}), UPTIME: read(UPTIME, {"/proc/uptime": text})}
    findings = judged(garbled).findings
    assert {finding.verdict for finding in findings} <= {"unknown"}
    assert not [finding for finding in findings if "its judge" in finding.message]
