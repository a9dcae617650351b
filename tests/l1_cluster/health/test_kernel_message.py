"""How kernels of several versions spell what went wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.l1_cluster.health.case import AT, read
from tests.l1_cluster.health.cases.kernel_log import HEALTHY, log
from tests.l1_cluster.health.kernel_lines import ALARMING

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG
from aiops.layers.l1_cluster.health.kernel_message import SPELLINGS, read_messages


def record(answer: Answer) -> Record:
    return Record("gpu01", AT, {**HEALTHY, KERNEL_LOG: answer})


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind, lines in ALARMING.items() for line in lines])
def test_spellings(kind: str, line: str) -> None:
    assert [one.kind for one in read_messages(record(log((60.0, line))))] == [kind]


def test_every_kind_has_a_line_here_or_a_case() -> None:
    elsewhere = {"firmware_error", "firmware_pcie", "pcie_status", "pcie_received", "pcie_contained", "fs_unchecked"}
    assert {one.kind for one in SPELLINGS} == {*ALARMING, *elsewhere}


def test_the_word_of_a_spelling_is_in_whatever_it_fits() -> None:
    for line in (line for lines in ALARMING.values() for line in lines):
        assert {one.word in line for one in SPELLINGS if one.pattern.match(line)} == {True}, line


@settings(deadline=None)
@given(
    st.lists(st.text(max_size=80), max_size=20), st.sampled_from([one for lines in ALARMING.values() for one in lines])
)
def test_garbage_is_unreadable_or_nothing(pieces: list[str], line: str) -> None:
    for text in ("\n".join(pieces), "".join(f"3,1,5,-;{piece}\n" for piece in pieces), line.join(pieces)):
        try:
            read_messages(record(read(KERNEL_LOG, {"/dev/kmsg": text})))
        except UnreadableError:
            continue
