"""The folder in which a node keeps its undo memory, and what the controller sends about it.

Standard library only, Python 3.6, imports nothing of ours; it travels with the modules that use it.

```
FOLDER/            0700
  memory.json      what was there, by resource; the first sight of each wins
  places.json      the paths there were in the system's folders, so that what is left over later can be told
  files/           what was at a path, with its content; secrets may be among it
```
"""

import base64
import fcntl
import json
import os
import time
import zlib
from typing import Any, Dict

from .sight import TroubleError

FOLDER = "/var/lib/aiops/undo"
VERSION = 1
WAIT_SECONDS = 300
"""How long a step waits for the one before it, which goes on here when its controller was killed."""

Memory = Dict[str, Any]


def pack(request: Dict[str, Any]) -> str:
    """A request as short ASCII text; equal ones give equal text."""
    return base64.b85encode(zlib.compress(json.dumps(request, sort_keys=True).encode("ascii"), 9)).decode("ascii")


def unpack(packed: str) -> Dict[str, Any]:
    """What `pack` was given."""
    return dict(json.loads(zlib.decompress(base64.b85decode(packed)).decode("ascii")))


def empty() -> Memory:
    """The memory of a node on which nothing was changed yet."""
    return {"v": VERSION, "seen": {}, "wanted": [], "brought": [], "upgraded": {}, "window": None, "reboot": None}


def read(folder: str) -> Memory:
    """The memory in `folder`; an empty one where there is none.

    Raises:
        TroubleError: It is not one of ours.
        OSError: It cannot be read.
    """
    try:
        with open(os.path.join(folder, "memory.json"), encoding="utf-8", errors="surrogateescape") as stream:
            memory = json.load(stream)
        if memory["v"] != VERSION:
            raise TroubleError("memory.json was written by another version (%s)" % memory["v"])
    except FileNotFoundError:
        return empty()
    except (ValueError, KeyError, TypeError) as error:
        raise TroubleError("memory.json cannot be understood: %s" % error) from None
    return dict(empty(), **memory)


def write(folder: str, name: str, content: bytes) -> None:
    """Put a file of ours in place, whole and on the disk."""
    path = os.path.join(folder, name)
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)
    handle = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def keep(folder: str, memory: Memory) -> None:
    """Put `memory` in place of the one before it."""
    write(folder, "memory.json", json.dumps(memory, sort_keys=True).encode("ascii"))


def guard(folder: str, seconds: float = WAIT_SECONDS) -> int:
    """Make the folder, and have it to oneself until the returned descriptor is closed; see `hold`."""
    for path in (folder, os.path.join(folder, "files")):
        os.makedirs(path, mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    return hold(folder, seconds)


def hold(folder: str, seconds: float) -> int:
    """Have the folder to oneself until the returned descriptor is closed; who had it may have removed it meanwhile.

    Raises:
        TroubleError: Another step held it for all of `seconds`.
        FileNotFoundError: There is none.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise TroubleError("another step holds %s" % folder) from None
            time.sleep(0.02)
        else:
            return descriptor
