"""Files of environments, on the head and on nodes: digests, room, names that count once all is on the disk.

Standard library only, Python 3.6, imports nothing of ours.
"""

import hashlib
import os
import shutil
import sys
import tarfile
from typing import Any, Callable, Dict

MANIFEST = "manifest.json"
BLOCK = 1 << 20
MARGIN = 256 << 20
READABLE = 0o555
WRITABLE = 0o755

Spec = Dict[str, Any]
"""Of an environment: `name`, `label`, `path` (its place on nodes), `python` (`3.11`), `manifest` (the text), and on the
head `wheels`, pairs of a path in the bundle and a SHA-256."""


class RefusedError(Exception):
    """Something is not what it should be; its words are for the operator."""


def need_space(folder: str, size: int) -> None:
    """Raise `RefusedError` where there is too little room for `size` bytes and a margin."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < size + MARGIN:
        raise RefusedError(
            "too little space in %s: %d MiB needed, %d MiB free" % (folder, size + MARGIN >> 20, free >> 20)
        )


def size_of(folder: str) -> int:
    """Bytes of all files in a folder."""
    found = 0
    for place, _, names in os.walk(folder):
        found += sum(os.lstat(os.path.join(place, name)).st_size for name in names)
    return found


def sha256_of(path: str) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def keep(temporary: str, path: str) -> None:
    """Give a finished file its name, once it is on the disk."""
    handle = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(temporary, path)
    sync_folder(os.path.dirname(path))


def sync_folder(path: str) -> None:
    """Have the disk know the names in a folder."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def forget(path: str) -> None:
    """Remove whatever is there, also what may not be written to."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
        return
    for place, folders, _ in os.walk(path):
        for name in folders:
            if not os.path.islink(os.path.join(place, name)):
                os.chmod(os.path.join(place, name), WRITABLE)
    if os.path.isdir(path):
        os.chmod(path, WRITABLE)
        shutil.rmtree(path)


def told(work: Callable[[], object]) -> None:
    """Do it; say in one line why it cannot be done, and end with 1."""
    os.umask(0o022)
    try:
        work()
    except RefusedError as error:
        sys.exit(str(error))
    except tarfile.TarError as error:
        sys.exit("what the head has built is damaged: %s" % error)
    except OSError as error:
        sys.exit("%s: %s" % (error.filename or "the disk", error.strerror or error))
