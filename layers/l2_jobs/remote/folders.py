"""Folders and files of attempts on a node, as the agent handles them.

Standard library only, Python 3.6, imports nothing of ours but its sisters.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import time
from typing import Any, Dict, List, Optional

from .spool import EVENTS

_KEPT = 30 * 86400.0
"""Seconds that a tombstone is kept."""

_LEFT = 7 * 86400.0
"""Seconds after which the folder of what was ended is swept: its output is nowhere else until the head has read it."""
_AT_ONCE = 50

_LARGEST = 65536


class Base(object):
    """The folder of all attempts on a node.

    Root makes the folder of each attempt and gives it to the job's user, also where Slurm starts its launcher; others
    may only pass through. A name here is believed where the folder is of the job's user, or the tombstone root's.
    """

    def __init__(self, path: str) -> None:
        """Make it, and forget tombstones that nobody can come to any more."""
        self._path = path
        self._ended = os.path.join(path, ".ended")
        self._programs = os.path.join(path, ".program")
        # The base first: then nobody can put anything where the others are to be.
        for folder, mode in (
            (path, 0o711 if os.geteuid() == 0 else 0o700),
            (self._ended, 0o711),
            (self._programs, 0o711),
        ):
            if folder != path and os.path.lexists(folder) and owner_of(folder) != os.geteuid():
                os.rename(folder, os.path.join(path, ".odd-%d-%d" % (time.time(), os.getpid())))
            os.makedirs(folder, exist_ok=True)
            if stat.S_IMODE(os.lstat(folder).st_mode) != mode:
                os.chmod(folder, mode)
        limit = time.time() - _KEPT
        for name in os.listdir(self._ended):
            stone = os.path.join(self._ended, name)
            if os.lstat(stone).st_mtime < limit and not os.path.isdir(stone) and not os.path.lexists(self.folder(name)):
                os.unlink(stone)

    def folder(self, key: str) -> str:
        """The folder of an attempt."""
        return os.path.join(self._path, key)

    def claimed(self, key: str, owner: int) -> bool:
        """Whether a launcher of an attempt of `owner` has run here."""
        return owner_of(self.folder(key)) == owner and os.path.lexists(os.path.join(self._path, key, EVENTS))

    def old(self, keys: Any) -> List[str]:
        """Attempts that were ended here long ago and whose folders are still here: nobody has asked to let them go.

        Args:
            keys: Matches the name of an attempt.
        """
        limit = time.time() - _LEFT
        found = []
        for name in sorted(os.listdir(self._path)):
            if not keys.match(name) or owner_of(self.folder(name)) < 0:
                continue
            try:
                if os.lstat(self.tombstone(name)).st_mtime < limit:
                    found.append(name)
            except OSError:
                continue
        return found[:_AT_ONCE]

    def tombstone(self, key: str) -> str:
        """The file that says that an attempt was ended here, and may not begin any more."""
        return os.path.join(self._ended, key)

    def bury(self, key: str, end: Optional[Dict[str, Any]] = None) -> None:
        """Say so; and, where all is known of it and its folder goes, how it has ended."""
        if end is not None:
            write(self.tombstone(key), json.dumps(end).encode("utf-8"), 0o644)
        elif not os.path.exists(self.tombstone(key)):
            write(self.tombstone(key), b"", 0o644)

    def end(self, key: str) -> Optional[Dict[str, Any]]:
        """How an attempt has ended here whose folder is gone; None where that is not known."""
        if os.path.lexists(self.folder(key)):
            return None
        try:
            with open(self.tombstone(key), "rb") as file:
                found = json.loads(file.read(_LARGEST).decode("utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def placed(self, program: bytes) -> str:
        """The path of a program, which all may read."""
        path = os.path.join(self._programs, hashlib.sha256(program).hexdigest()[:20] + ".py")
        if not os.path.exists(path):
            write(path, program, 0o644)
        return path

    def numbers(self, job: str, owner: int) -> List[int]:
        """The attempts of a job of `owner` that are known here."""
        known = re.compile(re.escape(job) + r"\.([0-9]{1,9})$")
        folders = [name for name in os.listdir(self._path) if owner_of(self.folder(name)) == owner]
        found = [known.match(name) for name in folders + os.listdir(self._ended)]
        return sorted(set(int(one.group(1)) for one in found if one is not None))

    def own(self, key: str, uid: int, gid: int) -> str:
        """The folder of an attempt, made for its user; one that somebody else has put there goes out of the way."""
        folder = self.folder(key)
        if os.path.lexists(folder) and owner_of(folder) != uid:
            os.rename(folder, os.path.join(self._ended, "odd-%d-%d" % (time.time(), os.getpid())))
        if not os.path.lexists(folder):
            os.mkdir(folder, 0o700)
            if os.geteuid() == 0:
                os.chown(folder, uid, gid)
        return folder


def owner_of(folder: str) -> int:
    """Whose a folder is; -1 where there is none, or something else."""
    try:
        found = os.lstat(folder)
    except OSError:
        return -1
    return found.st_uid if stat.S_ISDIR(found.st_mode) else -1


def remove_folder(folder: str) -> None:
    """Remove an empty folder; one in which something is left waits for the next time."""
    try:
        os.rmdir(folder)
    except OSError:
        pass


def write(path: str, data: bytes, mode: int) -> None:
    """Write a file whole, and have it on the disk."""
    temporary = "%s.%d.new" % (path, os.getpid())
    try:
        _fill(temporary, data, mode)
    except OSError:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
    os.rename(temporary, path)
    where = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(where)
    finally:
        os.close(where)


def _fill(temporary: str, data: bytes, mode: int) -> None:
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
        os.fchmod(file, mode)
        os.fsync(file)
    finally:
        os.close(file)


def clear(folder: str) -> None:
    """Remove all that lies in a folder; links in it are removed and not followed."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
