"""Makes a folder on a node hold exactly the files of a list, sending only what the node has not.

Standard library only, Python 3.6, imports nothing of ours. The text of this file is sent to `python3 -` twice: with a
call of `lacking`, which says what must be sent, and then of `fill`, with a tar of just that. Everything is put together
beside the folder, compared with the list byte by byte, and takes the old one's place in one step; a run that was
killed leaves the old folder or the new one, and what it has brought is not sent again.
"""

import base64
import ctypes
import hashlib
import json
import os
import shutil
import sys
import tarfile
import zlib
from typing import IO, Dict, Iterable, Iterator, Mapping, Set

INCOMING = "incoming"
"""The folder beside the one to be filled, where the new one is put together."""
PARCEL = "parcel.tar"
"""What was sent, in that folder: a tar whose members are named by their digests."""

_BLOCK = 1 << 20
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


def sha256_of(path: str) -> str:
    """The digest of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(_BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def lacking(folder: str, packed: str) -> None:
    """Print the digest of each file that is neither in `folder` nor left here by a run that was killed; make room."""
    wanted = set(unpack_digests(packed).values())
    os.umask(0o022)
    os.makedirs(incoming_of(folder), mode=0o755, exist_ok=True)
    forget(os.path.join(incoming_of(folder), PARCEL))
    known = present((folder, incoming_of(folder)), wanted)
    sys.stdout.write("".join("%s\n" % digest for digest in sorted(wanted - set(known))))


def fill(folder: str, packed: str) -> None:
    """Make `folder` hold exactly the files of the list; end with 1, and change nothing, when that cannot be.

    Args:
        folder: The folder; whatever is in it and not in the list goes.
        packed: The list, from `pack_digests`.
    """
    os.umask(0o022)
    try:
        digests = unpack_digests(packed)
        new = assemble(folder, digests)
        sync(new)
        switch(new, folder)
        shutil.rmtree(incoming_of(folder))
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
            try:
                digest = sha256_of(path)
            except OSError:
                continue  # a disk that cannot read it: it is sent again
            if digest in wanted:
                found.setdefault(digest, path)
    return found


def files_under(folder: str) -> Iterator[str]:
    """All plain files under a folder; links are not followed."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def assemble(folder: str, digests: Mapping[str, str]) -> str:
    """Put all files of the list together, from the parcel, from `folder` and from what a killed run has left.

    Returns:
        Where they are.

    Raises:
        RefusedError: A file is in none of them, or the parcel holds something else.
        OSError: The disk is full, for instance.
    """
    incoming = incoming_of(folder)
    new, sent = os.path.join(incoming, "new"), os.path.join(incoming, "sent")
    for path in (new, sent):
        if os.path.lexists(path):
            set_aside(path)
    os.makedirs(new, mode=0o755)
    wanted = set(digests.values())
    parcel = os.path.join(incoming, PARCEL)
    known = unpack(parcel, sent, wanted) if os.path.lexists(parcel) else {}
    left = [os.path.join(incoming, name) for name in sorted(os.listdir(incoming)) if name not in ("new", "sent")]
    known.update(present([folder, *left], wanted - set(known)))
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


def unpack(parcel: str, sent: str, wanted: Set[str]) -> Dict[str, str]:
    """Unpack a parcel, each member compared with its name, and remove it; the path of each digest."""
    os.makedirs(sent, mode=0o755)
    found = {}
    with tarfile.open(parcel) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if member.name not in wanted or content is None:
                raise RefusedError("something else was sent: %s" % member.name)
            path = os.path.join(sent, member.name)
            if write(content, path) != member.name:
                os.unlink(path)
                raise RefusedError("a file changed on the way: %s" % member.name)
            found[member.name] = path
    os.unlink(parcel)
    return found


def write(content: IO[bytes], path: str) -> str:
    """Write a stream to a file; return the digest of what was written."""
    digest = hashlib.sha256()
    with open(path, "wb") as stream:
        for block in iter(lambda: content.read(_BLOCK), b""):
            digest.update(block)
            stream.write(block)
    return digest.hexdigest()


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
