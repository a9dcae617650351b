"""AMD: the answers of several releases of `amd-smi` and `rocm-smi`, and garbage."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.remote.simulated_tool import Host
from aiops.layers.l0_nodes.vendor import Reading
from aiops.plugins.amd import Amd
from aiops.plugins.amd.reading import ASKS, read
from aiops.plugins.amd.remote.amd_smi import answer

LAYOUTS = Path(__file__).parent / "layouts" / "amd"
AT = datetime(2026, 11, 21, tzinfo=UTC)
REFUSED = Answer("x", 2, stderr="usage: amd-smi [-h] ...\ninvalid choice\n")
WARNINGS = (
    "WARNING: User is missing the following required groups: render, video. Please add user to these groups.\n"
    "[WARN] AMD GPU(s) is in a low-power state. Check power control/runtime_status\n\n"
)


def layout(name: str) -> str:
    return (LAYOUTS / f"{name}.json").read_text("utf-8")


def judged(**answers: Answer | str) -> Reading:
    """Read a record; `metric="..."` is `amd.metric` with exit status 0."""
    made = {
        f"amd.{name}": Answer(f"amd.{name}", 0, stdout=value) if isinstance(value, str) else value
        for name, value in answers.items()
    }
    return read(Record("gpu01", AT, made))


def instinct(index: int = 0, **changes: Any) -> dict[str, Any]:
    """One MI300X as `amd-smi metric` documents it."""
    return {
        "gpu": index,
        "usage": {"gfx_activity": {"value": 97, "unit": "%"}},
        "power": {"socket_power": {"value": 712, "unit": "W"}, "throttle_status": "N/A"},
        "temperature": {"edge": "N/A", "hotspot": {"value": 71, "unit": "C"}, "mem": {"value": 58, "unit": "C"}},
        "pcie": {"width": 16, "speed": {"value": 32, "unit": "GT/s"}, "replay_count": 3},
        "ecc": {"total_correctable_count": 5, "total_uncorrectable_count": 2, "total_deferred_count": 9},
        "ecc_blocks": {
            "UMC": {"correctable_count": 5, "uncorrectable_count": 2, "deferred_count": 9},
            "XGMI_WAFL": {"correctable_count": 3, "uncorrectable_count": 1, "deferred_count": 0},
        },
        "mem_usage": {
            "total_vram": {"value": 196592, "unit": "MB"},
            "used_vram": {"value": 121344, "unit": "MB"},
        },
        "throttle": {
            "prochot_violation_status": "NOT ACTIVE",
            "ppt_violation_status": "ACTIVE",
            "hbm_thermal_violation_status": {"xcp_0": ["ACTIVE", "N/A"]},
            "ppt_violation_activity": {"value": 40, "unit": "%"},
        },
        **changes,
    }


def rocm7(*devices: dict[str, Any]) -> str:
    return json.dumps({"gpu_data": devices})


def test_rocm_6_has_a_bare_list() -> None:
    reading = judged(static=layout("rocm6_static"), metric=layout("rocm6_metric"))
    [device] = reading.accelerators
    assert (device.index, device.bus, device.model) == (0, "0000:2d:00.0", "Navi 23 [Radeon RX 6600/6600 XT")
    assert (device.driver, device.firmware) == ("7.0.0-3-pve", "020.003.000.030.000000")
    assert (device.uuid, device.serial, device.partitioned, device.processes) == (None, None, None, None)
    assert (device.memory_total_mib, device.memory_used_mib, device.utilization) == (8176, 202, 1)
    assert (device.temperature_c, device.temperature_hotspot_c, device.temperature_memory_c) == (36, 37, 32)
    assert (device.power_w, device.power_cap_w) == (6, 100)
    assert (device.pcie.generation, device.pcie.width, device.pcie.replays) == (4, 8, None)
    assert (device.pcie.max_generation, device.pcie.max_width) == (4, 16)
    assert (device.ecc.enabled, device.ecc.uncorrected_volatile, device.ecc.retired) == (None, 0, None)
    assert (device.throttle_reasons, device.health, device.problems) == ((), None, ())
    assert reading.unknown == {}


def test_rocm_7_has_an_envelope_and_warnings_before_it() -> None:
    reading = judged(metric=WARNINGS + layout("rocm7_metric"))
    first, second = reading.accelerators
    assert (first.index, first.temperature_hotspot_c, first.memory_total_mib, first.power_w) == (0, 63, 30576, 299)
    assert (second.index, second.utilization, second.memory_used_mib) == (1, 1, 78)
    assert first.throttle_reasons is None, "THROTTLED does not say why: at full load it is the power limit"
    assert second.throttle_reasons == ()
    assert first.pcie.generation == 1, "an idle link"
    assert set(reading.unknown or {}) == {"static"}


def test_an_instinct() -> None:
    reading = judged(metric=rocm7(instinct()))
    [device] = reading.accelerators
    assert (device.temperature_c, device.temperature_hotspot_c) == (71, 71), "it has no edge sensor"
    assert (device.ecc.corrected_volatile, device.ecc.uncorrected_volatile) == (5, 2)
    assert device.throttle_reasons == ("ppt", "hbm_thermal")
    assert (device.pcie.generation, device.pcie.replays) == (5, 3)


@pytest.mark.parametrize(
    ("told", "watts"),
    [({"value": 133, "unit": "W"}, 133), ("133.0 W", 133), (133, 133), ("N/A", None), ({"value": "N/A"}, None)],
)
def test_values_are_told_in_three_ways(told: object, watts: float | None) -> None:
    reading = judged(metric=rocm7(instinct(power={"socket_power": told})))
    assert reading.accelerators[0].power_w == watts
    assert set(reading.unknown or {}) == {"static"}


@pytest.mark.parametrize(
    ("changes", "subject", "words"),
    [
        ({"temperature": {"hotspot": {"value": 65535, "unit": "C"}}}, "0.temperature.hotspot", "65535 C"),
        ({"pcie": {"width": 65535}}, "0.pcie.width", "65535"),
        ({"usage": {"gfx_activity": "busy"}}, "0.usage.gfx_activity", "busy"),
        ({"ecc": {"total_uncorrectable_count": -1}}, "0.ecc.total_uncorrectable_count", "-1"),
    ],
)
def test_a_value_that_cannot_be_is_unknown(changes: dict[str, Any], subject: str, words: str) -> None:
    reading = judged(metric=rocm7(instinct(**changes)))
    assert words in (reading.unknown or {})[subject]


PAGE = {"page_address": "0x1f80000", "page_size": "0x1000", "status": "RESERVED"}
NONE = "No bad pages found."


@pytest.mark.parametrize(
    ("pages", "retired", "pending", "problems"),
    [
        ({"retired": NONE, "pending": NONE, "un_res": NONE}, 0, False, ()),
        ({"retired": [PAGE, PAGE], "pending": [PAGE], "un_res": NONE}, 2, True, ()),
        ({"retired": PAGE, "pending": NONE, "un_res": NONE}, 1, False, ()),
        ({"retired": "N/A", "pending": "N/A", "un_res": "N/A"}, None, None, ()),
        (
            {"retired": [], "pending": [], "un_res": [PAGE]},
            0,
            False,
            ("1 bad pages of its memory cannot be set aside",),
        ),
    ],
)
def test_bad_pages(pages: dict[str, Any], retired: int | None, pending: bool | None, problems: tuple[str, ...]) -> None:
    told = json.dumps([{"gpu": 0, **pages}])
    reading = judged(metric=rocm7(instinct()), bad_pages=told)
    [device] = reading.accelerators
    assert (device.ecc.retired, device.ecc.retire_pending, device.problems) == (retired, pending, problems)


def test_links_are_the_second_document() -> None:
    rows = [
        {"gpu": 0, "bdf": "0000:05:00.0", "link_status": ["X", "U", "U", "D"]},
        {"gpu": 1, "bdf": "0000:26:00.0", "link_status": ["D", "X", "D", "D"]},
    ]
    for told in ("[]\n" + json.dumps(rows), json.dumps(rows), json.dumps({"link_status": rows})):
        first, second = judged(metric=rocm7(instinct(0), instinct(1)), xgmi=told).accelerators
        assert (first.links.active, first.links.total, first.links.errors) == (2, 3, 4)
        assert (second.links.active, second.links.total, second.links.errors) == (None, None, None), (
            "a virtual function's links are all told as down"
        )


def test_processes() -> None:
    told = json.dumps(
        [
            {"gpu": 0, "process_list": [{"process_info": "No running processes detected"}]},
            {"gpu": 1, "process_list": [{"process_info": {"name": "python3", "pid": 4242}}] * 2},
        ]
    )
    devices = judged(metric=rocm7(instinct(0), instinct(1), instinct(2)), process=told).accelerators
    assert [device.processes for device in devices] == [0, 2, None]


@pytest.mark.parametrize(("mode", "divided"), [("SPX", False), ("CPX", True), ("N/A", None)])
def test_partitions(mode: str, divided: bool | None) -> None:
    static = [{"gpu": 0, "partition": {"accelerator_partition": mode, "memory_partition": "NPS1"}}]
    assert judged(static=json.dumps(static)).accelerators[0].partitioned is divided


def test_link_errors_are_a_problem() -> None:
    assert judged(metric=rocm7(instinct(xgmi_err="NO_ERRORS"))).accelerators[0].problems == ()
    assert judged(metric=rocm7(instinct(xgmi_err="MULTIPLE_ERRORS"))).accelerators[0].problems


def test_what_older_releases_do_not_know_is_not_told() -> None:
    reading = judged(
        static=layout("rocm6_static"), metric=layout("rocm6_metric"), xgmi=REFUSED, process=REFUSED, bad_pages=REFUSED
    )
    assert reading.unknown == {}


def test_what_hangs_is_told() -> None:
    hung = Answer("amd.xgmi", timed_out=True, seconds=10)
    reading = judged(static=layout("rocm6_static"), metric=layout("rocm6_metric"), xgmi=hung)
    assert reading.unknown == {"xgmi": "amd-smi did not answer in 10 s"}


def test_a_device_of_which_only_one_part_tells_is_kept() -> None:
    reading = judged(static=layout("rocm6_static"), metric=rocm7(instinct(0), instinct(5)))
    assert [device.index for device in reading.accelerators] == [0, 5]
    assert reading.unknown == {"5.static": "amd-smi static says nothing of it"}


def test_an_entry_without_a_number_is_not_dropped_in_silence() -> None:
    reading = judged(static=layout("rocm6_static"), metric=json.dumps([instinct(0), {"usage": {}}, {"gpu": True}]))
    assert len(reading.accelerators) == 1
    assert set(reading.unknown or {}) == {"metric.1", "metric.2"}


def test_one_reason_is_told_once() -> None:
    failed = Answer("x", 252, stdout="ERROR:root:Unable to detect any GPU devices, check amdgpu version\n")
    reading = judged(static=failed, metric=failed)
    assert list(reading.unknown or {}) == ["static"]
    assert "Unable to detect any GPU" in (reading.unknown or {})["static"]


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["N/A", "12 W", "", "nan", "9" * 40]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["gpu", "gpu_data", "value", "unit", "card0", "usage", "ecc", "pcie", "throttle", "link_status"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([ask.name for ask in ASKS]), JSON.map(json.dumps) | st.text(max_size=80)))
@settings(max_examples=300, deadline=None)
def test_garbage_never_raises(answers: dict[str, str]) -> None:
    reading = read(Record("gpu01", AT, {name: Answer(name, 0, stdout=text) for name, text in answers.items()}))
    for device in reading.accelerators:
        assert device.temperature_c is None or -60 <= device.temperature_c <= 200
        assert device.health is None
    if not reading.accelerators:
        assert reading.unknown


@pytest.mark.parametrize(("model", "device"), [("MI325X", "0x74a5"), ("mi350", "0x75a0"), (None, "0x74a1")])
def test_models(model: str | None, device: str) -> None:
    simulated = Amd().simulate(2, model)
    assert simulated is not None
    assert {one["device"] for one in simulated.bus.values()} == {device}
    assert set(simulated.links) == {"/opt/rocm/bin/amd-smi"}
    with pytest.raises(InputError, match="no simulated AMD"):
        Amd().simulate(1, "MI999")


def test_a_fault_of_the_lab_is_told_as_the_tool_does() -> None:
    simulated = Amd().simulate(3, None)
    assert simulated is not None
    state = simulated.state
    for kind, device, value in (("ecc-uncorrected", 0, "2"), ("thermal-throttle", 1, "95"), ("device-lost", 2, None)):
        effect = simulated.fault(state, kind, device, value)
        assert effect is not None
        state = effect.state
    host = Host(state, "4c4d3f")  # type: ignore[no-untyped-call]
    words = {"static": ["static"], "metric": ["metric"], "bad_pages": ["bad-pages"], "xgmi": ["xgmi", "-l"]}
    told = {name: answer(host, [*line, "--json"])[1] for name, line in words.items()}  # type: ignore[no-untyped-call]
    first, second = judged(**told).accelerators
    assert (first.ecc.uncorrected_volatile, first.ecc.retire_pending, first.links.active, first.links.total) == (
        2,
        True,
        1,
        2,
    )
    assert second.throttle_reasons == ("prochot", "socket_thermal")
    assert (second.temperature_hotspot_c, second.ecc.retire_pending) == (95, False)
