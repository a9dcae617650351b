"""Iluvatar: the answers of several versions of `ixsmi`, and what is not one."""

import pytest
from tests.support.vendor_records import ABSENT, HUNG, REFUSED, Layouts

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.ask import Answer
from aiops.plugins.iluvatar.reading import ASKS, FIELDS, FIELDS_3, read

ILUVATAR = Layouts("iluvatar")
XML, TABLE_3, TABLE_4 = (ILUVATAR.text(name) for name in ("description-4.2.0", "table-3.0.1", "table-4.0.0"))
UUID = "GPU-00000000-1111-2222-3333-444455556666"
ROW = (
    f"0, {UUID}, Iluvatar BI-V150S, 00000000:1C:00.0, 32768, 114, 7, 44, 37, 150, 24000000000001, 4.2.0, 2.0.17, "
    "N/A, Enabled, 3, 4, 8, 16"
)
ROW_3 = f"0, {UUID}, Iluvatar BI-V100, 00000000:34:00.0, 32768 MiB, 513 MiB, 0 %, 31 C, 54 W"
INVALID = Answer("x", 1, stdout='Field "power.draw" is not a valid field to query.\n')
INVALID_4 = Answer("x", 0, stdout='Field "gpu.power.draw" is not a valid field to query.\n')


def test_each_call_finds_the_tool_s_libraries() -> None:
    for ask in ASKS:
        assert ask.environment == (("LD_LIBRARY_PATH", "/usr/local/corex/lib64:/usr/local/corex/lib"),)


def test_the_power_is_asked_for_by_both_names() -> None:
    assert "gpu.power.draw" in FIELDS
    assert "power.draw" in FIELDS_3
    assert "power.draw" not in FIELDS


def test_xml_and_row_tell_of_the_same_device() -> None:
    reading = read(ILUVATAR.record(xml=XML, query=ROW, query_3=INVALID, table=ABSENT))
    assert not reading.unknown
    assert reading.accelerators == (
        Accelerator(
            vendor="iluvatar",
            index=0,
            uuid=UUID,
            serial="24000000000001",
            bus="0000:1c:00.0",
            model="Iluvatar BI-V150S",
            driver="4.2.0",
            firmware="2.0.17",
            memory_total_mib=32768,
            memory_used_mib=114,
            utilization=7.0,
            temperature_c=44.0,
            power_w=37.0,
            power_cap_w=150.0,
            pcie=Pcie(generation=3, width=8, max_generation=4, max_width=16),
            ecc=Ecc(enabled=True, corrected_volatile=2, uncorrected_volatile=0),
            processes=1,
        ),
    )


def test_the_row_alone_has_no_counts_of_errors() -> None:
    device = read(ILUVATAR.record(xml=REFUSED, query=ROW, query_3=INVALID)).accelerators[0]
    assert (device.power_w, device.power_cap_w, device.firmware) == (37.0, 150.0, "2.0.17")
    assert device.ecc == Ecc(enabled=True)


def test_the_row_of_corex_3_has_its_power_under_the_old_name() -> None:
    reading = read(ILUVATAR.record(xml=REFUSED, query=INVALID_4, query_3=ROW_3, table=TABLE_3.replace("| 5 ", "| x ")))
    first = reading.accelerators[0]
    assert (first.power_w, first.power_cap_w, first.driver) == (54.0, 250.0, "3.0.1")
    assert (first.memory_total_mib, first.memory_used_mib, first.temperature_c) == (32768, 513, 31.0)


def test_the_table_of_corex_4_without_power() -> None:
    reading = read(ILUVATAR.record(xml=REFUSED, query=INVALID, table=TABLE_4))
    assert not reading.unknown
    assert reading.accelerators == (
        Accelerator(
            vendor="iluvatar",
            index=0,
            bus="0000:9a:00.0",
            model="Iluvatar BI-V150S",
            driver="4.1.0",
            memory_total_mib=32768,
            memory_used_mib=114,
            utilization=0.0,
            temperature_c=33.0,
        ),
    )


def test_a_device_that_does_not_answer_its_driver_is_not_cold_and_draws_no_65535_w() -> None:
    reading = read(ILUVATAR.record(table=TABLE_3))
    assert [one.index for one in reading.accelerators] == [0, 5]
    failing = reading.accelerators[1]
    assert (failing.bus, failing.power_w, failing.temperature_c) == ("0000:41:00.0", None, None)
    assert (failing.power_cap_w, failing.utilization) == (250.0, 100.0)
    assert (reading.unknown or {})["5.power"] == "it says `65535W`"
    assert (reading.unknown or {})["5.temperature"].startswith("it says 0 C")
    assert not [name for name in reading.unknown or {} if name.startswith("0.")]


def test_a_device_has_the_number_that_the_tool_gives_it() -> None:
    reading = read(ILUVATAR.record(xml=XML, query=f"4{ROW[1:]}"))
    assert [(one.index, one.ecc.corrected_volatile) for one in reading.accelerators] == [(4, 2)]


def test_no_element_is_no_zero() -> None:
    start, _, rest = XML.partition("<ecc_errors>")
    device = read(ILUVATAR.record(xml=start + rest.partition("</ecc_errors>")[2])).accelerators[0]
    assert device.ecc == Ecc(enabled=True)
    start, _, rest = XML.partition("<processes>")
    assert read(ILUVATAR.record(xml=start + rest.partition("</processes>")[2])).accelerators[0].processes is None


@pytest.mark.parametrize(
    ("answer", "garble", "subject"),
    [
        ("xml", ("<double_bit>0<", "<double_bit>-1<"), "0.ecc_errors/double_bit"),
        ("xml", ("44 C", "[Unknown Error]"), "0.temperature/gpu_temp"),
        ("query", (" 44,", " lots,"), "0.temperature.gpu"),
        ("query", ("0, GPU", "no device here\n0, GPU"), "row 0"),
        ("table", ("0%   33C   P0    N/A / N/A    ", "Unknown Error"), "0.row"),
        ("table", ("| 00000000:9A:00.0     | 500MHz    1600MHz    |", "|"), "row 0"),
    ],
)
def test_what_is_garbled_is_told(answer: str, garble: tuple[str, str], subject: str) -> None:
    answers = {"xml": XML, "query": ROW, "table": TABLE_4}
    reading = read(ILUVATAR.record(**{**answers, answer: answers[answer].replace(*garble, 1)}))
    assert subject in (reading.unknown or {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "error while loading shared libraries: libixml.so: cannot open shared object file",
        XML[:900],
        XML.replace("ixsmi_log", "nvidia_smi_log"),
        XML.replace("<ixsmi_log>", '<!ENTITY a "b"><ixsmi_log>', 1),
        Layouts("metax").text("table-2.3.1"),
        "0, 1, 2",
    ],
)
def test_what_is_not_this_tool_s_is_no_device(text: str) -> None:
    reading = read(ILUVATAR.record(xml=text, query=text, query_3=text, table=text))
    assert reading.accelerators == ()
    assert reading.unknown


def test_a_tool_that_hangs_is_told_once() -> None:
    hung = read(ILUVATAR.record(xml=HUNG, query=HUNG, query_3=HUNG, table=HUNG))
    assert hung.accelerators == ()
    assert hung.unknown == {"query": "ixsmi did not answer in 10 s"}
