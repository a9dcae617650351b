"""Drives: the shell programs that ask them, the tools' several layouts, and what is well."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.l0_nodes.test_probe import asked, tool
from tests.l1_cluster.health.case import AT, Case, said, subject
from tests.l1_cluster.health.cases.drives import (
    ARRAYS,
    SATA,
    WELL,
    arrays,
    logs,
    nvme,
    nvme_logs,
    pending,
    refused,
    serial,
    smart,
)

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Ask, Record
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l1_cluster.health import drive_health, drives
from aiops.layers.l1_cluster.health.drive_reading import (
    NVME,
    NVME_ASK,
    NVME_LOGS,
    NVME_LOGS_ASK,
    SMART,
    SMART_ASK,
    Wear,
    read_nvme,
    read_nvme_logs,
    read_smart,
    read_wear,
)
from aiops.layers.l1_cluster.health.drives import MDSTAT, Array, read_arrays
from aiops.layers.l1_cluster.health.examination import Examination, examine
from aiops.layers.l1_cluster.health.expected import Expected
from aiops.layers.l1_cluster.health.past import Past, Sample
from aiops.layers.l1_cluster.health.rules import Rules

CHECKS = (*drives.CHECKS, *drive_health.CHECKS)


def examined(
    *answers: Answer,
    facts: Callable[[Facts], Facts] = lambda facts: facts,
    past: Past | None = None,
    expected: int | None = None,
) -> Examination:
    case = Case(
        "",
        "",
        "unknown",
        "none",
        answers={answer.name: answer for answer in answers},
        facts=facts,
        past=past or Past(),
        expected=Expected({} if expected is None else {"nvme.count": expected}),
    )
    return examine([subject(case)], CHECKS, Rules())


def record(answer: Answer) -> Record:
    return Record("gpu01", AT, {answer.name: answer})


def test_drives_on_the_bus_are_read() -> None:
    found = read_nvme(record(nvme(drivers={1: None, 2: "vfio-pci"})))
    assert (found.bus["0000:40:00.0"], found.bus["0000:41:00.0"], found.bus["0000:42:00.0"]) == (
        "nvme",
        None,
        "vfio-pci",
    )
    assert {one.name for one in found.local} == {f"nvme{number}" for number in range(9)} - {"nvme1", "nvme2"}
    assert found.controllers[0].serial == serial(0)


def test_a_drive_that_is_given_away_is_not_missed() -> None:
    assert examined(nvme(drivers={2: "vfio-pci"})).findings == ()


def test_a_drive_elsewhere_is_no_drive_of_this_node() -> None:
    whole = nvme()
    folder = "/sys/class/nvme/nvme20"
    files = {**whole.files, f"{folder}/state": "connecting\n", f"{folder}/transport": "tcp\n"}
    assert examined(replace(whole, files=files)).findings == ()


def test_an_old_kernel_that_shows_no_addresses() -> None:
    whole = nvme()
    assert examined(replace(whole, files={})).findings == ()
    no_address = {path: text for path, text in whole.files.items() if not path.endswith("/address")}
    assert examined(replace(whole, files=no_address)).findings == ()


def test_the_bus_is_asked(tmp_path: Path) -> None:
    for name, class_, uevent in (
        ("a", "0x010802", "DRIVER=nvme\nPCI_SLOT_NAME=a\n"),
        ("b", "0x030200", "DRIVER=nvidia\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "class").write_text(f"{class_}\n")
        (tmp_path / name / "uevent").write_text(uevent)
    text = NVME_ASK.argv[2].replace("/sys/bus/pci/devices", str(tmp_path))
    answer = asked(Ask(NVME, ("sh", "-c", text))).answer(NVME)
    assert answer.stdout == "DRIVER=nvme\nPCI_SLOT_NAME=a\n\n.\n"
    assert read_nvme(record(answer)).bus == {"a": "nvme"}


def nvme_program(tmp_path: Path, names: tuple[str, ...]) -> Ask:
    """The question after NVMe logs, on a machine with other drives."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "class").mkdir()
    for name in names:
        (tmp_path / "class" / name).touch()
        (tmp_path / "dev" / name).symlink_to("/dev/null")
    text = (
        NVME_LOGS_ASK.argv[2]
        .replace("/sys/class/nvme", f"{tmp_path}/class")
        .replace("/dev/$drive", f"{tmp_path}/dev/$drive")
    )
    return replace(NVME_LOGS_ASK, argv=("sh", "-c", text))


def test_each_drive_is_asked_and_a_hung_one_holds_up_nobody(tmp_path: Path) -> None:
    tool(
        tmp_path,
        "nvme",
        'case "$4" in *nvme1) exec sleep 60 ;; *nvme2) echo "NVMe status: INVALID" >&2; exit 5 ;; esac\n'
        f"echo '{json.dumps(WELL)}'",
    )
    answer = asked(nvme_program(tmp_path, ("nvme0", "nvme1", "nvme2", "nvme10")), path=str(tmp_path)).answer(NVME_LOGS)
    found = {one.drive: one for one in read_nvme_logs(record(answer)) or ()}
    assert answer.seconds < 5.5
    assert set(found) == {"nvme0", "nvme1", "nvme2", "nvme10"}
    assert found["nvme0"].document() == WELL == found["nvme10"].document()
    with pytest.raises(UnreadableError, match="not read within 4 s"):
        found["nvme1"].document()
    with pytest.raises(UnreadableError, match="ended with 5: `NVMe status: INVALID`"):
        found["nvme2"].document()


def test_no_drive_is_not_unknown(tmp_path: Path) -> None:
    tool(tmp_path, "nvme", "exit 1")
    answer = asked(nvme_program(tmp_path, ()), path=str(tmp_path)).answer(NVME_LOGS)
    assert read_nvme_logs(record(answer)) == ()


def test_a_tool_that_is_not_installed_judges_nothing() -> None:
    answers = [
        asked(replace(ask, environment=(("PATH", "/usr/bin:/bin"),))).answer(ask.name) for ask in (NVME_LOGS_ASK,)
    ]
    assert [one.exit_status for one in answers] == [127]
    found = examined(said(NVME_LOGS, "", 127), said(SMART, "", 127))
    assert found.findings == ()
    assert not {"nvme.smart", "disk.smart"} & set(found.judged["gpu01"])


def test_smartctl_is_asked_of_all_but_nvme(tmp_path: Path) -> None:
    tool(tmp_path, "nvme", "exit 1")
    tool(
        tmp_path,
        "smartctl",
        'case "$1" in --scan) echo "/dev/sdx -d scsi # /dev/sdx, SCSI device"; echo "/dev/nvme0 -d nvme # x";'
        ' echo "/dev/bus/0 -d megaraid,8 # x"; exit 0 ;; esac; echo "{\\"said\\": \\"$*\\"}"; exit 4',
    )
    answer = asked(SMART_ASK, path=str(tmp_path)).answer(SMART)
    found = {one.drive: one for one in read_smart(record(answer)) or ()}
    assert {name: (one.status, one.document()["said"]) for name, one in found.items()} == {
        "/dev/sdx": (4, "--json=c -i -H -A /dev/sdx"),
        "/dev/bus/0 megaraid,8": (4, "--json=c -i -H -A -d megaraid,8 /dev/bus/0"),
    }


@pytest.mark.parametrize(
    ("document", "wear"),
    [
        (WELL, Wear(0, 100, 10, 3, 0)),
        (
            {**WELL, "critical_warning": {"value": 5, "available_spare": 1}, "media_errors": "12"},
            Wear(5, 100, 10, 3, 12),
        ),
        ({**WELL, "media_errors": 7.0}, Wear(0, 100, 10, 3, 7)),
        (
            {
                "nvme_smart_health_information_log": {
                    "critical_warning": 0,
                    "available_spare": 99,
                    "available_spare_threshold": 5,
                    "percentage_used": 12,
                    "media_errors": 1,
                }
            },
            Wear(0, 99, 5, 12, 1),
        ),
        ({"critical_warning": 0, "media_errors": 10**30}, Wear(0, None, None, None, None)),
    ],
)
def test_the_layouts_of_the_tools(document: Mapping[str, Any], wear: Wear) -> None:
    assert read_wear(document) == wear


@pytest.mark.parametrize(
    "document", [{}, {"critical_warning": "x"}, {"critical_warning": True}, {"critical_warning": -1}]
)
def test_a_log_without_a_warning_is_none(document: Mapping[str, Any]) -> None:
    with pytest.raises(UnreadableError):
        read_wear(document)


def test_smartctl_stands_in_where_there_is_no_nvme_cli() -> None:
    log = {"critical_warning": 1, "available_spare": 3, "available_spare_threshold": 10, "percentage_used": 1}
    text = json.dumps({"smart_status": {"passed": False}, "nvme_smart_health_information_log": log})
    found = examined(said(NVME_LOGS, "", 127), logs(SMART, {"/dev/nvme0": text})).findings
    assert [(one.check, one.about, one.verdict) for one in found] == [("nvme.smart", "nvme0", "critical")]


def test_a_count_over_boots_and_drives() -> None:
    """Past media errors are no news: not after a reboot, not in another slot, not of a drive that is new here."""
    answer = nvme_logs({3: {"media_errors": 7}})
    name = f"nvme.media_errors {serial(3)}"
    old = timedelta(days=30)
    assert examined(answer).counters["gpu01"][name] == 7
    assert examined(answer).findings == ()
    rebooted = (Sample(AT - old, 7, "boot-1"), Sample(AT - old / 2, 7, "boot-2"))
    assert examined(answer, past=Past({name: rebooted})).findings == ()
    assert examined(answer, past=Past({f"nvme.media_errors {serial(4)}": (Sample(AT - old, 1),)})).findings == ()
    past = Past({name: (Sample(AT - timedelta(hours=1), 6, "boot-1"),)})
    assert [one.about for one in examined(answer, past=past).findings] == ["nvme3"]
    assert examined(answer, past=replace(past, looked=AT - old)).findings == (), "it came at any time since"


@pytest.mark.parametrize(
    "words",
    [
        "/dev/sdb: Unknown USB bridge [0x046b:0xff31 (0x100)]",
        "Smartctl open device: /dev/sdb failed: DELL or MegaRaid controller, please try adding '-d megaraid,N'",
        "/dev/sdb: Unable to detect device type",
        "Read Device Identity failed: scsi error unsupported; SMART not supported",
    ],
)
def test_what_keeps_no_log_is_not_unknown(words: str) -> None:
    assert examined(smart(sdb=refused(words))).findings == ()


def test_a_drive_that_answers_and_keeps_no_log_is_not_unknown() -> None:
    text = json.dumps({"smartctl": {"exit_status": 4}, "device": {"name": "/dev/sdx"}})
    assert examined(logs(SMART, {"/dev/sdx": text}, {"/dev/sdx": 4})).findings == ()
    assert [one.message for one in examined(logs(SMART, {"/dev/sdx": text}, {"/dev/sdx": 2})).findings] == [
        "smartctl ended with 2"
    ]


def test_one_garbled_log_costs_no_other_its_count() -> None:
    found = examined(nvme_logs({2: {"media_errors": None}}, nvme4="{"))
    assert [one.about for one in found.findings] == ["nvme4"]
    assert len([name for name in found.counters["gpu01"] if name.startswith("nvme.media_errors")]) == 7


def test_sectors_that_cannot_be_read() -> None:
    assert examined(smart(sda=pending(0))).findings == ()
    assert [one.verdict for one in examined(smart(sda=pending(1))).findings] == ["warn"]


def test_a_machine_with_tools_and_no_drives_has_nothing_to_judge() -> None:
    found = examined(logs(NVME_LOGS, {}), logs(SMART, {}))
    assert found.findings == ()
    assert not {"nvme.smart", "disk.smart"} & set(found.judged["gpu01"])


def test_a_solid_state_disk_counts_in_its_own_way() -> None:
    row = {"id": 197, "raw": {"value": 4}}
    disk = {**SATA, "rotation_rate": 0, "ata_smart_attributes": {"table": [row]}}
    assert examined(smart(sda=json.dumps(disk))).findings == ()


@pytest.mark.parametrize("machine", ["kvm", "systemd-nspawn", "docker"])
def test_health_logs_are_read_on_machines_alone(machine: str) -> None:
    def within(facts: Facts) -> Facts:
        return replace(facts, virtualization=machine, container=machine != "kvm")

    found = examined(nvme_logs({3: {"critical_warning": 4}}), facts=within)
    assert found.findings == ()
    assert set(found.judged["gpu01"]) == ({"nvme.count", "raid.degraded"} if machine == "kvm" else set())


def test_a_node_without_drives_or_arrays() -> None:
    none = replace(nvme(), stdout=".\n", files={})
    no_arrays = Answer(MDSTAT, missing={"/proc/mdstat": "No such file or directory"})
    found = examined(none, no_arrays, nvme_logs(), smart())
    assert found.findings == ()
    assert not {"nvme.count", "raid.degraded"} & set(found.judged["gpu01"])


def test_how_many_drives_there_should_be() -> None:
    assert examined(expected=9).findings == ()
    assert examined(expected=8).findings == (), "more than expected is no fault"
    [finding] = examined(expected=10).findings
    assert finding.message == "9 of 10 NVMe drives work"
    none = replace(nvme(), stdout=".\n", files={})
    assert [one.message for one in examined(none, expected=8).findings] == ["0 of 8 NVMe drives work"]


@pytest.mark.parametrize(
    ("different", "words"),
    [
        ({"avail_spare": 10}, None),
        ({"avail_spare": 9}, "9 % of its spare blocks left"),
        ({"avail_spare": 0, "spare_thresh": 0}, None),
        ({"avail_spare": None, "percent_used": None}, None),
        ({"spare_thresh": None}, None),
        ({"percent_used": 99}, None),
        ({"percent_used": 100}, "100 % of its promised endurance"),
        ({"critical_warning": 0x40}, "it does not say why"),
        ({"critical_warning": 0x03}, "its spare blocks run out; it is too hot or too cold"),
        ({"num_err_log_entries": 4000}, None),
        ({"media_errors": "many"}, None),
    ],
)
def test_what_wears_out(different: Mapping[str, Any], words: str | None) -> None:
    found = examined(nvme_logs({3: different})).findings
    assert [one.about for one in found] == ([] if words is None else ["nvme3"])
    assert words is None or words in found[0].message


def test_a_drive_without_a_serial_number_is_known_by_its_name() -> None:
    whole = nvme()
    nameless = {path: text for path, text in whole.files.items() if not path.endswith("/serial")}
    assert "nvme.media_errors nvme3" in examined(replace(whole, files=nameless)).counters["gpu01"]


def test_arrays_that_were_cut_at_the_size_limit() -> None:
    with pytest.raises(UnreadableError):
        read_arrays(record(replace(arrays(ARRAYS), truncated=True)))


def test_arrays_are_read() -> None:
    found = {one.name: one for one in read_arrays(record(arrays(ARRAYS)))}
    assert found["md0"] == Array("md0", "active", "raid0")
    assert found["md1"] == Array("md1", "active", "raid1", 2, 2)
    assert found["md127"].outside
    text = (
        "Personalities : [raid6]\nmd2 : active (auto-read-only) raid6 sdd1[4] sdc1[2](F) sdb1[1] sda1[0]\n"
        "      1953260544 blocks super 1.2 level 6, 512k chunk, algorithm 2 [4/3] [UU_U]\n"
        "      [==>..................]  recovery = 12.6% (123/976) finish=90.1min speed=157K/sec\n\n"
        "unused devices: <none>\n"
    )
    [array] = read_arrays(record(arrays(text)))
    assert array == Array("md2", "active", "raid6", 4, 3, ("sdc1",), rebuilding="recovery = 12.6%")


def test_no_arrays_at_all() -> None:
    assert read_arrays(record(arrays("Personalities : \nunused devices: <none>\n"))) == ()
