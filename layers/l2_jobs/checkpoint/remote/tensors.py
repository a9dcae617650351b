"""safetensors: 8 bytes of length, a JSON header, then the tensors without gaps.

Layout and limits: docs of safetensors, `format`; safetensors/src/tensor.rs (`Metadata::validate`, MAX_HEADER_SIZE).
"""

import json
import struct

from .archive import DamageError

FIRST = 8
LONGEST_HEADER = 100 * 1000 * 1000
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
    "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def safetensors_file(stream, size):
    """The names of the tensors in a file.

    Raises:
        DamageError: It is not whole.
    """
    if size < FIRST:
        raise DamageError("is 0 bytes" if size == 0 else "is cut off in its first 8 bytes")
    length = struct.unpack("<Q", stream.read(FIRST))[0]
    if length > LONGEST_HEADER:
        raise DamageError("is nothing that safetensors writes: its header would be %d bytes" % length)
    if length + FIRST > size:
        raise DamageError("is cut off in its header")
    try:
        header = json.loads(stream.read(length).decode("utf-8"))
        header.pop("__metadata__", None)
        spans = {name: span_of(one) for name, one in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamageError("has a damaged header") from None
    at = 0
    for begin, end, needed in sorted(spans.values()):
        if begin != at or end < begin or needed not in (None, (end - begin) * 8):
            raise DamageError("has a damaged header: its tensors overlap, leave gaps or are of other lengths")
        at = end
    if FIRST + length + at != size:
        raise DamageError("has %d bytes; its header speaks of %d" % (size, FIRST + length + at))
    return {"tensors": sorted(header)}


def span_of(one):
    """Where a tensor begins and ends, and the bits that its shape needs; None where its kind is not known to us."""
    begin, end = one["data_offsets"]
    bits = BITS.get(one["dtype"])
    for side in one["shape"]:
        bits = None if bits is None else bits * side
    return begin, end, bits
