"""Puts files and folders in place on a node, each whole or not at all, and says which could not be.

Standard library only, Python 3.6, imports nothing of ours. The text of this file is sent to `python3 -` with one call
of `main` behind it: one round trip for all files of a phase, and no content in any argument, event, log or file.
"""

import base64
import grp
import json
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import zlib
from typing import Any, Dict, List, Tuple

VALIDATE_SECONDS = 60
RESTARTS = "/run/aiops/restart"
"""Holds a mark for each unit that has not been restarted since a file of its was changed; a boot empties it."""

Entry = Dict[str, Any]
Rights = Tuple[int, int, int]
"""User number, group number, mode."""


class RefusedError(Exception):
    """Something that is in the way and that is not ours to remove, or a file that its validation refuses."""


def pack(entries: List[Entry]) -> str:
    """Entries as short ASCII text: equal entries give equal text, and most of a cluster's lists is repetition."""
    return base64.b85encode(zlib.compress(json.dumps(entries, sort_keys=True).encode("ascii"), 9)).decode("ascii")


def unpack(packed: str) -> List[Entry]:
    """What `pack` was given."""
    return list(json.loads(zlib.decompress(base64.b85decode(packed)).decode("ascii")))


def put(entry: Entry, restarts: str) -> None:
    """Bring one path to what `entry` says: `absent`, `folder`, or a file with `content` (base64).

    The units in its `restarts` are marked in the folder `restarts` before anything changes: whatever comes between
    this and their restart, it is not forgotten.

    Raises:
        RefusedError: See the class.
        OSError: It cannot be written.
        KeyError: There is no such user or group.
    """
    path = entry["path"]
    if entry["absent"]:
        mark(entry["restarts"], restarts)
        remove(path)
        return
    rights = pwd.getpwnam(entry["owner"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid, int(entry["mode"], 8)
    if entry["folder"]:
        mark(entry["restarts"], restarts)
        make_folder(path, rights)
    else:
        temporary = prepare(path, base64.b64decode(entry["content"]), rights)
        try:
            if entry["validate"]:
                check(entry["validate"], temporary, entry["secret"])
            mark(entry["restarts"], restarts)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        keep_name(path)


def mark(units: List[str], folder: str) -> None:
    """Remember that `units` are to be restarted."""
    if units:
        os.makedirs(folder, mode=0o755, exist_ok=True)
    for unit in units:
        os.close(os.open(os.path.join(folder, unit), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def remove(path: str) -> None:
    """Remove whatever is at `path`, nothing being there included."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(kind):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def make_folder(path: str, rights: Rights) -> None:
    """Make a folder and its missing parents; a link to a folder stays one."""
    if not os.path.isdir(path):
        if os.path.lexists(path):
            raise RefusedError("there is something that is not a folder")
        os.makedirs(path, mode=0o755)
    os.chown(path, rights[0], rights[1])
    os.chmod(path, rights[2])


def prepare(path: str, content: bytes, rights: Rights) -> str:
    """Write the file that is to replace `path`, complete and on the disk; return where it is, beside `path`."""
    if os.path.isdir(path) and not os.path.islink(path):
        raise RefusedError("there is a folder")
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".aiops-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchown(stream.fileno(), rights[0], rights[1])
            os.fchmod(stream.fileno(), rights[2])
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def keep_name(path: str) -> None:
    """Have the disk know that `path` is a new file."""
    handle = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check(command: str, path: str, secret: bool) -> None:
    """Run the command that must be content with the new file; what it says of a secret one is told to nobody."""
    try:
        words = [word.replace("%s", path) for word in shlex.split(command)]
    except ValueError as error:
        raise RefusedError("its validation is no command: %s" % error) from None
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VALIDATE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RefusedError("`%s` did not end within %d s" % (words[0], VALIDATE_SECONDS)) from None
    if done.returncode != 0:
        lines = [] if secret else done.stdout.decode("utf-8", "replace").strip().splitlines()
        raise RefusedError("`%s` refuses it: %s" % (words[0], lines[-1] if lines else "status %d" % done.returncode))


def main(packed: str, restarts: str = RESTARTS) -> None:
    """Put every entry in place, in their order; go on after a failure, tell each on stdout, end with 1 then.

    Only stdout is shown to anybody: what Python itself has to say on stderr may quote the entries.
    """
    os.umask(0o022)
    failed = False
    for entry in unpack(packed):
        try:
            put(entry, restarts)
        except RefusedError as error:
            reason = str(error)
        except KeyError as error:
            reason = str(error.args[0])
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
        except Exception as error:
            reason = type(error).__name__  # a traceback would quote the content
        else:
            continue
        failed = True
        sys.stdout.write("%s: %s\n" % (entry["path"], reason))
    sys.exit(1 if failed else 0)
