"""The kernel's log and the age of a boot, read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.l1_cluster.health.case import AT, read
from tests.l1_cluster.health.cases.kernel_log import UP, booted, log

from aiops.layers.l0_nodes.answer_reading import UnreadableError
from aiops.layers.l0_nodes.ask import Answer, Record
from aiops.layers.l1_cluster.health.kernel_log import KERNEL_LOG, UPTIME, read_age, read_kernel_log, read_uptime


def record(*answers: Answer) -> Record:
    return Record("n1", AT, {one.name: one for one in answers})


def test_lines_with_their_level_and_age() -> None:
    text = (
        "6,1,0,-;Linux version 6.1\n3,339,5140900,-;NVRM: Xid (PCI:0000:3a:00): 79; gone\n SUBSYSTEM=pci\n DEVICE=x\n"
    )
    lines = read_kernel_log(record(read(KERNEL_LOG, {"/dev/kmsg": text}), booted()))
    assert [(one.level, one.text) for one in lines] == [
        (6, "Linux version 6.1"),
        (3, "NVRM: Xid (PCI:0000:3a:00): 79; gone"),
    ]
    assert lines[1].seconds == 5.1409
    assert lines[1].ago == pytest.approx(UP - 5.1409)


def test_a_level_with_a_facility() -> None:
    text = "30,2,1000000,-;systemd[1]: hello\n"
    (line,) = read_kernel_log(record(read(KERNEL_LOG, {"/dev/kmsg": text}), booted()))
    assert line.level == 6


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30), max_size=6))
def test_one_line_is_one_message_whatever_is_in_it(texts: list[str]) -> None:
    text = "".join(f"6,{number},{number}000000,-,caller=T1;{one}\n" for number, one in enumerate(texts))
    told = record(read(KERNEL_LOG, {"/dev/kmsg": "begun in the middle; 5,1,2,-;\n" + text}), booted())
    if not texts:
        with pytest.raises(UnreadableError):
            read_kernel_log(told)
        return
    assert [(one.seconds, one.text) for one in read_kernel_log(told)] == [
        (float(n), one) for n, one in enumerate(texts)
    ]


def test_a_container_is_younger_than_its_machine() -> None:
    young = record(booted(120.0))
    assert read_uptime(young) == UP
    assert read_age(young) == pytest.approx(120.0, abs=0.1)


@pytest.mark.parametrize(
    "answer",
    [
        read(KERNEL_LOG, {}),
        read(KERNEL_LOG, {"/dev/kmsg": ""}),
        read(KERNEL_LOG, {"/dev/kmsg": "[ 1.0] no record\n"}),
        Answer(KERNEL_LOG, missing={"/dev/kmsg": "Operation not permitted"}),
    ],
)
def test_what_is_no_log_is_unknown(answer: Answer) -> None:
    with pytest.raises(UnreadableError):
        read_kernel_log(record(answer, booted()))


def test_garbage_of_uptime_is_no_number() -> None:
    with pytest.raises((UnreadableError, ValueError)):
        read_uptime(record(read(UPTIME, {"/proc/uptime": "soon\n"})))


@given(st.text(max_size=400))
def test_garbage_is_never_another_error(text: str) -> None:
    try:
        lines = read_kernel_log(record(read(KERNEL_LOG, {"/dev/kmsg": text}), booted()))
    except UnreadableError:
        return
    assert all(0 <= one.level <= 7 for one in lines)


def test_the_log_of_the_cases() -> None:
    lines = read_kernel_log(record(log((10.0, "bad")), booted()))
    assert (lines[-1].text, lines[-1].level) == ("bad", 3)
    assert lines[-1].ago == pytest.approx(10.0)
