"""What readers make of a record is made once, and what they cannot read is told again and again."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aiops.layers.l0_nodes.answer_reading import UnreadableError, once, said
from aiops.layers.l0_nodes.ask import Answer, Record

RECORD = Record("gpu01", datetime(2026, 11, 21, tzinfo=UTC), {"word": Answer("word", 0, stdout="hello")})


def test_a_reader_is_run_once_for_each_record() -> None:
    ran: list[Record] = []

    def reader(record: Record) -> str:
        ran.append(record)
        return said(record.answer("word"))

    record, other = replace(RECORD), replace(RECORD, answers={"word": Answer("word", 0, stdout="bye")})
    assert [once(record, reader), once(record, reader), once(other, reader)] == ["hello", "hello", "bye"]
    assert len(ran) == 2


def test_what_cannot_be_read_is_not_tried_again() -> None:
    ran: list[Record] = []

    def reader(record: Record) -> int:
        ran.append(record)
        return int(said(record.answer("word")))

    record = replace(RECORD)
    for _ in range(2):
        with pytest.raises(UnreadableError, match="garbled: ValueError"):
            once(record, reader)
    assert len(ran) == 1


def test_what_was_made_of_a_record_is_no_part_of_it() -> None:
    record = replace(RECORD)
    once(record, lambda one: one.node)
    assert record == RECORD
    assert Record.of(record.document()).document() == record.document()
