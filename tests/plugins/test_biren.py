"""Biren (experimental): the captured table, csv as documented, and what is neither."""

import pytest
from tests.support.vendor_records import ABSENT, HUNG, REFUSED, Layouts

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc
from aiops.layers.l0_nodes.ask import Answer
from aiops.plugins.biren.reading import FIELDS, read

BIREN = Layouts("biren")
TABLE = BIREN.text("table-1.11.0")
ROW = "0, Biren106M, GPU-1, BR1, 00000000:C2:00.0, 12, 1024, 32512, 40, Disabled\n"
KNOWN = Accelerator(
    vendor="biren",
    index=0,
    bus="0000:c2:00.0",
    model="Biren106M",
    driver="1.11.0",
    memory_total_mib=32512,
    memory_used_mib=0,
    utilization=0.0,
    temperature_c=37.0,
    power_w=62.0,
    power_cap_w=400.0,
    ecc=Ecc(uncorrected_volatile=0),
    persistence=False,
    partitioned=False,
)


def test_the_table_is_enough() -> None:
    reading = read(BIREN.record(table=TABLE, query=Answer("x", 1, stdout="ERROR_INVALID_ARGUMENT")))
    assert reading.accelerators == (KNOWN,)
    assert reading.unknown == {}


def test_csv_adds_the_identity() -> None:
    (device,) = read(BIREN.record(table=TABLE, query=ROW)).accelerators
    assert (device.uuid, device.serial, device.temperature_c) == ("GPU-1", "BR1", 37.0)


def test_csv_alone() -> None:
    assert len(ROW.split(",")) == len(FIELDS)
    reading = read(BIREN.record(table=REFUSED, query=ROW.replace(" 12,", " [N/A],").replace("Disabled", "Enabled")))
    (device,) = reading.accelerators
    assert (device.index, device.bus, device.model) == (0, "0000:c2:00.0", "Biren106M")
    assert (device.memory_used_mib, device.memory_total_mib, device.temperature_c) == (1024, 32512, 40.0)
    assert (device.utilization, device.partitioned, device.power_w) == (None, True, None)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"table": HUNG, "query": HUNG}, "did not answer in 10 s"),
        ({"table": ABSENT, "query": ABSENT}, "not found"),
        ({"table": "", "query": ""}, "brsmi said nothing"),
        ({"table": TABLE.replace("BR-SMI", "NVIDIA-SMI"), "query": REFUSED}, "no head"),
        ({"table": TABLE.replace("     0            Biren106M", "     0"), "query": REFUSED}, "not understood"),
        ({"query": "0, half\n"}, "brsmi: it said: 0, half"),
        ({"table": Answer("x", 0, stdout="", truncated=True)}, "cut at its size limit"),
    ],
)
def test_no_answer_is_unknown(answers: dict[str, Answer | str], reason: str) -> None:
    reading = read(BIREN.record(**answers))
    assert reading.accelerators == ()
    assert any(reason in one for one in (reading.unknown or {}).values())


def test_what_no_device_can_have_is_not_told() -> None:
    row = ROW.replace(" 12,", " 65535,").replace(" 40,", " 32767,")
    (device,) = read(BIREN.record(table=REFUSED, query=row)).accelerators
    assert (device.utilization, device.temperature_c) == (None, None)
