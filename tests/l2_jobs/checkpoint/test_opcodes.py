"""The reader of pickles: it gives what a pickle would, calls nothing, and bad bytes end in an error of its own."""

import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l2_jobs.checkpoint.remote import archive, opcodes, tensors, values
from aiops.layers.l2_jobs.checkpoint.remote.archive import DamageError, ForeignError
from aiops.layers.l2_jobs.checkpoint.remote.opcodes import PickleError
from aiops.layers.l2_jobs.checkpoint.remote.values import Made, Name, Table

from .saves import files_of

# Node-side code has no types.
torch_file: Any = archive.torch_file
safetensors_file: Any = tensors.safetensors_file
load: Any = opcodes.load
member: Any = values.member
class_of: Any = values.class_of

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


def plain(value: Any) -> Any:
    """What was read, as the value it stands for."""
    if isinstance(value, Table):
        return {key: plain(one) for key, one in value.pairs}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, tuple):
        return tuple(plain(one) for one in value)
    return value


@given(value=PLAIN, protocol=st.integers(3, 5))
def test_plain_values_are_read_as_they_were_written(value: Any, protocol: int) -> None:
    text = pickle.dumps(value, protocol)
    found, end = load(text)
    assert (plain(found), end) == (value, len(text))


@given(
    value=st.recursive(st.none() | st.booleans() | st.integers(), lambda one: st.lists(one, max_size=3)),
    protocol=st.integers(0, 2),
)
def test_older_protocols_are_read_too(value: Any, protocol: int) -> None:
    assert plain(load(pickle.dumps(value, protocol))[0]) == value


class Touch:
    """What would run when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_called(tmp_path: Path, protocol: int) -> None:
    found, _ = load(pickle.dumps({"a": Touch(tmp_path / "ran")}, protocol))
    made = member(found, "a")
    assert isinstance(made, Made)
    assert isinstance(made.maker, Name)
    assert class_of(made) == "posix.system"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("protocol", range(6))
def test_objects_are_read_by_their_attributes(protocol: int) -> None:
    found, _ = load(pickle.dumps(OrderedDict(step=7, nested={"rate": 0.5}), protocol))
    assert (member(found, "step"), member(member(found, "nested"), "rate")) == (7, 0.5)


@settings(max_examples=300)
@given(data=st.binary(max_size=200))
def test_any_bytes_end_in_a_value_or_an_error_of_its_own(data: bytes) -> None:
    try:
        load(data)
    except PickleError:
        return


@settings(max_examples=200)
@given(value=PLAIN, cut=st.integers(0, 200), at=st.integers(0, 200), bit=st.integers(0, 7))
def test_spoilt_pickles_end_in_a_value_or_an_error_of_its_own(value: Any, cut: int, at: int, bit: int) -> None:
    text = bytearray(pickle.dumps(value, 4))
    text[at % len(text)] ^= 1 << bit
    for spoilt in (bytes(text), pickle.dumps(value, 4)[: cut % len(text)]):
        try:
            load(spoilt)
        except PickleError:
            continue


def test_what_reaches_outside_is_refused() -> None:
    for text in (b"\x80\x02\x82\x01.", b"\x80\x05\x97.", b"\x80\x02h\x07.", b""):
        with pytest.raises(PickleError):
            load(text)


def test_lengths_that_lie_ask_for_no_memory() -> None:
    for text in (b"\x8e" + struct.pack("<Q", 1 << 62) + b"x.", b"B\xff\xff\xff\xffx.", b"T\xff\xff\xff\xff."):
        with pytest.raises(PickleError):
            load(text)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_spoilt_archives_end_in_facts_or_an_error_of_their_own(data: st.DataObject) -> None:
    content = bytearray(files_of(data.draw(st.sampled_from(["torch", "torch-stream"])))["step_20.pt"])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        torch_file(io.BytesIO(content), len(content), ("step",), data.draw(st.booleans()))
    except (DamageError, ForeignError):
        return


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_spoilt_safetensors_end_in_facts_or_an_error_of_their_own(data: st.DataObject) -> None:
    content = bytearray(files_of("safetensors")["step_20.safetensors"])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        safetensors_file(io.BytesIO(content), len(content))
    except DamageError:
        return


def test_a_bit_in_the_memory_of_a_tensor_is_told_by_its_checksum() -> None:
    content = bytearray(files_of("torch")["step_20.pt"])
    assert torch_file(io.BytesIO(content), len(content), ("step",), checksums=True)["keys"] == {"step": 20}
    at = content.index(b"\x00\x00\x80?")
    content[at] ^= 1
    with pytest.raises(DamageError, match="its checksum is another"):
        torch_file(io.BytesIO(content), len(content), (), checksums=True)
    assert torch_file(io.BytesIO(content), len(content), (), checksums=False)


def test_without_checksums_none_is_compared() -> None:
    content = files_of("torch-without-sums")["step_20.pt"]
    assert torch_file(io.BytesIO(content), len(content), (), checksums=True)["name"] == "step_20"
