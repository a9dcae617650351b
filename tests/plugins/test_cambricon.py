"""Cambricon: the answers of several versions of `cnmon`, and what is not one.

The tables were captured. The long text and the document are composed from the keys and parts that are public.
"""

import json
from typing import Any

import pytest
from tests.support.vendor_records import ABSENT, HUNG, REFUSED, Layouts

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.ask import Answer
from aiops.plugins.cambricon.reading import ASKS, read

CAMBRICON = Layouts("cambricon")
INFO, TABLE = CAMBRICON.text("info-5.10.22"), CAMBRICON.text("table-5.10.22")
CARD: dict[str, Any] = {
    "CardNum": 0,
    "ProductName": "MLU370-X8",
    "UUID": "MLU-00000000-0000-0000-0000-000000000001",
    "Utilization": {"MLUAverage": 12},
    "PhysicalMemUsage": {"Total": 20638, "Used": 5},
    "Temperature": {"Chip": 31},
    "PCI": {
        "DomainID": "0000",
        "Bus": "27",
        "Device": "00",
        "Function": "0",
        "CurrentSpeed": "8 GT/s",
        "MaxSpeed": "16 GT/s",
        "CurrentWidth": "x8",
        "MaxWidth": "x16",
    },
}


def left(*cards: Any) -> Answer:
    """An answer whose document is in its file, as the probe brings it back."""
    return Answer("x", 0, files={"cnmon_info.json": json.dumps({"CnmonInfo": cards})})


def test_the_document_runs_in_a_folder_of_its_own() -> None:
    asked = {ask.name: ask for ask in ASKS}
    assert asked["cambricon.json"].scratch
    assert asked["cambricon.json"].argv == ("cnmon", "info", "-j")


def test_document_and_table_tell_of_the_same_device() -> None:
    reading = read(CAMBRICON.record(json=left(CARD), info=REFUSED, table=TABLE))
    assert not reading.unknown
    assert reading.accelerators == (
        Accelerator(
            vendor="cambricon",
            index=0,
            uuid="MLU-00000000-0000-0000-0000-000000000001",
            bus="0000:27:00.0",
            model="MLU370-X8",
            driver="v5.10.22",
            firmware="v1.1.6",
            memory_total_mib=20638,
            memory_used_mib=5,
            utilization=12.0,
            temperature_c=31.0,
            power_w=107.0,
            power_cap_w=250.0,
            pcie=Pcie(generation=3, width=8, max_generation=4, max_width=16),
            ecc=Ecc(enabled=True),
        ),
    )


def test_the_long_text_alone() -> None:
    reading = read(CAMBRICON.record(json=REFUSED, info=INFO, table=REFUSED))
    assert not reading.unknown
    assert reading.accelerators == (
        Accelerator(
            vendor="cambricon",
            index=0,
            uuid="MLU-00000000-1111-2222-0000-333344445555",
            bus="0000:4a:00.0",
            model="MLU370-X4",
            driver="v5.10.22",
            firmware="v1.1.6",
            memory_total_mib=23374,
            memory_used_mib=5218,
            utilization=66.0,
            temperature_c=72.0,
            temperature_memory_c=78.0,
            power_w=44.0,
            power_cap_w=150.0,
            pcie=Pcie(generation=3, width=16, max_generation=4, max_width=16),
            processes=1,
            health="ok",
        ),
    )


def test_sections_without_a_colon_are_sections_too() -> None:
    plain = "\n".join(line.removesuffix(":").rstrip() for line in INFO.splitlines())
    assert read(CAMBRICON.record(info=plain)).accelerators == read(CAMBRICON.record(info=INFO)).accelerators


@pytest.mark.parametrize(
    ("device", "driver", "health", "codes"),
    [
        ("Good", "Running", "ok", ()),
        ("Good", "Unknown", "ok", ()),
        ("In Problem", "Running", "critical", ("Device In Problem",)),
        ("Good", "Boot Error", "critical", ("Driver Boot Error",)),
        ("Good", "Reset", "warning", ("Driver Reset",)),
        ("N/A", "N/A", None, ()),
    ],
)
def test_health_is_what_the_tool_says(device: str, driver: str, health: str | None, codes: tuple[str, ...]) -> None:
    said = INFO.replace(": Good", f": {device}").replace(": Running", f": {driver}")
    reading = read(CAMBRICON.record(info=said))
    assert (reading.accelerators[0].health, reading.accelerators[0].health_codes) == (health, codes)
    assert "0.Health State" not in (reading.unknown or {})


def test_a_word_for_health_that_nobody_knows_is_unknown() -> None:
    reading = read(CAMBRICON.record(info=INFO.replace(": Good", ": 良好")))
    assert reading.accelerators[0].health is None
    assert reading.unknown == {"0.Health State": "it says `良好`"}


def test_the_table_of_version_4_has_no_bus_and_a_driver_in_each_row() -> None:
    reading = read(CAMBRICON.record(table=CAMBRICON.text("table-4.20.11"), json=REFUSED, info=REFUSED))
    assert not reading.unknown
    assert reading.accelerators == tuple(
        Accelerator(
            vendor="cambricon",
            index=index,
            model="MLU370-X4",
            driver="v4.20.11",
            firmware="v1.1.6",
            memory_total_mib=23308,
            memory_used_mib=0,
            utilization=0.0,
            temperature_c=heat,
            power_w=power,
            power_cap_w=150.0,
        )
        for index, heat, power in ((0, 32.0, 30.0), (1, 33.0, 25.0))
    )


def test_the_table_of_5_10_13_has_no_error_correction() -> None:
    reading = read(CAMBRICON.record(table=CAMBRICON.text("table-5.10.13")))
    assert [one.bus for one in reading.accelerators] == ["0000:4a:00.0", "0000:4e:00.0"]
    assert [one.ecc.enabled for one in reading.accelerators] == [None, None]
    assert [one.driver for one in reading.accelerators] == ["v5.10.13"] * 2


def test_what_the_column_of_errors_counts_is_not_told_so_it_alarms_nobody() -> None:
    reading = read(CAMBRICON.record(table=TABLE.replace("0% " + " " * 16 + "0 |", "0% " + " " * 16 + "7 |")))
    assert reading.accelerators[0].ecc == Ecc(enabled=True)
    assert not reading.unknown


def test_rows_of_virtual_functions_are_parts_of_their_card() -> None:
    lines = TABLE.splitlines()
    parts = [lines[6].replace("/  ", "1  ", 1), lines[7], lines[8]]
    reading = read(CAMBRICON.record(table="\n".join([*lines, *parts])))
    assert len(reading.accelerators) == 1
    assert reading.accelerators[0].partitioned is True


def test_a_card_without_a_number_is_told_of() -> None:
    reading = read(CAMBRICON.record(json=left(CARD, {**CARD, "CardNum": None})))
    assert len(reading.accelerators) == 1
    assert reading.unknown == {"card 1": "it has no number in cnmon_info.json"}


def test_a_garbled_value_is_unknown_and_the_rest_is_read() -> None:
    reading = read(CAMBRICON.record(json=left({**CARD, "Temperature": {"Chip": "warm"}})))
    assert reading.accelerators[0].temperature_c is None
    assert reading.accelerators[0].memory_total_mib == 20638
    assert reading.unknown == {"0.Temperature.Chip": "it says `warm`"}


def test_a_table_that_was_cut_shows_its_devices_and_says_so() -> None:
    cut = CAMBRICON.text("table-5.10.13").partition("39C")[0]
    reading = read(CAMBRICON.record(table=cut))
    assert [one.index for one in reading.accelerators] == [0, 1]
    assert reading.accelerators[1].temperature_c is None
    assert set(reading.unknown or {}) == {"1.row", "table"}


def test_a_row_that_is_no_row_is_told_of() -> None:
    lines = TABLE.splitlines()
    lines[6] = "| 0  Unknown Error |"
    reading = read(CAMBRICON.record(table="\n".join(lines)))
    assert reading.accelerators == ()
    assert "row 0" in (reading.unknown or {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bash: cnmon: command not found",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
        Layouts("mthreads").text("table-2.4.1"),
        Layouts("iluvatar").text("table-4.0.0"),
        '{"CnmonInfo": 3}',
        '{"CnmonInfo": [',
    ],
)
def test_what_is_not_this_tool_s_is_no_device(text: str) -> None:
    reading = read(CAMBRICON.record(json=text, info=text, table=text))
    assert reading.accelerators == ()
    assert reading.unknown


def test_a_tool_that_hangs_or_is_absent_is_told_once() -> None:
    assert read(CAMBRICON.record(json=HUNG, info=HUNG, table=HUNG)).unknown == {
        "query": "cnmon did not answer in 10 s",
    }
    absent = read(CAMBRICON.record(json=ABSENT, info=ABSENT, table=ABSENT)).unknown
    assert absent == {"query": "tool: not found (the vendor's tools are not installed)"}


def test_one_answer_that_hangs_is_told_though_another_came() -> None:
    reading = read(CAMBRICON.record(json=HUNG, info=INFO, table=TABLE))
    assert reading.unknown == {"query": "cnmon did not answer in 10 s"}
