"""AMD: `rocm-smi` where there is no `amd-smi` that works."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.vendor import Reading
from aiops.plugins.amd.reading import read

LAYOUTS = Path(__file__).parent / "layouts" / "amd"
ABSENT = Answer("x", missing={"argv": "amd-smi: not found"})


def layout(name: str) -> str:
    return (LAYOUTS / f"{name}.json").read_text("utf-8")


def judged(static: Answer, metric: Answer, rocm: str) -> Reading:
    answers = {"amd.static": static, "amd.metric": metric, "amd.rocm": Answer("amd.rocm", 0, stdout=rocm)}
    return read(Record("gpu01", datetime(2026, 11, 21, tzinfo=UTC), answers))


def test_rocm_smi_stands_in() -> None:
    reading = judged(static=ABSENT, metric=ABSENT, rocm=layout("rocm-smi_mi250"))
    first, second = reading.accelerators
    assert (first.index, first.bus, first.model) == (0, "0000:32:00.0", "AMD INSTINCT MI250 (MCM) OAM AC MBA")
    assert (first.driver, first.firmware, first.serial) == ("6.2.4", "113-D65209-073", "PCB000001-0001")
    assert (first.power_w, first.power_cap_w, first.pcie.replays) == (89, 560, 147)
    assert (first.temperature_c, first.temperature_hotspot_c, first.temperature_memory_c) == (43, 44, 53)
    assert (second.power_w, second.power_cap_w, second.utilization) == (None, None, 10), "the second die of one module"
    assert reading.unknown == {}


def test_rocm_smi_of_rocm_6_has_other_capitals() -> None:
    [device] = judged(static=ABSENT, metric=ABSENT, rocm=layout("rocm-smi_rx7800xt")).accelerators
    assert (device.model, device.memory_total_mib, device.memory_used_mib) == (
        "Navi 32 [Radeon RX 7700 XT / 7800 XT]",
        16368,
        11077,
    )


def test_a_broken_amd_smi_is_told_though_rocm_smi_works() -> None:
    broken = Answer("x", 1, stderr="ModuleNotFoundError: No module named 'amdsmi'\n")
    reading = judged(static=broken, metric=broken, rocm=layout("rocm-smi_rx7800xt"))
    assert len(reading.accelerators) == 1
    assert "No module named" in (reading.unknown or {})["static"]


@pytest.mark.parametrize(
    "text",
    [
        '{"card0": {"Card Series": "K100_AI", "Card Vendor": "Chengdu Haiguang IC Design Co., Ltd."}}',
        '{"card0": {"DCU use (%)": "0"}}',
        '{"card0": {"HCU use (%)": "0"}}',
    ],
)
def test_another_maker_s_rocm_smi_is_not_amd_s(text: str) -> None:
    reading = judged(static=ABSENT, metric=ABSENT, rocm=text)
    assert reading.accelerators == ()
    assert reading.unknown


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"card0"', "Driver not initialized (amdgpu not found in modules)\n"])
def test_rocm_smi_that_fails_with_exit_status_0_is_no_device(text: str) -> None:
    reading = judged(static=ABSENT, metric=ABSENT, rocm=text)
    assert reading.accelerators == ()
    assert reading.unknown
