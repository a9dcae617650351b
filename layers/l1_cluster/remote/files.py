"""Puts files and folders in place on a node, each whole or not at all, and says which could not be.

Standard library only, Python 3.6, imports nothing of ours. Sent by the playbook's `script` task with one call of `main`
behind it: one round trip for all files of a phase, and no content in any argument, event or log.
"""

import base64
import grp
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Tuple

VALIDATE_SECONDS = 60
Entry = Dict[str, Any]
Rights = Tuple[int, int, int]
"""User number, group number, mode."""


class RefusedError(Exception):
    """Something that is in the way and that is not ours to remove, or a file that its validation refuses."""


def put(entry: Entry) -> None:
    """Bring one path to what `entry` says: `absent`, `folder`, or a file with `content` (base64).

    Raises:
        RefusedError: See the class.
        OSError: It cannot be written.
        KeyError: There is no such user or group.
    """
    path = entry["path"]
    if entry["absent"]:
        remove(path)
        return
    rights = pwd.getpwnam(entry["owner"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid, int(entry["mode"], 8)
    if entry["folder"]:
        make_folder(path, rights)
    else:
        write(path, base64.b64decode(entry["content"]), rights, entry["validate"])


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


def write(path: str, content: bytes, rights: Rights, validate: str) -> None:
    """Replace a file (or a link) by a new one that is complete and on the disk before it has the name."""
    if os.path.isdir(path) and not os.path.islink(path):
        raise RefusedError("there is a folder")
    folder = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".aiops-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchown(stream.fileno(), rights[0], rights[1])
            os.fchmod(stream.fileno(), rights[2])
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if validate:
            check(validate, temporary)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check(command: str, path: str) -> None:
    """Run the command that must be content with the new file."""
    words = [word.replace("%s", path) for word in shlex.split(command)]
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
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        raise RefusedError("`%s` refuses it: %s" % (words[0], lines[-1] if lines else "status %d" % done.returncode))


def main(entries: List[Entry]) -> None:
    """Put every entry in place, in their order; go on after a failure, tell each on stderr, end with 1 then."""
    os.umask(0o022)
    failed = False
    for entry in entries:
        try:
            put(entry)
        except RefusedError as error:
            reason = str(error)
        except KeyError as error:
            reason = str(error.args[0])
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
        else:
            continue
        failed = True
        sys.stderr.write("%s: %s\n" % (entry["path"], reason))
    sys.exit(1 if failed else 0)
