"""The simulated nvidia-smi answers as the captured original, and its state is what faults change."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.vendor import SimulatedTool
from aiops.plugins.nvidia.diagnosis import DIAG, Outcome, read_diagnosis
from aiops.plugins.nvidia.remote.nvidia_smi import dcgmi, reset
from aiops.plugins.nvidia.remote.nvidia_smi import machine as host
from aiops.plugins.nvidia.remote.nvidia_smi import main as tool
from aiops.plugins.nvidia.remote.nvidia_smi.fields import FIELDS, REMAPPED
from aiops.plugins.nvidia.simulated import STATE_PATH, TOOL, fault, simulate

DRIVER = "580.95.05"


class Smi:
    """The tool as on a host, with its files in a folder of the test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.state: dict[str, Any] = {**simulate(2, None).state, "driver": DRIVER, "devices": {}}
        self.packages: tuple[str | None, str | None] = (None, None)
        self._capsys = capsys
        (folder / "machine-id").write_text("4c4d3f\n")
        monkeypatch.setattr(tool, "STATE", str(folder / "state.json"))
        monkeypatch.setattr(tool, "RUNTIME", str(folder / "runtime.json"))
        monkeypatch.setattr(host, "RUNTIME", str(folder / "runtime.json"))
        monkeypatch.setattr(reset, "PROCESSES", str(folder / "proc"))
        (folder / "proc" / "7").mkdir(parents=True)
        monkeypatch.setattr(tool, "MACHINE_ID", str(folder / "machine-id"))
        monkeypatch.setattr(tool, "installed", lambda: self.packages)
        monkeypatch.setattr("os.geteuid", lambda: 0)

    def __call__(self, *words: str) -> tuple[int, str]:
        (self.folder / "state.json").write_text(json.dumps(self.state))
        status: int = tool.main(list(words))  # type: ignore[no-untyped-call]
        return status, self._capsys.readouterr().out


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smi:
    return Smi(tmp_path, monkeypatch, capsys)


def test_a_csv_query_has_the_captured_layout(smi: Smi) -> None:
    query = "--query-gpu=gpu_bus_id,memory.total,power.limit,utilization.gpu,ecc.mode.current,temperature.gpu"
    status, text = smi(query, "--format=csv")
    assert status == 0
    assert text.splitlines() == [
        "pci.bus_id, memory.total [MiB], power.limit [W], utilization.gpu [%], ecc.mode.current, temperature.gpu",
        "00000000:18:00.0, 81559 MiB, 700.00 W, 0 %, Enabled, 29",
        "00000000:2A:00.0, 81559 MiB, 700.00 W, 0 %, Enabled, 30",
    ]
    assert smi(query, "--format=csv,noheader,nounits", "-i", "1")[1] == (
        "00000000:2A:00.0, 81559, 700.00, 0, Enabled, 30\n"
    )


def test_every_documented_field_is_answered(smi: Smi) -> None:
    status, text = smi(f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader")
    assert status == 0
    assert [len(line.split(", ")) for line in text.splitlines()] == [len(FIELDS)] * 2
    status, text = smi(f"--query-remapped-rows={','.join(REMAPPED)}", "--format=csv")
    assert (status, len(text.splitlines())) == (0, 3)


@pytest.mark.parametrize("switch", ["--query-gpu", "--query-remapped-rows", "--query-compute-apps"])
def test_an_unknown_field_fails_the_whole_query(smi: Smi, switch: str) -> None:
    assert smi(f"{switch}=gpu_uuid,speed", "--format=csv") == (2, 'Field "speed" is not a valid field to query.\n\n')


def test_reasons_are_called_by_the_drivers_age(smi: Smi) -> None:
    old, new = "clocks_throttle_reasons.active", "clocks_event_reasons.active"
    assert smi(f"--query-gpu={old},{new}", "--format=csv,noheader")[0] == 0
    smi.state["reported_driver"] = "525.105.17"
    assert smi(f"--query-gpu={new}", "--format=csv")[0] == 2
    assert smi(f"--query-gpu={old}", "--format=csv")[0] == 0


def test_no_driver_is_9_and_other_versions_are_18(smi: Smi) -> None:
    smi.state["driver"] = None
    status, text = smi("-L")
    assert (status, text[:47]) == (9, "NVIDIA-SMI has failed because it couldn't commu")
    smi.packages = ("570.86.15", "570.86.15")
    assert smi("-L")[0] == 0  # the first driver is loaded when it is first needed
    smi.packages = ("580.95.05", "580.95.05")
    status, text = smi()
    assert status == 18
    assert text == "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95\n"
    (smi.folder / "runtime.json").unlink()  # a reboot
    assert smi("--query-gpu=driver_version", "--format=csv,noheader")[1] == "580.95.05\n580.95.05\n"


def test_half_an_upgrade_is_a_mismatch(smi: Smi) -> None:
    smi.state["driver"] = None
    smi.packages = ("580.95.05", "570.86.15")
    assert smi("-L")[0] == 18


def test_a_lost_device_is_15_and_the_others_answer_when_asked_alone(smi: Smi) -> None:
    effect = fault(smi.state, "device-lost", 0, None)
    assert effect is not None
    assert effect.lost == ("0000:18:00.0",)
    smi.state = dict(effect.state)
    status, text = smi("--query-gpu=index", "--format=csv,noheader")
    assert status == 15
    assert "GPU 00000000:18:00.0: GPU is lost" in text
    assert smi("--query-gpu=index", "--format=csv,noheader", "-i", "1") == (0, "1\n")
    assert smi("-L")[0] == 15


def test_a_corrupted_inforom_is_14(smi: Smi) -> None:
    smi.state["gpus"][1]["inforom_corrupted"] = True
    status, text = smi("-L")
    assert status == 14
    assert text.splitlines()[-1] == "WARNING: infoROM is corrupted at gpu 00000000:2A:00.0"


def test_no_devices_are_6(smi: Smi) -> None:
    smi.state["gpus"] = []
    assert smi() == (6, "No devices were found\n")


def test_links(smi: Smi) -> None:
    smi.state["gpus"][0]["links"][1]["up"] = False
    lines = smi("nvlink", "-s")[1].splitlines()
    assert lines[0].startswith("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-")
    assert lines[1:3] == ["\t Link 0: 26.562 GB/s", "\t Link 1: <inactive>"]
    assert len(lines) == 2 * 19
    errors = smi("nvlink", "-e", "-i", "0")[1].splitlines()
    assert len(errors) == 1 + 17 * 3
    assert errors[1] == "\t Link 0: Replay Errors: 0"


def test_persistence_lasts_until_the_next_boot(smi: Smi) -> None:
    mode = ("--query-gpu=persistence_mode", "--format=csv,noheader")
    assert smi(*mode)[1] == "Disabled\nDisabled\n"
    assert smi("-pm", "1")[1].splitlines()[-1] == "All done."
    assert smi(*mode)[1] == "Enabled\nEnabled\n"
    (smi.folder / "runtime.json").unlink()
    assert smi(*mode)[1] == "Disabled\nDisabled\n"


def test_the_table_is_straight(smi: Smi) -> None:
    smi.state["gpus"][0]["memory.used"] = 79214
    lines = [line for line in smi()[1].splitlines()[1:] if line]
    assert [line for line in lines if len(line) != 91] == []


def test_devices_of_two_hosts_differ_and_stay_the_same(smi: Smi) -> None:
    query = ("--query-gpu=uuid,serial", "--format=csv,noheader")
    here = smi(*query)[1]
    assert smi(*query)[1] == here
    (smi.folder / "machine-id").write_text("other\n")
    assert not set(smi(*query)[1].split()) & set(here.split())


def test_the_files_on_a_host_run_by_themselves(tmp_path: Path) -> None:
    simulated = simulate(1, "A100")
    for path, content in simulated.files.items():
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    done = subprocess.run(
        [sys.executable, "-sB", tmp_path / TOOL.lstrip("/"), "--help-query-gpu"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"ecc.errors.uncorrected.volatile.total"' in done.stdout


def test_the_bus_agrees_with_the_tool() -> None:
    simulated = simulate(8, "h200")
    assert list(simulated.bus) == [gpu["bus"] for gpu in simulated.state["gpus"]]
    assert {device["device"] for device in simulated.bus.values()} == {"0x2335"}
    assert simulated.state_path == STATE_PATH
    assert set(simulated.links) == {"/usr/bin/nvidia-smi", "/usr/bin/dcgmi"}


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError) as refused:
        simulate(1, "RTX 9090")
    assert "H100" in refused.value.hints[0]


KINDS = ["device-lost", "ecc-uncorrected", "xid", "thermal-throttle", "tool-hang", "driver-skew", "firmware-skew"]


@given(kinds=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3)), max_size=6))
@settings(max_examples=50, deadline=None)
def test_faults_never_change_the_state_they_start_from(kinds: list[tuple[str, int]]) -> None:
    simulated: SimulatedTool = simulate(4, None)
    untouched = json.dumps(simulated.state)
    state = simulated.state
    for kind, device in kinds:
        effect = simulated.fault(state, kind, device, None)
        assert effect is not None
        state = effect.state
        json.dumps(state)
    assert json.dumps(simulated.state) == untouched


def test_unknown_kinds_and_devices_are_none() -> None:
    simulated = simulate(2, None)
    assert simulated.fault(simulated.state, "earthquake", 0, None) is None
    assert simulated.fault(simulated.state, "xid", 2, None) is None


def test_xid_lines_have_the_captured_shape() -> None:
    effect = fault(simulate(1, None).state, "xid", 0, "94")
    assert effect is not None
    assert effect.kernel == ((3, "NVRM: Xid (PCI:0000:18:00): 94, pid=24108, name=python3, Ch 00000008"),)


def test_dcgmi_diagnoses_in_the_layout_of_the_original(smi: Smi, capsys: pytest.CaptureFixture[str]) -> None:
    def diagnosed() -> tuple[int, tuple[Outcome, ...]]:
        smi("-L")  # writes the state down, and loads the driver
        status = dcgmi.main(["diag", "-r", "2", "-j"])  # type: ignore[no-untyped-call]
        answer = Answer(DIAG, status, capsys.readouterr().out)
        return status, read_diagnosis(Record("n1", datetime(2026, 11, 21, tzinfo=UTC), {DIAG: answer}))

    status, outcomes = diagnosed()
    assert status == 0
    assert {(one.category, one.test, one.status) for one in outcomes} == {
        ("Deployment", "software", "pass"),
        ("Integration", "pcie", "pass"),
        ("Hardware", "memory", "pass"),
    }
    changed = fault(smi.state, "ecc-uncorrected", 1, "3")
    assert changed is not None
    smi.state = dict(changed.state)
    status, outcomes = diagnosed()
    assert status == 226
    (bad,) = [one for one in outcomes if one.status == "fail"]
    assert (bad.test, bad.about, bad.severity) == ("memory", "GPU 1", 2)
    assert "3 uncorrectable errors" in bad.message


def test_dcgmi_tells_what_it_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    assert dcgmi.main(["discovery", "-l"]) == 255  # type: ignore[no-untyped-call]
    assert "is simulated" in capsys.readouterr().out


ERRORS = "--query-gpu=ecc.errors.uncorrected.volatile.total,ecc.errors.uncorrected.aggregate.total"


def test_a_reset_clears_what_is_counted_since_the_driver_was_loaded(smi: Smi) -> None:
    healthy = smi.state
    effect = fault(healthy, "ecc-uncorrected", 1, "3")
    assert effect is not None
    smi.state = dict(effect.state)
    assert smi(ERRORS, "--format=csv,noheader", "-i", "1") == (0, "3, 3\n")
    assert smi("--gpu-reset", "-i", "1") == (0, "GPU 00000000:2A:00.0 was successfully reset.\nAll done.\n")
    assert smi(ERRORS, "--format=csv,noheader", "-i", "1") == (0, "0, 3\n")
    pending = smi("--query-remapped-rows=remapped_rows.pending", "--format=csv,noheader", "-i", "1")
    assert pending == (0, "0\n")
    worse = fault(smi.state, "ecc-uncorrected", 1, "2")
    assert worse is not None
    smi.state = dict(worse.state)
    assert smi(ERRORS, "--format=csv,noheader", "-i", "1") == (0, "2, 5\n"), "what comes after it counts"
    smi.state = healthy
    assert smi(ERRORS, "--format=csv,noheader", "-i", "1") == (0, "0, 0\n")


def test_a_device_that_somebody_holds_or_that_is_lost_cannot_be_reset(
    smi: Smi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc" / "7" / "comm").write_text("nvidia-persiste\n")
    status, text = smi("-r")
    assert status == 255
    assert text.startswith("The following GPUs could not be reset:\n  GPU 00000000:18:00.0: In use by another client\n")
    (tmp_path / "proc" / "7" / "comm").write_text("sshd\n")
    effect = fault(smi.state, "device-lost", 0, None)
    assert effect is not None
    smi.state = dict(effect.state)
    assert smi("-r", "-i", "0") == (
        255,
        "The following GPUs could not be reset:\n  GPU 00000000:18:00.0: GPU is lost\n",
    )
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert smi("-r")[0] == 4


def test_a_reset_is_told_in_the_kernel_log_of_a_lab_host_alone(
    smi: Smi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "kmsg"
    log.write_text("5,0,100,-;Linux\naiops: not a record\n")
    monkeypatch.setattr(reset, "KERNEL_LOG", str(log))
    smi("--gpu-reset", "-i", "0")
    assert log.read_text().splitlines()[-1].startswith("6,2,")
    assert log.read_text().endswith(",-;aiops: GPU 0000:18:00.0 was reset (simulated)\n")
    monkeypatch.setattr(reset, "KERNEL_LOG", "/dev/null")
    assert smi("--gpu-reset", "-i", "0")[0] == 0
