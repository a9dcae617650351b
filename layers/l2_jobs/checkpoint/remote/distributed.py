"""torch.distributed.checkpoint: one `.metadata`, a pickle, and the files that it refers to by offset and length.

Layout: torch/distributed/checkpoint/metadata.py and filesystem.py (`_StorageInfo`, `_write_item`). An item is what
torch.save writes of one tensor or object, unless the writer was told to transform it.
"""

from .archive import DamageError, torch_file
from .opcodes import PickleError, load
from .values import class_of, member, pairs_of

LARGEST = 1 << 30  # bytes of a .metadata


class Item(object):
    """What .metadata says of one piece."""

    __slots__ = ("at", "length", "name", "offset", "transformed")

    def __init__(self, name, offset, at, length, transformed):
        self.name = name
        self.offset = offset
        self.at = at
        self.length = length
        self.transformed = transformed


def read_metadata(stream, size):
    """The items by file, and how many tensors and objects there are.

    Raises:
        DamageError: It is no `.metadata`, not whole, or its parts contradict each other.
    """
    if size == 0:
        raise DamageError("is 0 bytes")
    if size > LARGEST:
        raise DamageError("is larger than any that we can read")
    try:
        value, _ = load(stream.read(size))
    except PickleError as error:
        raise DamageError(str(error)) from None
    if not class_of(value).endswith("Metadata"):
        raise DamageError("is no metadata of torch.distributed.checkpoint")
    files, pieces = {}, set()
    for index, info in pairs_of(member(value, "storage_data")):
        path, at, length = (member(info, key) for key in ("relative_path", "offset", "length"))
        if not isinstance(path, str) or not is_inside(path) or not is_number(at) or not is_number(length):
            raise DamageError("does not tell where a piece of it is")
        name, offset = member(index, "fqn"), numbers_of(member(index, "offset"))
        files.setdefault(path, []).append(Item(name, offset, at, length, bool(member(info, "transform_descriptors"))))
        pieces.add((name, offset))
    wanted = pairs_of(member(value, "state_dict_metadata"))
    if not wanted or not files:
        raise DamageError("speaks of no tensor")
    check_pieces(wanted, pieces)
    return files, len(wanted)


def check_pieces(wanted, pieces):
    """Whether every part of every tensor, and every object, is somewhere.

    Raises:
        DamageError: One is not.
    """
    objects = {name for name, offset in pieces if offset is None}
    for name, one in wanted:
        chunks = member(one, "chunks")
        if not isinstance(chunks, list):
            if name not in objects:
                raise DamageError("does not tell where %s is" % name)
            continue
        for chunk in chunks:
            if (name, numbers_of(member(chunk, "offsets"))) not in pieces:
                raise DamageError("does not tell where a part of %s is" % name)


def is_inside(path: str) -> bool:
    """Whether a path stays in its folder."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/") and "\0" not in path


def is_number(value: object) -> bool:
    """Whether it is a whole number, and none below 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def numbers_of(value):
    """The numbers of a torch.Size; None where there is none."""
    arguments = getattr(value, "arguments", None)
    if isinstance(arguments, tuple) and len(arguments) == 1:
        value = arguments[0]
    if isinstance(value, (tuple, list)) and all(isinstance(one, int) for one in value):
        return tuple(value)
    return None


def check_items(stream, size, items, checksums):
    """Hold the items of one file against it.

    Raises:
        DamageError: It is too short, or an item is not whole.
    """
    needed = max(one.at + one.length for one in items)
    if size < needed:
        raise DamageError("has %d bytes; .metadata speaks of %d" % (size, needed) if size else "is 0 bytes")
    for one in items:
        if one.transformed:
            continue
        stream.seek(one.at)
        begins = stream.read(min(4, one.length))
        if begins == b"PK\x03\x04":
            try:
                torch_file(stream, one.length, (), checksums, start=one.at)
            except DamageError as error:
                raise DamageError("at %s: the part %s" % (one.name, error)) from None
        elif not begins.strip(b"\0"):
            raise DamageError("has nothing but zeros where %s should be" % one.name)


def needs(files):
    """By file, the bytes that it must have."""
    return {path: max(one.at + one.length for one in items) for path, items in files.items()}
