"""Moore Threads: the answers of several versions of `mthreads-gmi`, and what is not one.

The document has the keys of captured ones, with values of its own; that of retired pages is as the tool's text has it.
"""

import json
from typing import Any

import pytest
from tests.support.vendor_records import ABSENT, HUNG, REFUSED, Layouts

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.ask import Answer
from aiops.plugins.mthreads.reading import read

MTHREADS = Layouts("mthreads")
DOCUMENT, TABLE = MTHREADS.text("query-3.3.5"), MTHREADS.text("table-2.4.1")


def changed(**sections: Any) -> str:
    """The document with other sections of its device."""
    tree = json.loads(DOCUMENT)
    tree["GPU"][0] |= {name.replace("_", " "): value for name, value in sections.items()}
    return json.dumps(tree, indent=4)


def test_the_document_is_read_whole() -> None:
    reading = read(MTHREADS.record(json=DOCUMENT, table=REFUSED))
    assert not reading.unknown
    assert reading.accelerators == (
        Accelerator(
            vendor="mthreads",
            index=0,
            uuid="11112222-3333-4444-5555-666677778888",
            serial="MY00VG000C000001",
            bus="0000:2c:00.0",
            model="MTT S5000",
            driver="3.3.5-server",
            firmware="4.3.41",
            memory_total_mib=81920,
            memory_used_mib=40960,
            utilization=75.0,
            temperature_c=42.0,
            power_w=400.5,
            power_cap_w=950.0,
            pcie=Pcie(generation=4, width=8, max_generation=5, max_width=16),
            ecc=Ecc(uncorrected_aggregate=1, retired=3, retire_pending=False),
            partitioned=False,
        ),
    )


def test_keys_differ_in_blanks_and_capitals() -> None:
    other = DOCUMENT.replace('"PCI/Bus ID"', '"Bus ID"').replace('"Power Draw "', '"Power Draw"')
    other = other.replace('"FB Memory Usage"', '"FB memory usage"')
    assert read(MTHREADS.record(json=other)).accelerators == read(MTHREADS.record(json=DOCUMENT)).accelerators


def test_a_cap_of_nothing_is_no_cap_and_absent_counts_are_not_zero() -> None:
    said = changed(Power_Readings={"Power Draw ": "96.66W", "Current Power Limit": "0.00W"}, Retired_Pages={})
    device = read(MTHREADS.record(json=said)).accelerators[0]
    assert (device.power_w, device.power_cap_w) == (96.66, None)
    assert device.ecc == Ecc()


def test_a_pending_page_is_told() -> None:
    pages = {"Single Bit ECC": "0", "Double Bit ECC": "N/A", "Pending Page Blacklist": "YES"}
    ecc = read(MTHREADS.record(json=changed(Retired_Pages=pages))).accelerators[0].ecc
    assert ecc == Ecc(retire_pending=True)


def test_the_table_of_2_4_1() -> None:
    reading = read(MTHREADS.record(json=REFUSED, table=TABLE))
    assert not reading.unknown
    first, second = reading.accelerators
    assert first == Accelerator(
        vendor="mthreads",
        index=0,
        bus="0000:19:00.0",
        model="MTT S5000",
        driver="5.1.0-server",
        memory_total_mib=81920,
        memory_used_mib=0,
        utilization=0.0,
        temperature_c=48.0,
        pcie=Pcie(width=16, max_width=16),
        ecc=Ecc(enabled=True),
        partitioned=False,
        processes=0,
    )
    assert second.partitioned is True


def test_the_width_of_a_link_is_told_beside_the_best() -> None:
    device = read(MTHREADS.record(table=MTHREADS.text("table-1.14.0"))).accelerators[0]
    assert device.pcie == Pcie(width=4, max_width=16)
    assert (device.model, device.driver, device.ecc.enabled, device.processes) == ("MTT S80", "2.7.0", None, 0)


def test_processes_are_counted() -> None:
    assert read(MTHREADS.record(table=MTHREADS.text("table-2.0.0"))).accelerators[0].processes == 2


def test_the_oldest_table_has_two_lines_for_a_device_and_no_driver() -> None:
    reading = read(MTHREADS.record(table=MTHREADS.text("table-1.6.0")))
    assert not reading.unknown
    device = reading.accelerators[0]
    assert (device.index, device.driver, device.memory_used_mib, device.pcie.width) == (0, None, 411, 8)
    assert (device.temperature_c, device.processes, device.ecc) == (44.0, None, Ecc())


def test_more_memory_in_use_than_there_is_is_not_believed() -> None:
    reading = read(MTHREADS.record(table=MTHREADS.text("table-1.12.2")))
    assert reading.accelerators[0].memory_used_mib is None
    assert reading.accelerators[0].memory_total_mib == 32768
    assert reading.unknown == {"0.memory": "44302 MiB are said to be in use of 32768 MiB"}


def test_document_and_table_tell_of_the_same_device() -> None:
    table = TABLE.replace("00000000:19:00.0", "00000000:2c:00.0")
    reading = read(MTHREADS.record(json=DOCUMENT, table=table))
    assert [one.bus for one in reading.accelerators] == ["0000:2c:00.0", "0000:3b:00.0"]
    assert (reading.accelerators[0].power_w, reading.accelerators[0].processes) == (400.5, 0)


@pytest.mark.parametrize(
    ("garble", "subject"),
    [
        (("|48C ", "|hot "), "0.temperature"),
        (("0MiB(81920MiB)", "0MiB(lots)"), "0.memory"),
        (("|16x(16x)            |48C", "|Unknown Error"), "0.row"),
        (("0    MTT S5000            |00000000:19:00.0    |0%", "0    MTT S5000            |?"), "row 0"),
    ],
)
def test_what_is_garbled_is_told(garble: tuple[str, str], subject: str) -> None:
    reading = read(MTHREADS.record(table=TABLE.replace(*garble, 1)))
    assert subject in (reading.unknown or {})


def test_an_entry_that_is_no_device_is_told() -> None:
    tree = json.loads(DOCUMENT)
    tree["GPU"].append(7)
    reading = read(MTHREADS.record(json=json.dumps(tree)))
    assert len(reading.accelerators) == 1
    assert reading.unknown == {"GPU 1": "it is no object"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Error: failed to load libmtml",
        DOCUMENT[:700],
        changed(PCI={"Vendor ID": "0x10DE"}),
        '{"GPU": [{"Product Name": "NVIDIA H100"}]}',
        '{"GPU": {}}',
        Layouts("cambricon").text("table-5.10.22"),
    ],
)
def test_what_is_not_this_tool_s_is_no_device(text: str) -> None:
    reading = read(MTHREADS.record(json=text, table=text))
    assert reading.accelerators == ()
    assert reading.unknown


def test_a_tool_that_hangs_or_is_absent_is_told_once() -> None:
    hung = read(MTHREADS.record(json=HUNG, table=HUNG)).unknown
    assert hung == {"query": "mthreads-gmi did not answer in 10 s"}
    assert read(MTHREADS.record(json=ABSENT, table=ABSENT)).accelerators == ()


def test_a_document_that_was_cut_by_its_size_is_told_though_the_table_came() -> None:
    cut = Answer("mthreads.json", 0, stdout=DOCUMENT[:500], truncated=True)
    reading = read(MTHREADS.record(json=cut, table=TABLE))
    assert len(reading.accelerators) == 2
    assert "its JSON is not whole" in (reading.unknown or {})["query"]
