"""Ascend: the tables of several versions and products, whole and cut, beside what the bus shows."""

import pytest
from tests.plugins.ascend_answers import AT, BOARD, ECC, PLACES, UNSUPPORTED, WELL, chips, judged, layout, whole

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l0_nodes.fact_reading import facts_of
from aiops.plugins.ascend import Ascend


def told_of(device: Accelerator) -> tuple[object, ...]:
    return (device.index, device.bus, device.model, device.temperature_c, device.memory_total_mib)


@pytest.mark.parametrize(
    ("name", "places", "first", "last", "driver"),
    [
        (
            "20.2_310",
            [(215, chip) for chip in range(4)],
            (0, "0000:eb:00.0", "Ascend 310", 56, 8192),
            (3, "0000:ec:00.0", "Ascend 310", 55, 8192),
            "20.2.0",
        ),
        (
            "21.0_310",
            [(6, chip) for chip in range(4)],
            (3, "0000:9a:00.0", "Ascend 310", 73, 8192),
            (6, "0000:9d:00.0", "Ascend 310", 65, 8192),
            "21.0.4.B030",
        ),
        (
            "22.0_910A",
            [(card, 0) for card in range(8)],
            (0, "0000:72:00.0", "Ascend 910A", 43, 32768),
            (7, "0000:4e:00.0", "Ascend 910A", 40, 32768),
            "22.0.3.1",
        ),
        (
            "24.1_910A",
            [(card, 0) for card in range(8)],
            (0, "0000:d2:00.0", "Ascend xxx", 42, 32768),
            (7, "0000:13:00.0", "Ascend xxx", 42, 32768),
            "24.1.RC2",
        ),
        (
            "23.0_310B",
            [(0, 0)],
            (0, None, "Ascend 310B4", 65, 15609),
            (0, None, "Ascend 310B4", 65, 15609),
            "23.0.0",
        ),
        (
            "25.2_910B",
            [(0, 0), (1, 0)],
            (0, "0000:e9:00.0", "Ascend 910B4-1", 48, 65536),
            (1, "0000:ea:00.0", "Ascend 910B4-1", 46, 65536),
            "25.2.0",
        ),
        (
            "25.3_310P",
            [(0, 0), (0, 1), (32, 0)],
            (0, "0000:12:00.0", "Ascend 310P3", 86, 44278),
            (2, "0000:13:00.0", "Ascend 310P3", 49, 21527),
            "25.3.rc1",
        ),
        (
            "25.0_910C",
            [(0, 0), (0, 1), (1, 0), (1, 1)],
            (0, "0000:ae:00.0", "Ascend910", 45, 65536),
            (3, "0000:ac:00.0", "Ascend910", 44, 65536),
            "25.0.rc1",
        ),
        (
            "source_950",
            [(0, 0), (1, 0)],
            (0, "0000:92:00.0", "Ascend950", 41, 131072),
            (1, None, "Ascend950", 40, 131072),
            "25.6.rc1",
        ),
    ],
)
def test_every_layout(
    name: str, places: list[tuple[int, int]], first: tuple[object, ...], last: tuple[object, ...], driver: str
) -> None:
    reading = whole(name, places)
    assert len(reading.accelerators) == len(places)
    assert told_of(reading.accelerators[0]) == first
    assert told_of(reading.accelerators[-1]) == last
    assert {device.driver for device in reading.accelerators} == {driver}
    assert reading.unknown == {}
    assert reading.mismatch is None


def test_power_is_the_card_s_and_stands_at_its_first_chip() -> None:
    devices = whole("25.0_910C", [(0, 0), (0, 1), (1, 0), (1, 1)]).accelerators
    assert [device.power_w for device in devices] == [160.7, None, 167.2, None]
    assert [device.power_w for device in whole("25.3_310P", [(0, 0), (0, 1), (32, 0)]).accelerators] == [None] * 3
    assert whole("23.0_310B", [(0, 0)]).accelerators[0].power_w is None, "0.0 W is no measure"


def test_memory_is_hbm_where_there_is_some() -> None:
    devices = whole("25.2_910B", [(0, 0), (1, 0)]).accelerators
    assert (devices[0].memory_used_mib, devices[0].utilization) == (57347, 27)
    ddr = whole("25.3_310P", [(0, 0), (0, 1), (32, 0)]).accelerators
    assert [device.memory_used_mib for device in ddr] == [35552, 35270, 1910]


def test_processes() -> None:
    assert [one.processes for one in whole("25.2_910B", [(0, 0), (1, 0)]).accelerators] == [1, 0]
    assert [one.processes for one in whole("25.3_310P", [(0, 0), (0, 1), (32, 0)]).accelerators] == [1, 1, 0]
    assert [one.processes for one in whole("source_950", [(0, 0), (1, 0)]).accelerators] == [1, 0]
    assert {one.processes for one in whole("24.1_910A", [(card, 0) for card in range(8)]).accelerators} == {4}
    assert whole("25.0_910C", [(0, 0), (0, 1), (1, 0), (1, 1)]).accelerators[0].processes is None, "there is no table"


def test_a_driver_that_was_not_completely_installed() -> None:
    warning = "[WARNING]The driver package may not be completely installed, which may cause function abnormal.\n"
    reading = whole("25.2_910B", PLACES, info=layout("25.2_910B") + warning)
    assert reading.unknown == {}
    assert reading.mismatch is not None


def test_a_card_without_a_number_is_kept() -> None:
    text = layout("25.2_910B").replace("| 1     910B4-1", "| -1    910B4-1")
    reading = judged(info=text, health=chips([(0, 0)], WELL), ecc=chips([(0, 0)], ECC), hccs=chips([(0, 0)], "x: y\n"))
    assert [device.index for device in reading.accelerators] == [0, 1]
    assert "1.health" in (reading.unknown or {})


@pytest.mark.parametrize(
    ("old", "new", "subject"),
    [
        ("| 127.6       46    ", "| 127.6       32767 ", "1.temperature"),
        ("| 127.6       46    ", "| lots        46    ", "1.power"),
        (
            "| 28          0    / 0          57347/ 65536         |",
            "| 28          0 0                                   |",
            "1.rows",
        ),
        (
            "| 28          0    / 0          57347/ 65536         |",
            "| 28          0    / 0          many / 65536         |",
            "1.memory",
        ),
        (
            "| 1     910B4-1             | OK            | 127.6       46                0    / 0             |\n",
            "",
            "0.rows",
        ),
        ("| 1     910B4-1             | OK            |", "| one   910B4-1             | OK            |", "row.0"),
    ],
)
def test_a_row_that_is_not_understood_is_told_and_its_chip_kept(old: str, new: str, subject: str) -> None:
    text = layout("25.2_910B")
    assert old in text
    reading = whole("25.2_910B", PLACES, info=text.replace(old, new))
    assert len(reading.accelerators) == 2
    told = reading.unknown or {}
    assert any(name.endswith(subject.partition(".")[2]) or name == subject for name in told), told


def test_a_table_that_was_cut_is_told() -> None:
    text = layout("25.2_910B")
    for end in range(1, text.index("NPU     Chip")):
        reading = whole("25.2_910B", PLACES, info=text[:end])
        whole_there = len(reading.accelerators) == 2 and reading.accelerators[1].memory_used_mib == 57347
        assert reading.unknown or whole_there, text[:end]


def test_a_chip_that_only_the_mapping_names_is_told() -> None:
    reading = whole("25.2_910B", PLACES, health=chips([*PLACES, (2, 0)], WELL))
    assert "npu.2.0" in (reading.unknown or {})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer("x", missing={"argv": "npu-smi: not found"}), "not found"),
        (Answer("x", timed_out=True, seconds=10), "did not answer in 10 s"),
        (Answer("x", 255, stdout="dcmi module initialize failed. ret is -8005\n"), "initialize failed"),
        (Answer("x", 0, stdout="There is no NPU card on this server.\n"), "no NPU card"),
        (Answer("x", 0, stdout="| npu-smi 25.2.0      Version: 25.2.0 |\n"), "named no device"),
        (Answer("x", 0, stdout="+---+\n| NVIDIA-SMI 580.1 |\n"), "no table of npu-smi"),
    ],
)
def test_trouble_has_a_reason(answer: Answer, words: str) -> None:
    reading = judged(info=answer)
    assert reading.accelerators == ()
    assert words in (reading.unknown or {})["info"]


def on_bus(*devices: tuple[str, str]) -> Answer:
    """The bus with Huawei's devices, each (address, class)."""
    files: dict[str, str] = {}
    for address, kind in devices:
        files |= {f"/sys/bus/pci/devices/{address}/vendor": "0x19e5\n"}
        files |= {f"/sys/bus/pci/devices/{address}/class": f"{kind}\n"}
    return Answer("bus", files=files)


CONSOLE = ("0000:02:00.0", "0x030000")


@pytest.mark.parametrize(
    ("name", "places", "bus", "count", "complaint"),
    [
        ("25.2_910B", PLACES, [("0000:e9:00.0", "0x120000"), ("0000:ea:00.0", "0x120000"), CONSOLE], 2, None),
        ("25.3_310P", [(0, 0), (0, 1), (32, 0)], [("0000:12:00.0", "0x120000"), ("0000:13:00.0", "0x120000")], 2, None),
        ("25.2_910B", PLACES, [(f"0000:e{slot}:00.0", "0x120000") for slot in range(8)], 8, "8 on the bus"),
        ("23.0_310B", [(0, 0)], [], 0, None),
    ],
)
def test_the_bus_agrees_with_the_tool(
    name: str, places: list[tuple[int, int]], bus: list[tuple[str, str]], count: int, complaint: str | None
) -> None:
    """A management controller's screen is no accelerator, and the two chips of a 300I Duo share one address."""
    answers = {"ascend.info": Answer("ascend.info", 0, stdout=layout(name)), "bus": on_bus(*bus)}
    for kind, text in (("health", WELL), ("ecc", ECC), ("hccs", UNSUPPORTED), ("board", BOARD)):
        answers[f"ascend.{kind}"] = Answer(f"ascend.{kind}", 0, stdout=chips(places, text))
    facts = facts_of(Record("npu01", AT, answers), (Ascend(),))
    assert sum(one.count for one in facts.bus_accelerators or ()) == count
    assert len(facts.accelerators or ()) == len(places)
    assert (complaint or "") in facts.unknown.get("accelerators", "")
    assert ("accelerators" in facts.unknown) is (complaint is not None)
