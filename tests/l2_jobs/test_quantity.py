"""Spans of time and amounts of memory."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l2_jobs.quantity import bytes_of, memory, seconds_of, span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("1h 30m", 5400), ("1.5h", 5400), ("7d", 604_800), ("2w", 1_209_600), (" 0s ", 0)],
)
def test_a_span(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "h", "1h1h", "-1s", "1 hour", "1e3s", "200000000000d", "9999999w", "\uff11s", "1s\n2"]
)
def test_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="span of time"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("64 GiB", 64 * 2**30),
        ("64GiB", 64 * 2**30),
        ("64 GB", 64 * 10**9),
        ("1.5 TiB", 3 * 2**39),
        ("10 kB", 10_000),
        ("24G", 24 * 2**30),
        ("512 M", 2**29),
        ("1.5T", 3 * 2**39),
    ],
)
def test_an_amount(text: str, count: int) -> None:
    assert bytes_of(text) == count


@pytest.mark.parametrize("text", ["", "64", "64g", "64Gi", "64 gib", "GiB", "-1 GiB", "1 GiB 2"])
def test_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="memory is written"):
        bytes_of(text)


@given(st.integers(0, 10**9))
def test_a_span_in_words_reads_back(seconds: int) -> None:
    assert seconds_of(span(seconds)) == seconds


@given(st.integers(1, 1023), st.sampled_from("KMGTP"))
def test_memory_in_words_reads_back(count: int, letter: str) -> None:
    assert bytes_of(memory(bytes_of(f"{count} {letter}iB"))) == bytes_of(f"{count} {letter}iB")


def test_what_has_no_end() -> None:
    assert (span(inf), span(0.5), memory(5)) == ("never", "0.5s", "5 B")
