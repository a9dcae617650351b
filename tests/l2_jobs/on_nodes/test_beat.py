"""Beats between launchers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.layers.l2_jobs.remote.beat import beat, read

SECRET = b"0123456789abcdef"
BEAT = beat(SECRET, "llama-7", 3, node="gpu01", number=12, over=False)


def test_it_says_who_and_when() -> None:
    assert read(SECRET, BEAT) == {"job": "llama-7", "epoch": 3, "node": "gpu01", "n": 12, "over": False}


@pytest.mark.parametrize("position", range(len(BEAT)))
def test_no_byte_of_it_can_be_changed(position: int) -> None:
    changed = bytearray(BEAT)
    changed[position] ^= 1
    assert read(SECRET, bytes(changed)) is None


def test_another_secret_says_nothing() -> None:
    assert read(b"fedcba9876543210", BEAT) is None


@given(st.binary(max_size=200))
def test_rubbish_is_no_beat(data: bytes) -> None:
    assert read(SECRET, data) is None
