"""T-Head PPU (experimental): captured tables, `-q` and csv as the manual has them, and what is none of them."""

import re
from dataclasses import replace

import pytest
from tests.support.vendor_records import ABSENT, HUNG, REFUSED, Layouts

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Links, Pcie
from aiops.layers.l0_nodes.ask import Answer
from aiops.plugins.thead.reading import FIELDS, read

THEAD = Layouts("thead")
LOG = THEAD.text("log-manual")
ROW = (
    "{}, PPU-ZW810E, 1320421000001, PPU-00000000-ce6e-dc78-c3d4-000000000001, 00000000:09:00.0, 2.1.2-rd1dcd, "
    "98304, 248\n"
)
LINKS = """\
PPU 0: PPU (UUID: PPU-00000000-ce6e-dc78-c3d4-000000000001)
    Link 0: 50 GB/s
    Link 1: <inactive>
    Link 2: 50 GB/s
PPU 1: PPU (UUID: GPU-other)
    Link 0: 50 GB/s
"""


def test_the_log_is_read_whole() -> None:
    reading = read(THEAD.record(query=REFUSED, log=LOG, table=REFUSED, links=LINKS))
    assert reading.accelerators == (
        Accelerator(
            vendor="thead",
            index=0,
            uuid="PPU-00000000-ce6e-dc78-c3d4-000000000001",
            bus="0000:09:00.0",
            model="PPU-ZW810E",
            driver="1.4.1-4a27c0",
            firmware="1.4.2",
            memory_total_mib=98304,
            memory_used_mib=248,
            utilization=38.0,
            temperature_c=42.0,
            temperature_memory_c=44.0,
            power_w=51.99,
            power_cap_w=240.0,
            pcie=Pcie(generation=4, width=8, max_generation=5, max_width=16, replays=3),
            ecc=Ecc(
                enabled=True,
                corrected_volatile=3,
                uncorrected_volatile=4,
                corrected_aggregate=9,
                uncorrected_aggregate=6,
                remapped_correctable=0,
                remapped_uncorrectable=1,
                remap_pending=False,
                remap_failed=False,
                retired=3,
                retire_pending=True,
            ),
            links=Links(active=2),
            persistence=False,
            processes=2,
            throttle_reasons=("idle", "hw_slowdown", "hw_thermal_slowdown"),
        ),
    )
    assert reading.unknown == {}


def test_the_index_comes_from_csv_and_is_not_the_minor_number() -> None:
    (device,) = read(THEAD.record(query=ROW.format(7), log=LOG)).accelerators
    assert len(ROW.split(",")) == len(FIELDS)
    assert (device.index, device.serial, device.driver) == (7, "1320421000001", "2.1.2-rd1dcd")


def test_a_link_that_leads_nowhere_is_no_fault() -> None:
    (device,) = read(THEAD.record(log=LOG, links=LINKS)).accelerators
    assert device.links.total is None


@pytest.mark.parametrize(
    ("key", "value", "problems", "codes"),
    [
        ("PPU Recovery Action", "PPU Reset", ("its tool asks for a recovery: PPU Reset",), ()),
        ("PPU Recovery Action", "No Action", (), ()),
        ("OS Reboot Correctable", "4480", (), ("4480",)),
    ],
)
def test_what_the_tool_says_is_wrong(key: str, value: str, problems: tuple[str, ...], codes: tuple[str, ...]) -> None:
    wrong = re.sub(f"({key} *): .*", rf"\1: {value}", LOG)
    (device,) = read(THEAD.record(log=wrong)).accelerators
    assert (device.problems, device.health_codes) == (problems, codes)


def test_tables() -> None:
    (device,) = read(THEAD.record(query=REFUSED, log=REFUSED, table=THEAD.text("table-1.17"))).accelerators
    assert device == Accelerator(
        vendor="thead",
        index=0,
        bus="0000:00:12.0",
        model="PPU-ZW810E",
        driver="2.1.1-rbd225",
        memory_total_mib=98304,
        memory_used_mib=2,
        utilization=0.0,
        temperature_c=26.0,
        power_w=57.0,
        power_cap_w=400.0,
        ecc=Ecc(uncorrected_volatile=0),
        partitioned=False,
    )
    first, other = read(THEAD.record(log=REFUSED, table=THEAD.text("table-1.28"))).accelerators
    assert first.utilization == 4.0
    assert other == replace(
        device,
        index=10,
        bus="0001:0c:00.0",
        driver="2.1.0-dbda51",
        memory_used_mib=9,
        temperature_c=23.0,
        power_w=77.0,
        ecc=Ecc(uncorrected_volatile=2),
        partitioned=True,
    )


def test_a_missing_log_is_told_though_csv_and_table_name_the_devices() -> None:
    reading = read(THEAD.record(query=ROW.format(0), log=HUNG, table=THEAD.text("table-1.17")))
    assert (reading.unknown or {}) == {"log": "ppu-smi did not answer in 10 s"}


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"query": HUNG, "log": HUNG, "table": HUNG}, "did not answer in 10 s"),
        ({"query": ABSENT, "log": ABSENT, "table": ABSENT}, "not found"),
        ({"query": "", "log": "", "table": ""}, "ppu-smi said nothing"),
        ({"log": Answer("x", 1, stdout="init HGML error: driver is not loaded\n")}, "driver is not loaded"),
        ({"log": "PPU 00000000:09:00.0\n"}, "says nothing of it"),
        ({"query": "0, half\n"}, "ppu-smi: it said: 0, half"),
        ({"table": THEAD.text("table-1.17").replace("PPU-SMI", "XPU-SMI")}, "no head"),
        ({"table": Answer("x", 0, stdout="", truncated=True)}, "cut at its size limit"),
    ],
)
def test_no_answer_is_unknown(answers: dict[str, Answer | str], reason: str) -> None:
    reading = read(THEAD.record(**answers))
    assert reading.accelerators == ()
    assert any(reason in one for one in (reading.unknown or {}).values())
