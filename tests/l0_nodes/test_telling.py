"""What several forms of a tool's answer tell together."""

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer
from aiops.layers.l0_nodes.telling import Telling, parse_rows, reading, short_lines, told


def device(index: int, **values: float) -> Accelerator:
    return Accelerator("acme", index=index, **values)  # type: ignore[arg-type]


def parse(text: str, telling: Telling) -> None:
    """One device per line; `#` is a text of another tool."""
    for line in text.splitlines():
        if line.startswith("#"):
            raise UnreadableError("it is another tool's")
        telling.devices.append(device(int(line)))


def test_a_good_answer_tells_its_devices() -> None:
    telling = told(Answer("a", 0, stdout="0\n1\n"), "tool", parse)
    assert [one.index for one in telling.devices] == [0, 1]
    assert telling.trouble is None


def test_a_file_stands_for_the_output() -> None:
    assert told(Answer("a", 0, stdout="done"), "tool", parse, "7").devices == [device(7)]


def test_what_is_no_answer_has_a_reason() -> None:
    reasons = [
        told(answer, "tool", parse).trouble
        for answer in (
            Answer("a", 0),
            Answer("a", 0, stdout="# other"),
            Answer("a", 3, stdout="# usage"),
            Answer("a", seconds=5, timed_out=True),
            Answer("a", missing={"argv": "tool: not found"}),
        )
    ]
    assert reasons == [
        "tool said nothing",
        "tool: it is another tool's",
        "tool exit 3: # usage",
        "tool did not answer in 5 s",
        "tool: not found (the vendor's tools are not installed)",
    ]


def test_a_tool_that_failed_half_way_told_of_some_devices_and_that_counts() -> None:
    half = told(Answer("a", 5, stdout="0\n"), "tool", parse)
    assert half.devices == [device(0)]
    found = reading({"half": half, "whole": told(Answer("b", 0, stdout="0\n1\n"), "tool", parse)})
    assert len(found.accelerators) == 2
    assert found.unknown == {"half": "tool exit 5: 0"}


def test_an_answer_that_was_cut_or_hung_is_told_though_another_came() -> None:
    good = Answer("b", 0, stdout="0")
    for bad in (Answer("a", 0, stdout="0", truncated=True), Answer("a", seconds=5, timed_out=True)):
        found = reading({"bad": told(bad, "tool", parse), "good": told(good, "tool", parse)})
        assert set(found.unknown or {}) == {"bad"}


def test_a_form_that_a_version_does_not_know_is_missed_only_where_nothing_else_came_or_it_is_needed() -> None:
    unknown = Answer("a", 1, stderr="unknown option")
    tellings = {"new": told(unknown, "tool", parse), "old": told(Answer("b", 0, stdout="0"), "tool", parse)}
    assert reading(tellings).unknown == {}
    assert reading(tellings, needed=("new",)).unknown == {"new": "tool exit 1: unknown option"}
    assert reading({"new": tellings["new"]}).unknown == {"new": "tool exit 1: unknown option"}


def test_an_earlier_form_is_believed_and_a_later_one_fills_gaps() -> None:
    first = Telling([device(0, power_w=5.0)], {"0.temperature": "it says `warm`"})
    second = Telling([device(0, power_w=6.0, temperature_c=40.0), device(1)])
    found = reading({"first": first, "second": second})
    assert found.accelerators == (device(0, power_w=5.0, temperature_c=40.0), device(1))
    assert found.unknown == {"0.temperature": "it says `warm`"}


def test_the_same_trouble_is_told_once_and_no_device_is_never_silence() -> None:
    hung = Answer("a", seconds=5, timed_out=True)
    assert reading({name: told(hung, "tool", parse) for name in "ab"}).unknown == {"a": "tool did not answer in 5 s"}
    assert reading({"a": Telling()}).unknown == {"tool": "it named no device"}


def test_a_cell_that_is_absent_is_not_unknown() -> None:
    telling = Telling()
    assert telling.take("power", cell.watts, "5 W") == 5
    assert telling.take("cap", cell.watts, "N/A") is None
    assert telling.unknown == {}
    assert telling.take("heat", cell.celsius, "65535 C") is None
    assert telling.take("name", cell.text, "[Unknown Error]") is None
    telling.unreadable("row 3", " | x |")
    assert telling.unknown == {
        "heat": "it says `65535 C`",
        "name": "it says `[Unknown Error]`",
        "row 3": "this line is not understood: | x |",
    }


def test_lines_without_end_are_cut() -> None:
    assert short_lines("a" * 1000 + "\nb") == "a" * 300 + "\nb"


def test_rows_are_devices_and_a_sentence_between_them_is_told() -> None:
    def parse_csv(text: str, telling: Telling) -> None:
        parse_rows(("index", "bus"), lambda row, _: device(int(row["index"])), text, telling, address="bus")

    telling = told(Answer("a", 0, stdout="0, 3b:00.0\n\n1, in reset\n2\n3, 5e:00.0\n"), "tool", parse_csv)
    assert [one.index for one in telling.devices] == [0, 3]
    assert telling.unknown == {
        "row 0": "this line is not understood: 1, in reset",
        "row 1": "this line is not understood: 2",
    }
    assert told(Answer("a", 0, stdout="no devices\n"), "tool", parse_csv).trouble == "tool: it said: no devices"


def test_a_text_that_was_cut_says_so_beside_what_is_wrong_with_it() -> None:
    cut = told(Answer("a", 0, stdout="# other", truncated=True), "tool", parse)
    assert cut.trouble == "tool: it is another tool's (what it said was cut at its size limit)"
