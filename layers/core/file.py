"""Files that are whole or absent: temp, fsync, rename, fsync of the folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` with `content` so that a reader, or a power cut, sees the old or the new, never a part.

    Args:
        path: The file; its folder must exist.
        content: All of the new content.
        mode: Permission bits of the new file, set before any content is written.

    Raises:
        OSError: The folder is missing, full or read-only; the old file is untouched then.
    """
    with replacing(path, mode) as stream:
        stream.write(content)


@contextmanager
def replacing(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A stream whose content replaces `path` once the block has ended well, as `write_atomic` does it.

    Args:
        path: The file; its folder must exist.
        mode: Permission bits of the new file, set before any content is written.

    Raises:
        OSError: The folder is missing, full or read-only; the old file is untouched then.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_new(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file that must not exist yet; a reader never sees a part of it.

    Raises:
        FileExistsError: There is something at `path`; it is left as it is.
        OSError: The folder is missing, full or read-only.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        path.hardlink_to(temporary)  # unlike a rename, a link never replaces
    finally:
        temporary.unlink()


def sync_tree(folder: Path) -> None:
    """Have all of a folder on the disk."""
    for above, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(above, name)
            if not path.is_symlink():
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        sync_folder(Path(above))


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why the text of a file could not be read, in words that follow `cannot be read:`."""
    return error.strerror if isinstance(error, OSError) and error.strerror else "it is no text (UTF-8)"
