"""NVIDIA's own checks: the catalogue of Xids, the readers, and what a simulated host is told of."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.l1_cluster.health.case import AT, FACTS, Case, gone, hung, read, said, subject
from tests.l1_cluster.health.cases.accelerators import device
from tests.l1_cluster.health.cases.kernel_log import HEALTHY, log
from tests.l1_cluster.health.cases.nvidia import SLOW_PORTS, WELL, links, unit, xml
from tests.plugins.test_nvidia_simulated import Smi

from aiops.layers.core.plugin import Plugins
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.fact_reading import facts_of
from aiops.layers.l0_nodes.facts import RdmaPort
from aiops.layers.l1_cluster.health.catalogue import checks_of
from aiops.layers.l1_cluster.health.check import Check, Subject
from aiops.layers.l1_cluster.health.examination import examine
from aiops.layers.l1_cluster.health.finding import Finding
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG, KernelLine
from aiops.layers.l1_cluster.health.rules import Rules
from aiops.plugins.nvidia import Nvidia
from aiops.plugins.nvidia.device_checks import (
    PEERMEM,
    read_bad_inforoms,
    read_open_driver,
    read_peermem,
    read_recovery,
)
from aiops.plugins.nvidia.fabric import UNIT, VERSION, LinkState, read_fabric, read_links, read_unit, read_version
from aiops.plugins.nvidia.health import health_checks
from aiops.plugins.nvidia.kernel_events import kernel_events, since_mended
from aiops.plugins.nvidia.reading import ASKS
from aiops.plugins.nvidia.simulated import fault, simulate
from aiops.plugins.nvidia.xid import NVLINK5, RECOVERY, recovery, recovery_action, rule

ALL = checks_of(Plugins())
OWN = health_checks()
READERS: tuple[Callable[[Record], object], ...] = (
    read_bad_inforoms,
    read_fabric,
    read_links,
    read_open_driver,
    read_peermem,
    read_recovery,
    read_unit,
    read_version,
)


def record(*answers: Answer) -> Record:
    return Record("gpu01", AT, {one.name: one for one in answers})


@pytest.mark.parametrize("special", WELL)
def test_nothing_is_found_where_nothing_is_wrong(special: str) -> None:
    case = Case("", "", "warn", "none", answers=WELL[special])
    assert examine([subject(case)], ALL, Rules()).findings == ()


def test_peermem_matters_where_cards_are_there_for_it() -> None:
    slow = Case("", "", "warn", "none", facts=lambda facts: replace(facts, rdma_ports=SLOW_PORTS))
    assert "gpu.peermem" not in examine([subject(slow)], OWN, Rules()).judged["gpu01"]


def test_the_log_of_a_containers_host_is_not_the_containers() -> None:
    case = Case("", "", "warn", "none", facts=lambda facts: replace(facts, container=True))
    judged = examine([subject(case)], OWN, Rules()).judged["gpu01"]
    assert not {"gpu.xid", "gpu.sxid"} & set(judged)
    lab = Case("", "", "warn", "none", facts=lambda facts: replace(facts, container=True, simulated=True))
    assert {"gpu.xid", "gpu.sxid"} <= set(examine([subject(lab)], OWN, Rules()).judged["gpu01"])


def test_a_device_that_no_tool_shows_is_called_by_its_address() -> None:
    answers: dict[str, Answer | None] = {
        KERNEL_LOG: log((60.0, "NVRM: Xid (PCI:0000:18:00): 79, pid=1, name=x, GPU has fallen off the bus."))
    }
    case = Case("", "", "warn", "none", answers=answers)
    here = examine([subject(case)], OWN, Rules()).findings
    lost = replace(case, facts=lambda facts: replace(facts, accelerators=None, unknown={"accelerators": "it hangs"}))
    there = [one for one in examine([subject(lost)], OWN, Rules()).findings if one.check == "gpu.xid"]
    assert [one.key for one in here] == [one.key for one in there]
    assert here[0].evidence["index"] == 0


# The catalogue.


def test_every_number_of_the_catalogue_has_a_rule_with_its_source() -> None:
    for number in set(range(1, 173)) - {RECOVERY} - NVLINK5:
        assert rule(number).source.startswith(("NVIDIA's catalogue", "aiops")), number
    assert rule(9999).source == "not in NVIDIA's catalogue of Xids, October 2025; aiops warns"


@pytest.mark.parametrize(
    ("number", "severity", "action", "owner"),
    [
        (13, None, "none", "user"),
        (31, None, "none", "user"),
        (43, None, "none", "user"),
        (45, None, "none", "user"),
        (48, "critical", "reset_device", "node"),
        (54, "critical", "service", "node"),
        (63, None, "none", "user"),
        (64, "critical", "reset_device", "node"),
        (74, "critical", "reset_device", "node"),
        (79, "critical", "reboot", "node"),
        (92, "warn", "none", "node"),
        (94, "warn", "restart_app", "node"),
        (95, "critical", "reset_device", "node"),
        (109, "critical", "reset_device", "node"),
        (119, "critical", "reset_device", "node"),
        (120, "critical", "reset_device", "node"),
        (125, "warn", "service", "node"),
        (143, "critical", "reset_device", "node"),
        (151, "critical", "reboot", "node"),
        (162, None, "none", "user"),
        (999, "warn", "none", "node"),
    ],
)
def test_what_numbers_ask_for(number: int, severity: str | None, action: str, owner: str) -> None:
    found = rule(number)
    assert (found.severity, found.action, found.owner) == (severity, action, owner)


@pytest.mark.parametrize(
    ("text", "severity", "action"),
    [
        ("GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)", "critical", "reset_device"),
        ("GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)", "critical", "reboot"),
        ("GPU recovery action changed from 0x0 (None) to 0x2 (OS Reboot)", "critical", "reboot"),
        ("GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P)", "warn", "reset_device"),
        ("GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)", "critical", "reset_device"),
        ("GPU recovery action changed from 0x0 (None) to 0x5 (Recover IMEX Domain)", "warn", "restart_service"),
        ("GPU recovery action changed from 0x0 (None) to 0x7 (System Reboot)", "critical", "reboot"),
        ("GPU recovery action changed from 0x0 (None) to 0x9 (Some Reboot)", "critical", "reboot"),
        ("GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)", None, "none"),
    ],
)
def test_xid_154_decides_by_its_text(text: str, severity: str | None, action: str) -> None:
    found = recovery(text)
    assert found is not None
    assert (found.severity, found.action) == (severity, action)


def test_xid_154_without_its_text_tells_nothing() -> None:
    assert recovery("Ch 00000000") is None
    case = Case("", "", "warn", "none", answers={KERNEL_LOG: log((9.0, "NVRM: Xid (PCI:0000:18:00): 154, Ch 0"))})
    assert examine([subject(case)], OWN, Rules()).findings == ()


def test_xid_154_goes_before_the_catalogue() -> None:
    lines = (
        (90.0, "NVRM: Xid (PCI:0000:18:00): 79, GPU has fallen off the bus."),
        (80.0, "NVRM: Xid (PCI:0000:18:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (PF FLR)"),
    )
    case = Case("", "", "warn", "none", answers={KERNEL_LOG: log(*lines)})
    [finding] = examine([subject(case)], OWN, Rules()).findings
    assert (finding.verdict, finding.action) == ("critical", "reset_device")
    assert finding.message.startswith("Xid 154: the driver asks for: PF FLR; Xid 79")


@pytest.mark.parametrize(
    ("words", "severity", "action"),
    [
        ("None", None, "none"),
        ("Reset", "critical", "reset_device"),
        ("Reboot", "critical", "reboot"),
        ("Drain and Reset", "critical", "reset_device"),
        ("Drain P2P", "warn", "reset_device"),
        ("Recover IMEX Domain", "warn", "restart_service"),
        ("something new", "warn", "reset_device"),
    ],
)
def test_words_of_the_recovery_action(words: str, severity: str | None, action: str) -> None:
    found = recovery_action(words)
    assert (found.severity, found.action) == (severity, action)


# The kernel's log.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "NVRM: Xid (PCI:0000:0f:00): 94, pid=2503421, name=python3, Ch 00000008",
            ("xid", "0000:0f:00.0", 94, 2503421),
        ),
        ("NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, Contained: CE", ("xid", "0000:01:00.0", 94, 7194)),
        ("NVRM: Xid (0000:01:00): 31, Ch 0000000b, engmask 00000120", ("xid", "0000:01:00.0", 31, None)),
        ("NVRM: Xid (PCI:0002:00:00): 79, pid='<unknown>', name=<unknown>, x", ("xid", "0002:00:00.0", 79, None)),
        ("NVRM: Xid (PCI:0000:65:00): 64, pid='N/A', Row Remapper: Failed", ("xid", "0000:65:00.0", 64, None)),
        ("NVRM: GPU at 0000:01:00.0 has fallen off the bus.", ("xid", "0000:01:00.0", 79, None)),
        ("NVRM: GPU 0000:91:00.0: GPU has fallen off the bus.", ("xid", "0000:91:00.0", 79, None)),
        (
            "nvidia-nvswitch2: SXid (PCI:0000:85:00.0): 12028, Non-fatal, Link 61 egress",
            ("sxid", "0000:85:00.0", 12028, None),
        ),
        ("aiops: GPU 0000:18:00.0 was reset", ("mended", "0000:18:00.0", 0, None)),
        ("NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.161.08", ("mended", "", 0, None)),
    ],
)
def test_lines_of_the_driver(text: str, expected: tuple[str, str, int, int | None]) -> None:
    [event] = kernel_events([KernelLine(3, 1.0, 2.0, text)])
    assert (event.kind, event.bus, event.number, event.pid) == expected


@pytest.mark.parametrize(
    "text",
    [
        "NVRM: GPU at PCI:0000:01:00: GPU-8ba16ede-0000-0000-0000-d266d9383b89",
        "NVRM: GPU Board Serial Number: 1650000000000",
        "nvidia-nvswitch2: SXid (PCI:0000:07:00.0): 20034, Severity 1 Engine instance 60 Sub-engine instance 00",
        "nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Data {0x10000000, 0x10000000}",
        "NVRM: Xid (PCI:0000:18:00): abc, pid=1",
        "NVRM: Xid",
    ],
)
def test_lines_that_tell_of_no_error(text: str) -> None:
    assert tuple(kernel_events([KernelLine(3, 1.0, 2.0, text)])) == ()


def test_a_reset_ends_what_was_before_it_on_that_device() -> None:
    lines = (
        "NVRM: Xid (PCI:0000:18:00): 64, x",
        "NVRM: Xid (PCI:0000:19:00): 64, x",
        "nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Fatal, Link 28 LTSSM Fault Up",
        "aiops: GPU 0000:18:00.0 was reset",
        "NVRM: Xid (PCI:0000:18:00): 46, x",
    )
    events = since_mended(kernel_events(KernelLine(3, 1.0, 2.0, text) for text in lines))
    assert [(one.bus, one.number) for one in events] == [("0000:19:00.0", 64), ("0000:18:00.0", 46)]


@given(st.lists(st.text(max_size=80).map(lambda text: f"NVRM: Xid (PCI:0000:18:00): 79{text}")))
def test_any_line_is_read(texts: list[str]) -> None:
    tuple(since_mended(kernel_events(KernelLine(3, 1.0, 2.0, text) for text in texts)))


def xids(*texts: str) -> tuple[Finding, ...]:
    """What is found of lines of one GPU, an hour apart each."""
    lines = [(3600.0 * (len(texts) - n), f"NVRM: Xid (PCI:0000:18:00): {text}") for n, text in enumerate(texts)]
    case = Case("", "", "warn", "none", answers={KERNEL_LOG: log(*lines)})
    return tuple(one for one in examine([subject(case)], OWN, Rules()).findings if one.check == "gpu.xid")


def test_a_log_that_cannot_be_read_is_unknown() -> None:
    denied = read(KERNEL_LOG, {}, **{"/dev/kmsg": "Permission denied"})
    case = Case("", "", "warn", "none", answers={KERNEL_LOG: denied})
    findings = examine([subject(case)], OWN, Rules()).findings
    assert {(one.check, one.verdict) for one in findings} == {("gpu.xid", "unknown"), ("gpu.sxid", "unknown")}
    assert all("Permission denied" in one.message for one in findings)


def test_the_worst_is_told_first_and_the_least_is_left_out() -> None:
    [finding] = xids("92, x", "94, x", "41, x", "64, x", "155, x")
    assert finding.message.startswith("Xid 64: a row of memory could not be remapped; Xid 155")
    assert finding.message.endswith(" and 2 more")
    assert len(finding.evidence["xids"]) == 5
    [three] = xids("92, x", "94, x", "64, x")
    assert "more" not in three.message


def test_one_fatal_line_of_several_makes_an_nvlink_error_fatal() -> None:
    [finding] = xids("145, RLW_REMAP Fatal XC1 i0 Link 02", "145, RLW_REMAP Nonfatal XC0 i0 Link 02")
    assert finding.verdict == "critical"
    assert "(2 times)" in finding.message


def test_programs_without_a_number_are_told_apart_by_time() -> None:
    [finding] = xids("31, MMU Fault", "31, MMU Fault")
    assert "of 2 programs" in finding.message
    lines = [(9.0 - n, f"NVRM: Xid (PCI:0000:18:00): 31, MMU Fault {n}") for n in range(5)]
    case = Case("", "", "warn", "none", answers={KERNEL_LOG: log(*lines)})
    assert examine([subject(case)], OWN, Rules()).findings == ()


def test_devices_that_were_bought_and_are_not_there_are_not_judged() -> None:
    wanted = {"aiops_accelerators": {"vendor": "nvidia", "count": 8}}
    case = Case(
        "",
        "",
        "warn",
        "none",
        facts=lambda facts: replace(facts, accelerators=(), bus_accelerators=()),
        variables=wanted,
    )
    assert examine([subject(case)], OWN, Rules()).judged["gpu01"] == ()


def test_a_parted_device_has_no_links_to_miss() -> None:
    text = links(lambda gpu, _: "" if gpu == 3 else "26.562 GB/s")
    case = Case(
        "",
        "",
        "warn",
        "none",
        facts=device(partitioned=True),
        answers={"nvidia.nvlink": said("nvidia.nvlink", text)},
    )
    assert examine([subject(case)], OWN, Rules()).findings == ()


@pytest.mark.parametrize(("kernel", "warned"), [("5.4.0-100-generic", True), ("6.8.0", False), ("odd", True)])
def test_an_open_driver_needs_a_kernel_that_shares_memory(kernel: str, warned: bool) -> None:
    answers = WELL["an open driver needs no nvidia_peermem"]
    case = Case("", "", "warn", "none", facts=lambda facts: replace(facts, kernel=kernel), answers=answers)
    assert [one.check for one in examine([subject(case)], OWN, Rules()).findings] == ["gpu.peermem"] * warned


def test_fast_roce_counts_as_infiniband_does() -> None:
    ports = (RdmaPort("mlx5_0", 1, "roce", "active", 400.0),)
    case = Case("", "", "warn", "none", facts=lambda facts: replace(facts, rdma_ports=ports))
    assert "gpu.peermem" in examine([subject(case)], OWN, Rules()).judged["gpu01"]
    down = Case(
        "", "", "warn", "none", facts=lambda facts: replace(facts, rdma_ports=(replace(ports[0], state="down"),))
    )
    assert "gpu.peermem" not in examine([subject(down)], OWN, Rules()).judged["gpu01"]


# The readers.


def test_the_unit() -> None:
    assert read_unit(record(unit("failed", result="exit-code")))["ActiveState"] == "failed"
    for half in ("ActiveState=active\n", "LoadState=loaded\n", "ActiveState=\nLoadState=loaded\n", "hello\n"):
        with pytest.raises(UnreadableError, match="does not tell"):
            read_unit(record(said(UNIT, half)))


def test_the_version_of_the_fabric_manager() -> None:
    assert read_version(record(said(VERSION, "\n\n\tFabric Manager version is : 535.161.08\n\n"))) == "535.161.08"
    assert read_version(record(gone(VERSION, "nv-fabricmanager"))) is None
    with pytest.raises(UnreadableError, match="no answer"):
        read_version(record(hung(VERSION)))


def test_links_by_device() -> None:
    text = links(lambda gpu, link: "<inactive>" if (gpu, link) == (1, 2) else "26.562 GB/s" if gpu != 2 else "")
    found = read_links(record(said("nvidia.nvlink", text)))
    assert (len(found), len(found[0]), found[2]) == (8, 18, ())
    assert found[1][2] == LinkState(2, None)
    assert found[0][0] == LinkState(0, "26.562 GB/s")
    bare = "GPU 0: NVIDIA A100 (UUID: GPU-1)\nNVML: Unable to retrieve NVLink information as all links are inActive\n"
    assert read_links(record(said("nvidia.nvlink", bare))) == {0: ()}
    with pytest.raises(UnreadableError, match="names no device"):
        read_links(record(said("nvidia.nvlink", "hello\n")))


def test_the_health_of_the_fabric() -> None:
    found = read_fabric(record(said("nvidia.xml", xml())))
    assert found["00000000:18:00.0"]["bandwidth"] == "full"
    assert len(found) == 8
    with pytest.raises(UnreadableError, match="no answer"):
        read_fabric(record(hung("nvidia.xml", 10.0)))


def test_peermem_by_either_name() -> None:
    new, old = "/sys/module/nvidia_peermem/initstate", "/sys/module/nv_peer_mem/initstate"
    absent = "No such file or directory"
    assert read_peermem(record(read(PEERMEM, {old: "live\n"}, **{new: absent})))
    assert not read_peermem(record(read(PEERMEM, {}, **{old: absent, new: absent})))
    with pytest.raises(UnreadableError, match="Permission denied"):
        read_peermem(record(read(PEERMEM, {}, **{old: absent, new: "Permission denied"})))


def test_which_inforoms_are_corrupted() -> None:
    warning = "WARNING: infoROM is corrupted at gpu 0000:3B:00.0\n"
    good = said("nvidia.xml", xml())
    assert read_bad_inforoms(record(Answer("nvidia.query", 14, stderr=warning), good)) == ("0000:3b:00.0",)
    assert read_bad_inforoms(record(said("nvidia.query", "0, x\n", 14), good)) == ("",)
    assert read_bad_inforoms(record(hung("nvidia.query", 10.0), good)) == ()
    with pytest.raises(UnreadableError, match="did not answer"):
        read_bad_inforoms(record(hung("nvidia.query", 10.0), hung("nvidia.xml", 10.0)))


TEXT = st.one_of(
    st.text(max_size=200),
    st.sampled_from([xml(), xml()[:900], links(), "GPU 0: x\nLink 1: " + "9" * 5000, "Link " + "9" * 5000 + ": x\n"]),
)
NAMES = (*(ask.name for check in OWN for ask in check.asks), "nvidia.query")


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.builds(
            Answer,
            name=st.just("x"),
            exit_status=st.one_of(st.none(), st.integers(0, 255)),
            stdout=TEXT,
            stderr=TEXT,
            files=st.dictionaries(st.sampled_from(["/proc/driver/nvidia/version", "/dev/kmsg"]), TEXT),
            missing=st.dictionaries(st.sampled_from(["argv", "/dev/kmsg"]), TEXT),
            timed_out=st.booleans(),
            truncated=st.booleans(),
        ),
    )
)
def test_garbage_is_unreadable_and_nothing_else(answers: dict[str, Answer]) -> None:
    garbled = record(*(replace(answer, name=name) for name, answer in answers.items()))
    for reader in READERS:
        with contextlib.suppress(UnreadableError):
            reader(garbled)
    found = examine([replace(subject(), record=garbled)], OWN, Rules()).findings
    assert not [one.message for one in found if "its judge" in one.message]


# A host of the lab.


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smi:
    return Smi(tmp_path, monkeypatch, capsys)


def host(smi: Smi, driver: str = "580.95.05", *lines: tuple[float, str], lost: tuple[str, ...] = ()) -> Subject:
    """A host of the lab, asked what it is asked in truth, by its simulated tool."""
    smi.state["driver"] = driver
    smi("--lab-load")
    answers = {**HEALTHY, KERNEL_LOG: log(*lines)}
    for ask in ASKS:
        if ask.argv:
            status, text = smi(*ask.argv[1:])
            answers[ask.name] = said(ask.name, text, status)
    buses = [gpu["bus"] for gpu in smi.state["gpus"] if gpu["bus"] not in lost]
    files = {f"/sys/bus/pci/devices/{bus}/vendor": "0x10de\n" for bus in buses}
    files |= {f"/sys/bus/pci/devices/{bus}/class": "0x030200\n" for bus in buses}
    answers |= {
        "bus": read("bus", files),
        "os.simulated": read("os.simulated", {"/etc/aiops-lab.json": "{}"}),
        UNIT: said(UNIT, "Result=success\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n"),
        VERSION: gone(VERSION, "nv-fabricmanager"),
    }
    told = Record("gpu01", AT, answers)
    facts = facts_of(told, (Nvidia(),))
    whole = replace(FACTS, **{name: getattr(facts, name) for name in _OF_DEVICES}, rdma_ports=())
    wanted = {"aiops_accelerators": {"vendor": "nvidia", "count": len(smi.state["gpus"])}}
    one = subject(Case("", "", "warn", "none", variables=wanted))
    return replace(one, record=told, facts=whole)


_OF_DEVICES = ("accelerators", "bus_accelerators", "driver_mismatch", "simulated", "unknown")
GPU_CHECKS: tuple[Check, ...] = tuple(check for check in ALL if check.id.startswith("gpu.") and check.level != "deep")


def examined(one: Subject) -> tuple[Finding, ...]:
    return tuple(finding for finding in examine([one], GPU_CHECKS, Rules()).findings)


@pytest.mark.parametrize("driver", ["535.161.08", "580.95.05"])
@pytest.mark.parametrize("model", ["H100", "H200", "B200", "A100", "L40S"])
def test_a_simulated_host_is_well(smi: Smi, model: str, driver: str) -> None:
    smi.state = {**simulate(8, model).state, "devices": {}}
    whole = host(smi, driver)
    assert len(whole.facts.accelerators or ()) == 8
    assert [one for one in whole.facts.unknown if one.startswith(("accelerators", "bus"))] == []
    assert examined(whole) == ()
    judged = set(examine([whole], GPU_CHECKS, Rules()).judged["gpu01"])
    missing = {check.id for check in GPU_CHECKS} - judged
    assert missing == {"gpu.sxid", "gpu.peermem"} | ({"gpu.nvlink"} if model == "L40S" else set())


def faulty(smi: Smi, kind: str, value: str | None = None) -> tuple[Finding, ...]:
    smi.state = {**simulate(8, None).state, "devices": {}}
    effect = fault(smi.state, kind, 3, value)
    assert effect is not None
    smi.state = dict(effect.state)
    return examined(host(smi, "580.95.05", *((60.0, text) for _, text in effect.kernel), lost=effect.lost))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (
            "ecc-uncorrected",
            None,
            {("gpu.ecc_uncorrected", "critical"), ("gpu.remap_pending", "warn"), ("gpu.xid", "warn")},
        ),
        ("xid", None, {("gpu.xid", "critical")}),
        ("xid", "154", {("gpu.xid", "critical")}),
        ("xid", "43", set()),
        ("thermal-throttle", None, {("gpu.temp", "warn"), ("gpu.throttle", "critical")}),
        ("firmware-skew", None, {("gpu.firmware_uniform", "warn")}),
    ],
)
def test_faults_of_the_lab(smi: Smi, kind: str, value: str | None, expected: set[tuple[str, str]]) -> None:
    assert {(one.check, one.verdict) for one in faulty(smi, kind, value)} == expected


def test_a_lost_device_of_the_lab(smi: Smi) -> None:
    findings = faulty(smi, "device-lost")
    told = {(one.check, one.verdict, one.action) for one in findings if one.verdict == "critical"}
    assert told == {
        ("gpu.count", "critical", "service"),
        ("gpu.tool_responds", "critical", "reboot"),
        ("gpu.xid", "critical", "reboot"),
    }


def test_a_healed_fault_leaves_nothing_behind(smi: Smi) -> None:
    smi.state = {**simulate(8, None).state, "devices": {}}
    for kind in ("device-lost", "ecc-uncorrected", "xid", "thermal-throttle"):
        effect = fault(smi.state, kind, 3, None)
        assert effect is not None
        lines = [(60.0, text) for _, text in (*effect.kernel, *effect.mended)]
        assert examined(host(smi, "580.95.05", *lines)) == ()


def test_a_host_whose_driver_came_without_its_daemon(smi: Smi) -> None:
    smi.state = {**simulate(2, None).state, "devices": {}, "driver": "580.95.05"}
    mode = ("--query-gpu=persistence_mode", "--format=csv,noheader")
    assert smi(*mode)[1] == "Disabled\nDisabled\n"
    smi("--lab-load")
    assert smi(*mode)[1] == "Enabled\nEnabled\n", "a host that boots with a driver has its daemon too"
