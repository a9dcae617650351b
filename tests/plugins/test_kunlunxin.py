"""Kunlunxin: the answers of several drivers' `xpu-smi`, and those of Intel's tool of the same name."""

import pytest
from tests.support.vendor_records import ABSENT, HUNG, REFUSED, Layouts

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.ask import Answer
from aiops.plugins.kunlunxin.reading import read

KUNLUNXIN = Layouts("kunlunxin")
MACHINE, QUERY, TABLE = (KUNLUNXIN.text(name) for name in ("machine-5.0", "query-5.0.21", "table-5.0.21"))
INTEL = """\
+-----------+--------------------------------------------------------------------------------------+
| Device ID | Device Information                                                                   |
+-----------+--------------------------------------------------------------------------------------+
| 0         | Device Name: Intel(R) Data Center GPU Max 1550                                       |
|           | Vendor Name: Intel(R) Corporation                                                    |
|           | PCI BDF Address: 0000:4d:00.0                                                        |
+-----------+--------------------------------------------------------------------------------------+
"""


def test_positions() -> None:
    reading = read(KUNLUNXIN.record(machine=MACHINE, query=REFUSED, table=REFUSED))
    assert reading.accelerators == (
        Accelerator(
            vendor="kunlunxin",
            index=0,
            serial="02K15K624CV00001",
            bus="0000:04:00.0",
            model="P800 OAM",
            memory_total_mib=98304,
            memory_used_mib=90440,
            utilization=0.0,
            temperature_c=36.0,
            power_w=86.0,
        ),
        Accelerator(
            vendor="kunlunxin",
            index=1,
            serial="02K15K624CV00002",
            bus="0000:17:00.0",
            model="P800 OAM",
            memory_total_mib=98304,
            memory_used_mib=90440,
            utilization=7.0,
            temperature_c=39.0,
            power_w=86.0,
        ),
    )
    assert set(reading.unknown or {}) == {"query"}


def test_keys() -> None:
    reading = read(KUNLUNXIN.record(query=QUERY, bus="2057"))
    assert reading.accelerators == (
        Accelerator(
            vendor="kunlunxin",
            index=0,
            uuid="GPU-00000000-9928-5108-a5b2-000000000001",
            serial="02K0MA0250000001",
            bus="0000:04:00.0",
            model="P800 PCIe",
            driver="5.0.21.26",
            firmware="1.0.2.14.1.54",
            memory_total_mib=98304,
            memory_used_mib=0,
            utilization=0.0,
            temperature_c=46.0,
            power_w=76.0,
            power_cap_w=350.0,
            pcie=Pcie(generation=3, width=16, max_generation=4, max_width=16),
            ecc=Ecc(
                enabled=True,
                corrected_volatile=0,
                uncorrected_volatile=0,
                corrected_aggregate=12,
                uncorrected_aggregate=1,
            ),
            processes=0,
        ),
    )
    assert reading.unknown == {}


@pytest.mark.parametrize(("layout", "driver"), [("table-5.0.21", "5.0.21.21"), ("table-container", "515.58")])
def test_tables(layout: str, driver: str) -> None:
    reading = read(KUNLUNXIN.record(machine=REFUSED, query=REFUSED, table=KUNLUNXIN.text(layout)))
    first, second = reading.accelerators
    assert (first.index, first.model, first.bus, first.driver) == (0, "P800 OAM", "0000:04:00.0", driver)
    assert (second.memory_used_mib, second.memory_total_mib, second.utilization) == (31058, 98304, 97.0)
    assert (second.temperature_c, second.power_w, second.power_cap_w) == (41.0, 90.0, 400.0)
    assert (second.ecc.uncorrected_volatile, second.partitioned) == (4, False)


def test_an_index_is_what_the_tool_calls_it_not_the_minor_number() -> None:
    later = QUERY.replace("04:00.0", "17:00.0").replace("Bus                               : 0x04", "Bus : 0x17")
    first, second = read(KUNLUNXIN.record(machine=MACHINE, query=later)).accelerators
    assert (first.index, first.uuid) == (0, None)
    assert (second.index, second.uuid) == (1, "GPU-00000000-9928-5108-a5b2-000000000001")


def test_processes_are_counted() -> None:
    busy = QUERY.replace(
        "    Processes                             : None",
        "    Processes\n        Process ID : 7\n            Name : a\n        Process ID : 8\n",
    )
    (device,) = read(KUNLUNXIN.record(query=busy)).accelerators
    assert device.processes == 2


@pytest.mark.parametrize("bus", ["8086", None])
def test_intel_s_tool_of_the_same_name_is_not_read(bus: str | None) -> None:
    refused = Answer("x", 109, stderr="The following argument was not expected: -m\n")
    reading = read(KUNLUNXIN.record(bus=bus, machine=refused, query=refused, table=INTEL))
    assert reading.accelerators == ()
    assert reading.unknown


def test_a_bus_without_such_devices_tells_that_the_tool_is_another_s() -> None:
    reading = read(KUNLUNXIN.record(bus="8086", machine=MACHINE, query=QUERY))
    assert reading.accelerators == ()
    assert "another maker's" in (reading.unknown or {})["tool"]
    assert len(read(KUNLUNXIN.record(bus="1d22", machine=MACHINE)).accelerators) == 2


def test_a_device_of_another_maker_is_not_taken() -> None:
    reading = read(KUNLUNXIN.record(query=QUERY.replace("0x36862057", "0x0bd58086")))
    assert reading.accelerators == ()
    assert "another maker" in (reading.unknown or {})["0.maker"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"machine": HUNG, "query": HUNG, "table": HUNG}, "did not answer in 10 s"),
        ({"machine": ABSENT, "query": ABSENT, "table": ABSENT}, "not found"),
        ({"machine": "", "query": "", "table": ""}, "xpu-smi said nothing"),
        ({"machine": MACHINE[:60]}, "xpu-smi: -m said"),
        ({"machine": '00000000:04:00.0 0 "open\n'}, "xpu-smi: -m said"),
        ({"query": QUERY.replace("XPUSMI LOG", "SMI LOG")}, "named no device"),
        ({"query": "XPUSMI LOG\nXPU 00000000:04:00.0\n"}, "says nothing of it"),
        ({"query": Answer("x", 0, stdout="", truncated=True)}, "cut at its size limit"),
    ],
)
def test_no_answer_is_unknown(answers: dict[str, Answer | str], reason: str) -> None:
    reading = read(KUNLUNXIN.record(**answers))
    assert reading.accelerators == ()
    assert any(reason in one for one in (reading.unknown or {}).values())


def test_a_row_that_is_cut_is_not_dropped_without_a_word() -> None:
    reading = read(KUNLUNXIN.record(machine=MACHINE[:-40], query=REFUSED))
    assert [one.index for one in reading.accelerators] == [0]
    assert "02K15K624CV00002" in (reading.unknown or {})["machine row 0"]
