"""Hygon: the labels of several releases of `hy-smi`, and garbage."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.core.errors import InputError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.vendor import Reading
from aiops.plugins.hygon import Hygon
from aiops.plugins.hygon.reading import ASKS, read

LAYOUTS = Path(__file__).parent / "layouts" / "hygon"
AT = datetime(2026, 11, 21, tzinfo=UTC)


def layout(name: str) -> str:
    return (LAYOUTS / f"{name}.json").read_text("utf-8")


def judged(**answers: Answer | str) -> Reading:
    made = {
        f"hygon.{name}": Answer(f"hygon.{name}", 0, stdout=value) if isinstance(value, str) else value
        for name, value in answers.items()
    }
    return read(Record("dcu01", AT, made))


REFUSED = Answer("hygon.power", 2, stderr="hy-smi: error: unrecognized arguments: --showpower\n")


def test_labels_with_dcu() -> None:
    reading = judged(devices=layout("hy-smi_dcu"), power=REFUSED)
    [device] = reading.accelerators
    assert (device.index, device.model, device.serial, device.uuid) == (
        0,
        "DCU xxxx",
        "TPX0000001",
        "7100fa8800000001",
    )
    assert (device.temperature_c, device.temperature_hotspot_c, device.temperature_memory_c) == (41, 39, 44)
    assert (device.memory_total_mib, device.memory_used_mib, device.utilization) == (65520, 2, 0)
    assert (device.power_w, device.bus, device.driver, device.health) == (80, None, None, None)
    assert reading.unknown == {}


def test_labels_with_hcu_and_bytes() -> None:
    reading = judged(devices=layout("hy-smi_hcu"), power=REFUSED)
    first, second = reading.accelerators
    assert (first.driver, first.firmware, first.temperature_c) == ("6.1.0", "6.312.002400Q.984920", 33)
    assert (first.temperature_hotspot_c, first.memory_total_mib) == (40, None)
    assert (second.bus, second.serial) == ("0000:16:00.0", "TRCW000000000001")
    assert (second.memory_total_mib, second.memory_used_mib, second.utilization) == (65520, 3, 27.5)
    assert reading.unknown == {}


def test_an_old_image_counts_from_one_and_tells_the_driver_apart() -> None:
    reading = judged(devices=layout("rocm-smi_z100"), power=REFUSED)
    assert [device.index for device in reading.accelerators] == [1, 2]
    assert {device.driver for device in reading.accelerators} == {"5.16.29"}


def test_power_is_asked_apart() -> None:
    power = {"card0": {"Average Graphics Package Power (W)": "81.5", "Max Graphics Package Power (W)": "400.0"}}
    devices = json.dumps({"card0": {"HCU use (%)": "0"}, "card1": {"HCU use (%)": "0"}})
    first, second = judged(devices=devices, power=json.dumps(power)).accelerators
    assert (first.power_w, first.power_cap_w) == (81.5, 400)
    assert (second.power_w, second.power_cap_w) == (None, None)


def test_power_that_hangs_or_is_garbled_is_told() -> None:
    for answer in (Answer("hygon.power", timed_out=True, seconds=10), Answer("hygon.power", 0, stdout="{")):
        reading = judged(devices=layout("hy-smi_dcu"), power=answer)
        assert len(reading.accelerators) == 1
        assert set(reading.unknown or {}) == {"power"}


@pytest.mark.parametrize(
    "text",
    [
        '{"card0": {"Card Series": "AMD Instinct MI210", "GPU use (%)": "0"}}',
        '{"card0": {"GPU use (%)": "0"}, "system": {"Driver version": "6.2.4"}}',
    ],
)
def test_amd_s_tool_is_not_hygon_s(text: str) -> None:
    reading = judged(devices=text)
    assert reading.accelerators == ()
    assert "another maker" in (reading.unknown or {})["devices"]


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("Temperature (Sensor edge) (C)", "65535", "65535"),
        ("vram Total Memory (MiB)", "lots", "lots"),
        ("HCU use (%)", "101", "101"),
    ],
)
def test_a_value_that_cannot_be_is_unknown(label: str, value: str, words: str) -> None:
    reading = judged(devices=json.dumps({"card0": {"HCU use (%)": "0", label: value}}), power=REFUSED)
    [reason] = (reading.unknown or {}).values()
    assert words in reason


def test_a_card_of_which_nothing_is_said_is_kept() -> None:
    reading = judged(devices='{"card0": {"HCU use (%)": "0"}, "card1": "N/A"}', power=REFUSED)
    assert [device.index for device in reading.accelerators] == [0, 1]
    assert set(reading.unknown or {}) == {"card1"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer("x", 127, stderr="hy-smi: not found\n"), "not installed"),
        (Answer("x", timed_out=True, seconds=10), "did not answer in 10 s"),
        (Answer("x", 1, stdout="No DRM devices available. Exiting\n"), "No DRM devices"),
        (Answer("x", 0, stdout="Connect server failed: Connection refused\n"), "no JSON"),
        (Answer("x", 0, stdout="{}"), "named no device"),
        (Answer("x", 0, stdout='{"card0": {"HCU use (%)": '), "not whole"),
    ],
)
def test_trouble_has_a_reason(answer: Answer, words: str) -> None:
    reading = judged(devices=answer)
    assert reading.accelerators == ()
    assert words in (reading.unknown or {})["devices"]


TOOL = """#!/bin/sh
echo "$0 $*" >>"$LOG"
case "$*" in *--showbus*) echo "error: unrecognized arguments" >&2; exit 2 ;; esac
echo '{}'
"""


@pytest.mark.parametrize(("tools", "calls"), [(["hy-smi", "rocm-smi"], 2), (["rocm-smi"], 0), ([], 0)])
def test_the_whole_question_then_the_small_one_and_amd_s_tool_never(
    tools: list[str], calls: int, tmp_path: Path
) -> None:
    """This machine has no device of Hygon's, so a `rocm-smi` here is AMD's."""
    for tool in tools:
        (tmp_path / tool).write_text(TOOL)
        (tmp_path / tool).chmod(0o755)
    log = tmp_path / "log"
    done = subprocess.run(
        ASKS[0].argv,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log)},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    asked = log.read_text().splitlines() if log.exists() else []
    assert len(asked) == calls
    assert all("/hy-smi " in line for line in asked)
    assert (done.returncode == 0) is bool(calls)
    if calls:
        assert "--showbus" in asked[0]
        assert "--showbus" not in asked[1]


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["N/A", "12", "", "nan", "9" * 40, "-1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "card0",
                    "card7",
                    "system",
                    "HCU use (%)",
                    "vram Total Memory (B)",
                    "PCI Bus",
                    "Temperature (Sensor core) (C)",
                ]
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
    reading = read(Record("dcu01", AT, {name: Answer(name, 0, stdout=text) for name, text in answers.items()}))
    for device in reading.accelerators:
        assert device.temperature_c is None or -60 <= device.temperature_c <= 200
    if not reading.accelerators:
        assert reading.unknown


def test_models_and_faults() -> None:
    simulated = Hygon().simulate(2, "bw")
    assert simulated is not None
    assert {one["device"] for one in simulated.bus.values()} == {"0x6320"}
    assert simulated.fault(simulated.state, "device-lost", 1, None) is not None
    assert simulated.fault(simulated.state, "ecc-uncorrected", 0, None) is None, "the tool does not tell of them"
    with pytest.raises(InputError, match="no simulated Hygon"):
        Hygon().simulate(1, "K999")
