"""The fence of one node: it keeps the highest epoch it has seen and refuses a step that carries a lower one.

Standard library only, Python 3.6, imports nothing of ours: the text of this file is sent to `python3 -` with one
call of `main` behind it. So an owner of the cluster lock that was paused, and whose lock was taken over meanwhile,
changes nothing more when it wakes.
"""

import fcntl
import os
import sys
import time

PATH = "/var/lib/aiops/epoch"
STALE_STATUS = 75
WAIT_SECONDS = 5


def raise_to(path: str, epoch: int) -> int:
    """Keep `epoch` if it is higher than what was seen; return the highest.

    Raises:
        OSError: The file cannot be read or written, or another step held it for all of WAIT_SECONDS.
        ValueError: The file does not hold a number.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    guard = os.open(path + ".flock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.02)
        try:
            with open(path) as stream:
                seen = int(stream.read())
        except FileNotFoundError:
            seen = 0
        if epoch <= seen:
            return seen
        temporary = path + ".new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644), "w") as stream:
            stream.write("%d\n" % epoch)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, path)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return epoch
    finally:
        os.close(guard)


def main(epoch: int, path: str = PATH) -> None:
    """End with STALE_STATUS when this node has seen a higher epoch, with 1 when it cannot tell."""
    try:
        seen = raise_to(path, epoch)
    except (OSError, ValueError) as error:
        sys.exit("fence: %s: %s" % (path, error))
    if seen > epoch:
        sys.stderr.write("fence: epoch %d is stale, this node has seen %d\n" % (epoch, seen))
        sys.exit(STALE_STATUS)
