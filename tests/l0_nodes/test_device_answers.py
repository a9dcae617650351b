"""What tools say of many devices at once: logs in sections, tables, and how several answers become one record."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l0_nodes.accelerator import Accelerator, Ecc, Pcie
from aiops.layers.l0_nodes.accelerator_union import united
from aiops.layers.l0_nodes.device_log import logs
from aiops.layers.l0_nodes.device_table import blocks, rows

HEAD = re.compile(r"DEV ([0-9]+)")
LOG = """\
Driver : 1.2

DEV 0
    Memory
        Total : 5 MiB
    Link
    Speed
        : fast: very
    Parts
        One : 1
            Deeper : 2
        Two : 3
DEV 1
\tMemory
\t\tTotal : 6 MiB
    DEV 2
"""
TABLE = """\
| head: 1 |
+----+----+----+
| 0  A B   Off | 00000000:0A:00.0 Off | 3 |
| N/A 41C P0 7W / 9W | 1MiB / 2MiB | 5% x |
+====+====+====+
| 12 word | nowhere | N/A |
+----+----+----+
| Processes: |
| 0  N/A  77  python |
"""


def test_a_log_is_read_by_its_indentation() -> None:
    before, (first, second) = logs(LOG, HEAD)
    assert before.value("Driver") == "1.2"
    assert first.head == ("0",)
    assert first.entries == [
        (("Memory", "Total"), "5 MiB"),
        (("Speed",), "fast: very"),
        (("Parts", "One"), "1"),
        (("Parts", "Deeper"), "2"),
        (("Parts", "Two"), "3"),
    ]
    assert first.find("Parts", "Three", "Two") == "3"
    assert first.value("Total") == ""
    assert first.below("Parts") == [(("One",), "1"), (("Deeper",), "2"), (("Two",), "3")]
    assert second.entries == [(("Memory", "Total"), "6 MiB")]  # what is indented begins no device


def test_a_table_gives_a_row_per_device_and_no_process() -> None:
    (first, second), unread = rows(TABLE)
    assert not unread
    assert (first.index, first.name, first.bus, first.ecc) == (0, "A B", "0000:0a:00.0", 3)
    assert (first.temperature_c, first.power_w, first.power_cap_w) == (41, 7, 9)
    assert (first.memory_used_mib, first.memory_total_mib, first.utilization, first.last) == (1, 2, 5, ())
    assert (second.index, second.name, second.bus, second.ecc, second.power_w) == (12, "word", None, None, None)
    assert len(blocks(TABLE)) == 2


def test_a_row_that_is_no_device_is_not_dropped_without_a_word() -> None:
    assert rows("| 0\n| 9999999999 | a | b |\n") == ([], ["9999999999 | a | b"])


def test_sources_are_one_device_each_and_fill_gaps_of_earlier_ones() -> None:
    first = Accelerator("x", index=0, bus="0000:01:00.0", model="A", ecc=Ecc(retired=1))
    other = Accelerator("x", index=5, bus="0000:01:00.0", model="B", power_w=3.0, ecc=Ecc(retired=2, enabled=True))
    named = Accelerator("x", index=0, problems=("it is hot",), pcie=Pcie(width=8))
    strange = Accelerator("x", index=0, bus="0000:02:00.0")
    assert united([first], [other], [named]) == (
        Accelerator(
            "x",
            index=0,
            bus="0000:01:00.0",
            model="A",
            power_w=3.0,
            ecc=Ecc(retired=1, enabled=True),
            pcie=Pcie(width=8),
            problems=("it is hot",),
        ),
    )
    assert united([first], [strange]) == (first, strange)
    calm = Accelerator("x", index=0, throttle_reasons=())
    assert united([calm], [Accelerator("x", index=0)]) == (calm,)
    assert united([Accelerator("x")], [named]) == (named, Accelerator("x"))


@given(st.text(alphabet=st.sampled_from(list("|+-= 0:9ACMiBWDEV/%\n\t")), max_size=200))
@settings(max_examples=300)
def test_any_text_is_read(text: str) -> None:
    rows(text)
    logs(text, HEAD)
