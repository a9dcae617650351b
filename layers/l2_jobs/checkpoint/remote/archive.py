"""What torch.save writes: an archive (zip) of one pickle and the memory of tensors, or before torch 1.6 one stream.

The zip is read by hand: only what is stored or deflated, with every length held against the file and, if wanted, every
checksum. Layout: APPNOTE.TXT 6.3.9 (PKWARE), 4.3 to 4.5. The older stream: torch/serialization.py, `_legacy_save`.
"""

import struct
import zlib

from .opcodes import PickleError, load
from .values import Name, member, references

CHUNK = 1 << 20
WHOLE = 1 << 22  # bytes of an archive that are read at once
LONGEST_COMMENT = 65535
LOCATOR = 20  # bytes in front of the end that tell where the end of a large archive is
ELSEWHERE = 0xFFFFFFFF  # a value that stands in the extra field, since it needs 64 bits
DEFLATED = 8
LONGEST_PICKLE = 1 << 30
PICKLE = "data.pkl"
STREAM = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the older stream's magic number, pickled
STORAGE_FIELDS = 5  # "storage", its class, its key, where it was, how many elements
WIDTHS = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8, "UntypedStorage": 1,
}  # fmt: skip


class DamageError(ValueError):
    """The file is not whole; the words stand behind its path."""


class ForeignError(ValueError):
    """The file was never what it is taken for: no save that was cut off begins like it."""


class Part(object):
    """Some bytes of an open file, as if they were a file."""

    def __init__(self, stream, start, size):
        self.stream = stream
        self.start = start
        self.size = size
        self.whole = None
        if size <= WHOLE:
            stream.seek(start)
            self.whole = stream.read(size)

    def read(self, at, size):
        """Exactly `size` bytes from `at` on."""
        if at < 0 or size < 0 or at + size > self.size:
            raise DamageError("is cut off or damaged: it refers beyond its end")
        if self.whole is not None:
            found = self.whole[at : at + size]
        else:
            self.stream.seek(self.start + at)
            found = self.stream.read(size)
        if len(found) != size:
            raise DamageError("became shorter while it was read")
        return found


class Member(object):
    """One file in an archive."""

    def __init__(self, name, method, checksum, packed, size, at):  # noqa: PLR0917 - as they stand in the list
        self.name = name
        self.method = method
        self.checksum = checksum
        self.packed = packed
        self.size = size
        self.at = at  # of its local header


def members(part):
    """The members of an archive, by name.

    Raises:
        DamageError: It is not whole.
    """
    count, size, at = directory(part)
    data, found, here = part.read(at, size), {}, 0
    for _ in range(count):
        if data[here : here + 4] != b"PK\x01\x02" or here + 46 > len(data):
            raise DamageError("has a damaged list of its parts")
        flags, method = struct.unpack("<HH", data[here + 8 : here + 12])
        checksum, packed, length, name_size, extra_size, note_size = struct.unpack(
            "<IIIHHH", data[here + 16 : here + 34]
        )
        offset = struct.unpack("<I", data[here + 42 : here + 46])[0]
        name_end = here + 46 + name_size
        name = data[here + 46 : name_end].decode("utf-8", "replace")
        length, packed, offset = large(data[name_end : name_end + extra_size], length, packed, offset)
        if flags & 1 or method not in (0, DEFLATED):
            raise DamageError("has a part that is encrypted or packed in an unknown way")
        if name in found:
            raise DamageError("has two parts of the same name")
        found[name] = Member(name, method, checksum, packed, length, offset)
        here = name_end + extra_size + note_size
    if here != len(data):
        raise DamageError("has a damaged list of its parts")
    return found


def directory(part):
    """How many members there are, how long their list is and where it begins."""
    tail_size = min(part.size, 22 + LONGEST_COMMENT if part.whole is not None else 22 + 1024)
    tail = part.read(part.size - tail_size, tail_size)
    place = tail.rfind(b"PK\x05\x06")
    while place >= 0:
        if place + 22 <= len(tail) and place + 22 + struct.unpack("<H", tail[place + 20 : place + 22])[0] == len(tail):
            break
        place = tail.rfind(b"PK\x05\x06", 0, place + 3) if place else -1
    if place < 0:
        raise DamageError("is cut off: an archive without its end")
    end = part.size - tail_size + place
    count, size, at = struct.unpack("<HII", tail[place + 10 : place + 20])
    if end >= LOCATOR and part.read(end - LOCATOR, 4) == b"PK\x06\x07":
        end = struct.unpack("<Q", part.read(end - 12, 8))[0]
        record = part.read(end, 56)
        if record[:4] != b"PK\x06\x06":
            raise DamageError("has a damaged end")
        count, size, at = struct.unpack("<QQQ", record[32:56])
    if at + size != end:
        raise DamageError("is damaged: bytes are missing or added before its end")
    return count, size, at


def large(extra, size, packed, offset):
    """The three values with those in their place that need 64 bits."""
    here = 0
    while here + 4 <= len(extra):
        kind, length = struct.unpack("<HH", extra[here : here + 4])
        if kind == 1:
            values = list(struct.unpack("<%dQ" % (length // 8), extra[here + 4 : here + 4 + length // 8 * 8]))
            size = values.pop(0) if size == ELSEWHERE and values else size
            packed = values.pop(0) if packed == ELSEWHERE and values else packed
            offset = values.pop(0) if offset == ELSEWHERE and values else offset
            break
        here += 4 + length
    return size, packed, offset


def beginning(part, one):
    """Where the bytes of a member begin.

    Raises:
        DamageError: Its own header is not where the list says.
    """
    head = part.read(one.at, 30)
    name_size, extra_size = struct.unpack("<HH", head[26:30])
    if head[:4] != b"PK\x03\x04" or part.read(one.at + 30, name_size) != one.name.encode("utf-8"):
        raise DamageError("is damaged where %s begins" % one.name)
    start = one.at + 30 + name_size + extra_size
    if start + one.packed > part.size or (one.method == 0 and one.packed != one.size):
        raise DamageError("is cut off in %s" % one.name)
    return start


def check_sum(part, one, start):
    """Compare the checksum of a member.

    Raises:
        DamageError: It is another.
    """
    unpack = zlib.decompressobj(-15) if one.method == DEFLATED else None
    total, length, done = 0, 0, 0
    while done < one.packed:
        piece = part.read(start + done, min(CHUNK, one.packed - done))
        done += len(piece)
        if unpack is not None:
            try:
                piece = unpack.decompress(piece)
            except zlib.error:
                raise DamageError("is damaged in %s" % one.name) from None
        total = zlib.crc32(piece, total)
        length += len(piece)
    if length != one.size or total != one.checksum:
        raise DamageError("is damaged in %s: its checksum is another" % one.name)


def torch_file(stream, size, keys, checksums, start=0):
    """Facts of what torch.save has written.

    Args:
        stream: The open file, unbuffered or not.
        size: Bytes that belong to it.
        keys: Which values of its pickle are wanted: `global_step`, `args.world_size`.
        checksums: Whether all is read to compare checksums.
        start: Where it begins.

    Raises:
        DamageError: It is not whole.
        ForeignError: It is nothing that torch.save writes.
    """
    if size == 0:
        raise DamageError("is 0 bytes")
    part = Part(stream, start, size)
    begins = part.read(0, min(size, len(STREAM)))
    if begins == STREAM:
        return stream_facts(part, keys)
    if begins[:4] != b"PK\x03\x04":
        if not begins.strip(b"\0"):
            raise DamageError("has nothing but zeros where it begins")
        if b"PK\x03\x04".startswith(begins) or STREAM.startswith(begins):
            raise DamageError("is cut off where it begins")
        raise ForeignError("is nothing that torch.save writes")
    found = members(part)
    name = next((one for one in found if one == PICKLE or one.endswith("/" + PICKLE)), None)
    if name is None:
        raise DamageError("has no %s in it" % PICKLE)
    compare = checksums and not is_without_sums(found)
    for one in found.values():
        begins_at = beginning(part, one)
        if compare:
            check_sum(part, one, begins_at)
    one = found[name]
    if one.method != 0 or one.size > LONGEST_PICKLE:
        return {"name": name.rpartition("/")[0]}
    return pickle_facts(part.read(beginning(part, one), one.size), found, name[: -len(PICKLE)], keys)


def pickle_facts(data, found, head, keys):
    """Facts of the pickle in an archive, held against the memory of tensors beside it.

    Raises:
        DamageError: It is none, or memory is missing or too short.
    """
    try:
        value, _ = load(data)
    except PickleError as error:
        raise DamageError("has a pickle in it that %s" % error) from None
    for key, width, count in storages(value):
        memory = found.get("%sdata/%s" % (head, key))
        if memory is None:
            raise DamageError("lacks data/%s, the memory of a tensor" % key)
        if memory.size < width * count:
            raise DamageError("has %d bytes in data/%s where a tensor needs %d" % (memory.size, key, width * count))
    return {"name": head.rstrip("/"), "keys": wanted(value, keys)}


def is_without_sums(found):
    """Whether it was written after torch.serialization.set_crc32_options(False): all checksums are 0 then."""
    return all(one.checksum == 0 for one in found.values())


def storages(value):
    """Key, bytes of an element and number of elements of each tensor's memory that a pickle refers to."""
    for one in references(value):
        if (
            not isinstance(one, tuple)
            or len(one) < STORAGE_FIELDS
            or one[0] != "storage"
            or not isinstance(one[1], Name)
        ):
            continue
        width = WIDTHS.get(one[1].name)
        if width is not None and isinstance(one[4], int):
            yield str(one[2]), width, one[4]


def wanted(value, keys):
    """Those of the values at the top that are wanted and plain."""
    found = {}
    for key in keys:
        one = value
        for name in key.split("."):
            one = member(one, name)
        if isinstance(one, (str, int, float, bool)):
            found[key] = one
    return found


def stream_facts(part, keys):
    """Facts of what torch.save wrote before 1.6, and writes with _use_new_zipfile_serialization=False."""
    if part.size > LONGEST_PICKLE:
        return {}
    data = part.read(0, part.size)
    try:
        at = 0
        for _ in range(3):  # magic number, version, machine
            _, at = load(data, at)
        value, at = load(data, at)
        order, at = load(data, at)
    except PickleError as error:
        raise DamageError("has a pickle in it that %s" % error) from None
    widths = {key: width for key, width, _ in storages(value)}
    for key in order if isinstance(order, list) else ():
        count = struct.unpack("<q", part.read(at, 8))[0]
        at += 8 + count * widths.get(str(key), 1)
        if count < 0 or at > part.size:
            raise DamageError("is cut off in the memory of its tensors")
    return {"keys": wanted(value, keys)}
