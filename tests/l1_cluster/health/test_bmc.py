"""The management controller: what is asked of it, what it says in its several ways, and what is well."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.l0_nodes.test_probe import asked, tool
from tests.l1_cluster.health.case import AT, Case, gone, said, subject
from tests.l1_cluster.health.cases.bmc import INFO, OLD, SDR, events, sensors

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health.bmc import (
    CHECKS,
    DEVICE,
    EVENTS,
    EVENTS_ASK,
    SENSORS,
    Event,
    Sensor,
    has_controller,
    read_events,
    read_sensors,
)
from aiops.layers.l1_cluster.health.examination import Examination, examine
from aiops.layers.l1_cluster.health.rules import Rules


def record(answer: Answer) -> Record:
    return Record("gpu01", AT, {answer.name: answer})


def examined(*answers: Answer, facts: Callable[[Facts], Facts] = lambda facts: facts) -> Examination:
    case = Case("", "", "unknown", "none", answers={answer.name: answer for answer in answers}, facts=facts)
    return examine([subject(case)], CHECKS, Rules())


def controller(tmp_path: Path, now: str, newest: str) -> Answer:
    """What is asked of a controller with these times; `list` is in the answer where its events were asked for."""
    info = INFO.replace("11/21/2026 19:02:10", newest)
    (tmp_path / "info").write_text(info)
    tool(
        tmp_path,
        "ipmitool",
        f'case "$*" in "sel time get") echo "{now}" ;; "sel info") cat {tmp_path}/info ;;'
        ' "sel list") echo "   1 | 11/20/2026 | 18:00:00 | Processor #0x70 | IERR | Asserted" ;; *) exit 9 ;; esac',
    )
    return asked(EVENTS_ASK, path=str(tmp_path)).answer(EVENTS)


@pytest.mark.parametrize(
    ("now", "newest", "listed"),
    [
        ("11/21/2026 19:30:02", "11/21/2026 19:02:10", True),
        ("11/21/2026 19:30:02", "11/20/2026 20:02:10", True),
        ("11/21/2026 19:30:02", "10/21/2026 19:02:10", False),
        ("01/01/2027 00:30:02", "12/31/2026 23:02:10", True),
        ("03/01/2027 00:30:02", "02/28/2027 23:02:10", True),
        ("08/09/2026 00:30:02", "08/08/2026 23:02:10", True),
        ("08/09/09 00:30:02 UTC", "08/08/09 23:02:10 UTC", True),
        ("11/21/26 07:30:02 PM EST", "11/21/25 07:02:10 PM EST", False),
        ("11/21/2026 19:30:02", "Not Available", True),
        ("11/21/2026 19:30:02", "11/25/2026 19:02:10", True),  # its clock was set back
    ],
)
def test_events_are_asked_for_where_there_are_new_ones(tmp_path: Path, now: str, newest: str, listed: bool) -> None:
    answer = controller(tmp_path, now, newest)
    assert (answer.exit_status, answer.stderr) == (0, "")
    assert len(read_events(record(answer)) or ()) == listed


def test_no_ipmitool_is_not_unknown() -> None:
    assert asked(replace(EVENTS_ASK, environment=(("PATH", "/usr/bin:/bin"),))).answer(EVENTS).exit_status == 127
    assert read_events(record(said(EVENTS, "", 127))) is None
    found = examined(said(EVENTS, "", 127), gone(SENSORS, "ipmitool"))
    assert (found.findings, found.judged["gpu01"]) == ((), ())


def test_a_controller_that_fails(tmp_path: Path) -> None:
    tool(tmp_path, "ipmitool", "echo 'Could not open device at /dev/ipmi0' >&2; exit 1")
    answer = asked(EVENTS_ASK, path=str(tmp_path)).answer(EVENTS)
    with pytest.raises(UnreadableError, match="Could not open device"):
        read_events(record(answer))


def test_events_are_read() -> None:
    found = read_events(record(events()))
    assert found is not None
    assert found[0] == Event("Power Supply #0x3b", "Failure detected", None, over=False)
    assert found[5] == Event(
        "Power Supply #0x3b", "Power Supply AC lost", timedelta(hours=9, minutes=27, seconds=2), over=True
    )
    empty = said(EVENTS, f"now 11/21/2026 19:30:02\n{INFO}events new\n\nSEL has no entries\n.\n")
    assert read_events(record(empty)) == ()
    quiet = said(EVENTS, f"now 11/21/2026 19:30:02\n{INFO}events old\n.\n")
    assert read_events(record(quiet)) == ()


@pytest.mark.parametrize(
    ("clock", "hour"),
    [("12/14/22 23:09:44 CET", 23), ("02/25/2025 04:50:09 PM EST", 16), ("02/25/2025 12:50:09 AM", 0)],
)
def test_clocks_of_several_versions(clock: str, hour: int) -> None:
    line = f"   1 | {clock.partition(' ')[0]} | 00:00:00 | Fan #0x41 | Lower Critical going low | Asserted\n"
    [event] = read_events(record(said(EVENTS, f"now {clock}\nevents new\n{line}.\n"))) or ()
    assert event.age is not None
    assert event.age.seconds // 3600 == hour


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now 11/21/2026 19:30:02\nevents new\n",
        "now 99/99/2026 19:30:02\nevents new\n.\n",
        "now 11/21/2026 19:30:02\n.\n",
        "now 11/21/2026 19:30:02\nevents new\n 1 | 13/45/2026 | 18:00:00 | Fan #0x41 | Failure | Asserted\n.\n",
        "now 11/21/2026 19:30:02\nevents new\nzz | 11/21/2026 | 18:00:00 | Fan #0x41 | Failure | Asserted\n.\n",
        f"now 11/21/2026 19:30:02\nevents new\n{OLD}   b | 11/21\n.\n",
    ],
)
def test_a_log_that_is_none(text: str) -> None:
    with pytest.raises(UnreadableError):
        read_events(record(said(EVENTS, text)))


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("Memory #0x02 | Correctable ECC logging limit reached | Asserted", "warn"),
        ("Critical Interrupt #0x18 | Bus Fatal Error | Asserted", "critical"),
        ("Critical Interrupt #0x18 | Bus Correctable error | Asserted", None),
        ("Temperature #0x01 | Upper Critical going high | Asserted", "critical"),
        ("Temperature #0x01 | Upper Non-critical going high | Asserted", None),
        ("Temperature #0x01 | Transition to Critical from less severe | Asserted", "critical"),
        ("Voltage #0x60 | Lower Critical going low  | Asserted", "warn"),
        ("Voltage #0x60 | Lower Non-recoverable going low  | Asserted", "critical"),
        ("Power Unit #0x01 | Redundancy Lost | Asserted", "warn"),
        ("Power Unit #0x01 | Power off/down | Asserted", None),
        ("Power Supply #0x62 | Fully Redundant | Asserted", None),
        ("Drive Slot / Bay #0x42 | Drive Fault | Asserted", "warn"),
        ("Drive Slot / Bay #0x42 | Drive Present | Asserted", None),
        ("Processor #0x70 | Presence detected | Asserted", None),
        ("Physical Security #0x73 | General Chassis intrusion | Asserted", None),
        ("System Event #0x01 | Timestamp Clock Sync | Asserted", None),
        ("Unknown #0xb2 |  | Asserted", None),
        ("Memory #0x02 | Uncorrectable ECC | Deasserted", None),
    ],
)
def test_which_events_matter(line: str, severity: str | None) -> None:
    found = examined(events(f"  1f | 11/21/2026 | 18:00:00 | {line}")).findings
    assert [one.verdict for one in found] == ([severity] if severity else [])


def test_an_event_of_the_day_before_yesterday_is_over() -> None:
    line = "  1f | 11/{}/2026 | 18:00:00 | Processor #0x70 | IERR | Asserted"
    assert len(examined(events(line.format("21"))).findings) == 1
    assert examined(events(line.format("19"))).findings == ()


def test_sensors_are_read() -> None:
    found = read_sensors(record(sensors()))
    assert found is not None
    assert found[3] == Sensor("Fan9A RPM", "no reading", "ns")
    assert len(found) == len(SDR.splitlines())


@pytest.mark.parametrize(
    "text", ["", "Fan | 5880 RPM\n", "Fan | 5880 RPM | fine\n", "Fan | 30h | ok | 7.1 | 5880 RPM\n"]
)
def test_sensors_that_are_none(text: str) -> None:
    with pytest.raises(UnreadableError):
        read_sensors(record(sensors(text)))


def test_whether_there_is_a_controller() -> None:
    assert not has_controller(record(Answer(DEVICE, missing={"/sys/class/ipmi/ipmi*/dev": "nothing matches"})))
    with pytest.raises(UnreadableError):
        has_controller(record(Answer("x")))


@pytest.mark.parametrize("machine", ["kvm", "systemd-nspawn"])
def test_a_controller_is_asked_on_machines_alone(machine: str) -> None:
    bad = sensors(SDR.replace("| ok", "| nr"))
    found = examined(bad, facts=lambda facts: replace(facts, virtualization=machine))
    assert (found.findings, found.judged["gpu01"]) == ((), ())


def test_a_machine_without_a_controller() -> None:
    none = Answer(DEVICE, missing={"/sys/class/ipmi/ipmi*/dev": "nothing matches"})
    failing = Answer(EVENTS, 1, stderr="Could not open device at /dev/ipmi0\n")
    found = examined(none, failing)
    assert (found.findings, found.judged["gpu01"]) == ((), ())
