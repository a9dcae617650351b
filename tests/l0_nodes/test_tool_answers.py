"""What vendors' tools say: one cell, one JSON document among warnings, and how the tool ended."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.answer_document import Branch, at, document, entries, leaf
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.trouble import trouble


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *[("33 C", 33), ("33C", 33), ("33℃", 33), ("41 ℃", 41), ("41.5 °C", 41.5), ("70.06 W", 70.06), ("98%", 98)],
        *[("-3", -3), ("0", 0), ("0.5 %", 0.5)],
        *[("N/A", None), ("", None), ("-", None), ("1e9", None), ("nan", None), ("inf", None), ("1_000", None)],
        *[("9" * 5000, None), ("²", None), ("٣", None), ("0x1F", None), ("12V34", None), ("[N/A]", None)],
    ],
)
def test_numbers(value: str, number: float | None) -> None:
    assert cell.number(value) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *[("16x", 16), ("81559 MiB", 81559), ("81559MiB", 81559), ("3", 3), ("98%", 98)],
        *[("-1", None), ("1.5", None), ("0x1F", None), ("", None), ("²", None), ("9" * 19, None)],
    ],
)
def test_whole_numbers(value: str, number: int | None) -> None:
    assert cell.whole(value) == number


@pytest.mark.parametrize(
    ("value", "unit", "mebibytes"),
    [
        *[("81559 MiB", "MiB", 81559), ("196592 MB", "MiB", 196592), ("64 GB", "MiB", 65536), ("64GiB", "MiB", 65536)],
        *[("17163091968", "B", 16368), ("65520", "MiB", 65520), ("67092480", "KB", 65520), ("96.5 GB", "MiB", 98816)],
        *[("17163091968 B", "MiB", 16368), ("0", "B", 0), ("5", "apples", None), ("5 apples", "MiB", None)],
        *[("N/A", "B", None), ("-5", "MiB", None), ("", "MiB", None)],
    ],
)
def test_memory(value: str, unit: str, mebibytes: int | None) -> None:
    assert cell.mebibytes(value, unit) == mebibytes


@pytest.mark.parametrize(
    ("value", "bus"),
    [
        *[("00000000:3B:00.0", "0000:3b:00.0"), ("0000:c1:00.0", "0000:c1:00.0"), ("3B:00.0", "0000:3b:00.0")],
        *[("0000000F:01:00.0", "000f:01:00.0"), ("0000:06:00.0 --> SN: 12", "0000:06:00.0")],
        *[("NA", None), ("N/A", None), ("", None), ("0000:3b", None), ("x:3b:00.0", None), ("1:2:3", None)],
    ],
)
def test_bus_addresses(value: str, bus: str | None) -> None:
    assert cell.bus(value) == bus


@pytest.mark.parametrize(
    ("value", "generation"),
    [("32 GT/s", 5), ("16.0 GT/s PCIe", 4), ("2.5 GT/s", 1), ("64", 6), ("7 GT/s", None), ("N/A", None), ("", None)],
)
def test_generations_of_the_bus(value: str, generation: int | None) -> None:
    assert cell.generation(value) == generation


def test_values_that_no_device_can_have_are_none() -> None:
    told = ("41 C", "65535", "32767 C", "-274")
    assert [cell.celsius(value) for value in told] == [41, None, None, None]
    assert [cell.watts(value) for value in ("700.5 W", "-1", "4294967295")] == [700.5, None, None]
    assert [cell.percent(value) for value in ("100 %", "101", "-1", "N/A")] == [100, None, None, None]


def test_words_and_flags() -> None:
    assert [cell.text(value) for value in (" H100 ", "N/A", "[Unknown Error]", "GPU is lost", "-", "N/A (part)")] == [
        "H100",
        *[None] * 5,
    ]
    assert [cell.flag(value) for value in ("Enabled", "no", "2", "N/A")] == [True, False, None, None]


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_a_cell_is_a_finite_value_or_none(value: str) -> None:
    number = cell.number(value)
    assert number is None or math.isfinite(number)
    for read in (cell.text, cell.whole, cell.flag, cell.bus, cell.generation, cell.mebibytes):
        read(value)


WARNED = "WARNING: User is missing the following required groups: render\n[WARN] 2 GPUs are in low power\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        (WARNED + '[{"gpu": 0},\n{"gpu": 1}]\n', [{"gpu": 0}, {"gpu": 1}]),
        (WARNED + '[\n  {"gpu": 0}\n]\nWARNING: done', [{"gpu": 0}]),
        ("  {\r\n}", {}),
        ("[]", []),
    ],
)
def test_a_document_among_warnings(text: str, found: object) -> None:
    assert document(text) == found


@pytest.mark.parametrize(
    "text",
    [
        *["", WARNED, "<html>{}</html>", '{"a": 1', '{"a": NaN}', '{"a": ' + "9" * 5000 + "}", "[" * 100_000],
        '[\n  {"gpu": 0},\n  {"gpu": 1',  # the whole first part is not the document
    ],
)
def test_no_document(text: str) -> None:
    with pytest.raises(UnreadableError):
        document(text)


@given(st.text(max_size=200) | st.text(alphabet='[]{}",:0 \n', max_size=200))
@settings(max_examples=300, deadline=None)
def test_garbage_is_a_document_or_unreadable(text: str) -> None:
    try:
        leaf(document(text))
    except UnreadableError:
        return


def test_leaves() -> None:
    values: tuple[object, ...] = (
        {"value": 133, "unit": "W"},
        {"value": "N/A", "unit": "W"},
        {"value": 7},
        " x ",
        45.0,
        3,
        None,
        [1],
    )
    assert [leaf(value) for value in values] == ["133 W", "N/A", "7", "x", "45.0", "3", "", ""]
    assert cell.number(leaf({"value": "N/A", "unit": "W"})) is None
    assert cell.number(leaf(float("inf"))) is None
    assert at({"a": {"b": 1}}, "a", "b") == 1
    assert at({"a": [1]}, "a", "b") is None


def test_a_branch_takes_the_first_path_and_tells_of_what_is_garbled() -> None:
    unknown: dict[str, str] = {}
    branch = Branch({"a": {"new": "N/A", "old": "5 W"}, "b": "warm", "c": "N/A"}, "3", unknown)
    assert branch.take(cell.watts, "a.new", "a.old") == 5
    assert branch.take(cell.watts, "a.gone", "c") is None
    assert unknown == {}
    assert branch.take(cell.celsius, "c", "b") is None
    assert unknown == {"3.b": "it says `warm`"}


def test_entries() -> None:
    assert entries([{"gpu": 0}, 7, {"gpu": 1}]) == [{"gpu": 0}, {"gpu": 1}]
    assert entries({"gpu_data": [{"gpu": 0}]}, "gpu_data") == [{"gpu": 0}]
    assert [entries(found, "gpu_data") for found in ({"gpu_data": 3}, {}, "text", None)] == [[]] * 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer("x", 0, stdout="fine"), None),
        (Answer("x", timed_out=True, seconds=10.2), "acme-smi did not answer in 10 s"),
        (Answer("x", missing={"argv": "a: not found"}), "a: not found (the vendor's tools are not installed)"),
        (Answer("x", missing={"argv": "not asked"}), "not asked"),
        (Answer("x"), "acme-smi did not run"),
        (Answer("x", 3, stderr="\n boom\nagain"), "acme-smi exit 3: it burns: boom"),
        (Answer("x", 4, stdout="out"), "acme-smi exit 4: out"),
    ],
)  # fmt: skip
def test_how_a_tool_ended(answer: Answer, reason: str | None) -> None:
    assert trouble(answer, "acme-smi", {3: "it burns"}) == reason
