"""Makes a folder on a node hold exactly the files of a list, sending only what the node has not.

Standard library only, Python 3.6, imports nothing of ours but `content`. The text of both is sent to `python3 -` with
one call behind it: of `lacking`, which says what must be sent; then, with each parcel of that, of `take`, which unpacks
it at once; and last of `fill`. Everything is put together beside the folder, compared with the list byte by byte, and
takes the old one's place in one step; a run that was cut off leaves the old folder or the new one, and what it has
brought, be it half of a file, is not sent again.
"""

import base64
import ctypes
import json
import os
import re
import shutil
import sys
import tarfile
import zlib
from typing import IO, Callable, Dict, Iterable, List, Mapping, Set

from .content import RECORDS, files_under, record, sha256_of

INCOMING = "incoming"
"""The folder beside the one to be filled, where the new one is put together."""
PARCEL = "parcel.tar"
"""What was sent, in that folder: a tar of files, or pieces of them, see `member_name`."""
SENT = "sent"
"""The folder in it for what has come: files named by their digests, and a `DIGEST.part` for what has come in part."""
PART = ".part"

_BLOCK = 1 << 20
_MEMBER = re.compile(r"([0-9a-f]{64})[.]([0-9]{1,15})[.]([0-9]{1,15})")
_AT_FDCWD = -100
_EXCHANGE = 2


class RefusedError(Exception):
    """What was sent is not what the list names."""


def pack_digests(digests: Mapping[str, str]) -> str:
    """A list (SHA-256 in hex by relative path) as short ASCII text; equal lists give equal text."""
    text = json.dumps(dict(digests), sort_keys=True)
    return base64.b85encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")


def unpack_digests(packed: str) -> Dict[str, str]:
    """What `pack_digests` was given."""
    return dict(json.loads(zlib.decompress(base64.b85decode(packed)).decode("ascii")))


def member_name(digest: str, offset: int, size: int) -> str:
    """A member of a parcel: what follows byte `offset` of the file with this digest, which has `size` bytes."""
    return "%s.%d.%d" % (digest, offset, size)


def lacking(folder: str, packed: str) -> None:
    """Print what is neither in `folder` nor left here by a run that was cut off; make room.

    Each line is the digest of a file and how many bytes of it have come.
    """
    wanted = set(unpack_digests(packed).values())
    os.umask(0o022)
    os.makedirs(incoming_of(folder), mode=0o755, exist_ok=True)
    forget(os.path.join(incoming_of(folder), PARCEL))
    known = present((folder, incoming_of(folder)), wanted)
    sent = os.path.join(incoming_of(folder), SENT)
    for digest in sorted(wanted - set(known)):
        part = os.path.join(sent, digest + PART)
        sys.stdout.write("%s %d\n" % (digest, os.path.getsize(part) if os.path.isfile(part) else 0))


def take(folder: str) -> None:
    """Unpack the parcel that has come for `folder`; end with 1 where it is not what it should be."""
    os.umask(0o022)
    incoming = incoming_of(folder)
    _told(folder, lambda: unpack(os.path.join(incoming, PARCEL), os.path.join(incoming, SENT)))


def fill(folder: str, packed: str, records: str = RECORDS) -> None:
    """Make `folder` hold exactly the files of the list; end with 1, and change nothing, when that cannot be.

    Args:
        folder: The folder; whatever is in it and not in the list goes.
        packed: The list, from `pack_digests`.
        records: Where it is written down what is in the folder then.
    """

    def work() -> None:
        digests = unpack_digests(packed)
        new = assemble(folder, digests)
        sync(new)
        switch(new, folder)
        try:
            record(folder, digests, records)
        except OSError:
            pass  # then every look reads it all
        shutil.rmtree(incoming_of(folder))

    os.umask(0o022)
    _told(folder, work)


def _told(folder: str, work: Callable[[], object]) -> None:
    """Do it; say in one line why it cannot be done, and end with 1."""
    try:
        work()
    except RefusedError as error:
        sys.exit("%s: %s" % (folder, error))
    except tarfile.TarError as error:
        sys.exit("%s: what was sent is damaged: %s" % (folder, error))
    except OSError as error:
        sys.exit("%s: %s" % (error.filename or folder, error.strerror or error))


def incoming_of(folder: str) -> str:
    """Where the new content of `folder` is put together: on the same file system, so that it can be renamed."""
    return os.path.join(os.path.dirname(folder), INCOMING)


def present(places: Iterable[str], wanted: Set[str]) -> Dict[str, str]:
    """A path for each digest in `wanted` that a file under one of `places` has."""
    found = {}  # type: Dict[str, str]
    for folder in places:
        for path in files_under(folder):
            if path.endswith(PART) and os.path.basename(os.path.dirname(path)) == SENT:
                continue  # not whole
            try:
                digest = sha256_of(path)
            except OSError:
                continue  # a disk that cannot read it: it is sent again
            if digest in wanted:
                found.setdefault(digest, path)
    return found


def assemble(folder: str, digests: Mapping[str, str]) -> str:
    """Put all files of the list together, from `folder`, from what was sent and from what a killed run has left.

    Returns:
        Where they are.

    Raises:
        RefusedError: A file is in none of them.
        OSError: The disk is full, for instance.
    """
    incoming = incoming_of(folder)
    new = os.path.join(incoming, "new")
    if os.path.lexists(new):
        set_aside(new)
    os.makedirs(new, mode=0o755)
    left = [os.path.join(incoming, name) for name in sorted(os.listdir(incoming)) if name != "new"]
    known = present([folder, *left], set(digests.values()))
    missing = sorted(path for path, digest in digests.items() if digest not in known)
    if missing:
        raise RefusedError("%d files were not sent: %s" % (len(missing), missing[0]))
    for path, digest in sorted(digests.items()):
        target = os.path.join(new, path)
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        place(known[digest], target)
    return new


def forget(path: str) -> None:
    """Remove a file; that it is not there is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def set_aside(path: str) -> str:
    """Rename what a killed run has left; a later one may use its files."""
    for number in range(1000):
        aside = "%s.%d" % (path, number)
        if not os.path.lexists(aside):
            os.rename(path, aside)
            return aside
    raise RefusedError("too many interrupted runs: remove %s" % os.path.dirname(path))


def unpack(parcel: str, sent: str) -> List[str]:
    """Add a parcel's pieces to what has come, and remove it; the digests of the files that are whole now.

    Raises:
        RefusedError: It holds something else, or a file is not what its name says: all that came of it is removed.
        tarfile.TarError: It is damaged; what is whole of it is kept.
        OSError: The disk is full, for instance.
    """
    os.makedirs(sent, mode=0o755, exist_ok=True)
    whole = []
    with tarfile.open(parcel) as archive:
        for member in archive:
            found, content = _MEMBER.fullmatch(member.name), archive.extractfile(member)
            if found is None or content is None:
                raise RefusedError("something else was sent: %s" % member.name)
            digest, offset, size = found.group(1), int(found.group(2)), int(found.group(3))
            path = os.path.join(sent, digest)
            append(content, path + PART, offset)
            if os.path.getsize(path + PART) < size:
                continue
            if sha256_of(path + PART) != digest:
                os.unlink(path + PART)
                raise RefusedError("a file changed on the way: %s" % digest)
            os.rename(path + PART, path)
            whole.append(digest)
    os.unlink(parcel)
    return whole


def append(content: IO[bytes], path: str, offset: int) -> None:
    """Have a file go on with `content` at `offset`; whatever came behind that before is gone.

    Raises:
        RefusedError: What comes before it is not there.
    """
    with open(path, "ab") as stream:
        if stream.seek(0, os.SEEK_END) < offset:
            raise RefusedError("a piece is missing of %s" % os.path.basename(path))
        stream.truncate(offset)
        stream.writelines(iter(lambda: content.read(_BLOCK), b""))


def place(source: str, target: str) -> None:
    """Have the content of `source` at `target` too: as the same file where the file system can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    os.chmod(target, 0o644)


def sync(path: str) -> None:
    """Have everything on the disk before the new folder counts."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc_call("syncfs", handle) != 0:
            os.sync()
    finally:
        os.close(handle)


def switch(new: str, folder: str) -> None:
    """Put `new` in the place of `folder`: in one step where the kernel and the file system can."""
    if not os.path.lexists(folder):
        os.rename(new, folder)
        return
    first, second = os.fsencode(new), os.fsencode(folder)
    if libc_call("renameat2", _AT_FDCWD, first, _AT_FDCWD, second, _EXCHANGE) != 0:
        aside = new + ".old"
        if os.path.lexists(aside):
            shutil.rmtree(aside)
        os.rename(folder, aside)
        os.rename(new, folder)


def libc_call(name: str, *arguments: object) -> int:
    """A function of the C library; -1 where it is missing or fails."""
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return -1
    return int(function(*arguments))
