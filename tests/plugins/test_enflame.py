"""Enflame: the answers of several drivers' `efsmi`, and what is not one."""

import json
from typing import Any

import pytest
from tests.support.vendor_records import ABSENT, HUNG, REFUSED, Layouts

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.ask import Answer
from aiops.plugins.enflame.reading import read

ENFLAME = Layouts("enflame")
NEW, OLD = ENFLAME.text("query-1.4.3"), ENFLAME.text("query-1.2.4")
FORM: dict[str, Any] = {
    "devices": [
        {
            "id": 3,
            "Driver Info": {"Ver": "1.6.3.12"},
            "Device Info": {"Device Name": "Enflame S60", "Dev SN": "A0", "Health": True},
            "PCIe Info": {
                "Vendor ID": "1e36",
                "Device ID": "c035",
                "Domain": "0000",
                "Bus": "1d",
                "Dev": "00",
                "Func": "0",
                "Link Info": {"Cur Link Speed": "Gen4", "Cur Link Width": "X8"},
            },
            "Device Mem Info": {"Total Size": 42976, "Used Size": 0, "Free Size": 42976},
            "Temperature Info": {"GCU Temp": {"value": 35, "unit": "C"}},
        }
    ]
}


def test_the_new_layout_is_read_whole() -> None:
    reading = read(ENFLAME.record(query=NEW, json=REFUSED, table=ENFLAME.text("table-1.7.2")))
    first, second = reading.accelerators
    assert first == Accelerator(
        vendor="enflame",
        index=0,
        uuid="TR6Y40000001",
        serial="A0A1650000001",
        bus="0000:1a:00.0",
        model="S60",
        driver="1.4.3.4",
        firmware="40.2.8.3",
        memory_total_mib=42976,
        memory_used_mib=0,
        utilization=0.0,
        temperature_c=35.0,
        power_w=96.0,
        power_cap_w=300.0,
        pcie=Pcie(generation=3, width=8, max_generation=5, max_width=16),
        ecc=Ecc(enabled=True, uncorrected_aggregate=0),
        partitioned=False,
        health="ok",
    )
    assert second.health == "critical"
    assert second.problems == ("it is marked for return", "its power cable is abnormal")
    assert second.ecc.uncorrected_aggregate == 3
    assert second.firmware is None
    assert reading.unknown == {}


def test_the_old_layout_has_other_keys_and_units() -> None:
    (device,) = read(ENFLAME.record(query=OLD)).accelerators
    assert (device.memory_total_mib, device.memory_used_mib) == (42976, 1129)
    assert (device.temperature_c, device.driver, device.bus) == (41.0, "1.2.4.12", "0000:31:00.0")
    assert device.ecc == Ecc(enabled=True, uncorrected_aggregate=0)
    assert (device.health, device.problems) == ("ok", ())


@pytest.mark.parametrize(
    ("layout", "device"),
    [
        (
            "table-1.2.0",
            Accelerator(
                vendor="enflame",
                index=0,
                serial="A073640000001",
                bus="0000:1a:00.0",
                model="S60",
                driver="1.2.0.301",
                firmware="33.6.2",
                memory_total_mib=49120,
                utilization=0.0,
                temperature_c=39.0,
                power_w=105.0,
                power_cap_w=300.0,
                ecc=Ecc(enabled=False),
                partitioned=False,
            ),
        ),
        (
            "table-1.6.3",
            Accelerator(
                vendor="enflame",
                index=0,
                serial="A018K30000001",
                bus="0000:1a:00.0",
                model="S60G",
                driver="1.6.3.12",
                firmware="31.5.3",
                memory_total_mib=23552,
                utilization=0.0,
                temperature_c=34.0,
                ecc=Ecc(enabled=False),
                partitioned=True,
            ),
        ),
        (
            "table-1.7.2",
            Accelerator(
                vendor="enflame",
                index=0,
                serial="A098Q50000001",
                bus="0000:1a:00.0",
                model="L300",
                driver="1.7.2.14",
                firmware="40.2.8.3",
                memory_total_mib=147456,
                utilization=0.0,
                temperature_c=35.0,
                power_w=68.0,
                power_cap_w=300.0,
                ecc=Ecc(enabled=True),
                partitioned=False,
            ),
        ),
    ],
)
def test_each_table_alone_tells_what_it_has(layout: str, device: Accelerator) -> None:
    reading = read(ENFLAME.record(query=REFUSED, json=REFUSED, table=ENFLAME.text(layout)))
    assert reading.accelerators == (device,)
    assert (reading.unknown or {})["query"] == "efsmi exit 2: unknown option"


def test_the_json_form_is_the_same_sections() -> None:
    reading = read(ENFLAME.record(query=HUNG, json="efsmi: slow\n" + json.dumps(FORM)))
    (device,) = reading.accelerators
    assert (device.index, device.model, device.serial, device.bus) == (3, "S60", "A0", "0000:1d:00.0")
    assert (device.memory_total_mib, device.memory_used_mib, device.temperature_c) == (42976, 0, 35.0)
    assert (device.pcie.generation, device.pcie.width, device.health, device.driver) == (4, 8, "ok", "1.6.3.12")
    assert reading.unknown == {"query": "efsmi did not answer in 10 s", "table": "not asked"}


def test_other_sections_of_the_same_keys_are_other_things() -> None:
    bars = "    BAR1 Mem Info\n        Total Size              : 64 MiB\n    Device Mem Info"
    (device, _) = read(ENFLAME.record(query=NEW.replace("    Device Mem Info", bars))).accelerators
    assert device.memory_total_mib == 42976


@pytest.mark.parametrize(
    ("old", "new", "subject"),
    [
        ("Health                  : True", "Health                  : Maybe", "0.health"),
        ("Flags                   : False", "Flags                   : 7", "0.rma"),
        ("Status                  : Normal", "Status                  : Sideways", "0.power_cable"),
    ],
)
def test_a_word_that_is_not_known_is_no_verdict(old: str, new: str, subject: str) -> None:
    reading = read(ENFLAME.record(query=OLD.replace(old, new)))
    (device,) = reading.accelerators
    assert subject in (reading.unknown or {})
    assert device.problems == ()
    assert device.health in {None, "ok"}


def test_what_is_missing_is_none() -> None:
    (device,) = read(ENFLAME.record(query="DEV ID 4\n    Temperature Info\n        GCU Temp : N/A\n")).accelerators
    assert device == Accelerator(vendor="enflame", index=4)


def test_another_maker_s_device_is_not_this_one_s() -> None:
    reading = read(ENFLAME.record(query=OLD.replace("1e36", "10de")))
    assert reading.accelerators == ()
    assert "another maker" in (reading.unknown or {})["0.maker"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"query": HUNG, "json": HUNG, "table": HUNG}, "did not answer in 10 s"),
        ({"query": ABSENT, "json": ABSENT, "table": ABSENT}, "not found"),
        ({"query": "", "json": "", "table": ""}, "efsmi said nothing"),
        ({"query": "no devices here", "json": "{}", "table": "| 0 x | y | z |"}, "it said: no devices here"),
        ({"query": Answer("x", 0, stdout=NEW[:90], truncated=True)}, "cut at its size limit"),
        ({"json": json.dumps({"devices": [{"x": 1}, 7]})}, "device without an id"),
        ({"json": json.dumps(FORM)[:80]}, "JSON is not whole"),
        ({"table": "EFSMI\n| 0 x | y | z |"}, "not understood"),
    ],
)
def test_no_answer_is_unknown(answers: dict[str, Answer | str], reason: str) -> None:
    reading = read(ENFLAME.record(**answers))
    assert reading.accelerators == ()
    assert any(reason in one for one in (reading.unknown or {}).values())


def test_a_cut_answer_keeps_what_came_and_says_so() -> None:
    cut = Answer("x", 0, stdout=NEW[: NEW.index("    Device Mem Info")], truncated=True)
    reading = read(ENFLAME.record(query=cut))
    assert [(device.serial, device.memory_total_mib) for device in reading.accelerators] == [("A0A1650000001", None)]
    assert "cut" in (reading.unknown or {})["query"]
