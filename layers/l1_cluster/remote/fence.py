"""The fence of one node: it keeps the highest epoch it has seen and refuses a step that carries a lower one.

Standard library only, Python 3.6, imports nothing of ours: the text of this file is sent to `python3 -` with one
call of `main` behind it. So an owner of the cluster lock that was paused, and whose lock was taken over meanwhile,
changes nothing more when it wakes: what it runs there later goes through the gate, a program that asks the same.
"""

import fcntl
import os
import sys
import time

FOLDER = "/var/lib/aiops"
EPOCH = "epoch"
GATE = "gate"
STALE_STATUS = 75
WAIT_SECONDS = 5

GATE_TEXT = """#!/bin/sh
# Written by aiops. As gate-EPOCH: Python, unless this node has seen a higher epoch of the cluster lock.
if ! read -r seen < "${0%%/*}/epoch"; then
  echo "fence: ${0%%/*}/epoch cannot be read" >&2
  exit 75
fi
if [ "${0##*-}" -lt "$seen" ]; then
  echo "fence: epoch ${0##*-} is stale, this node has seen $seen" >&2
  exit 75
fi
exec %s "$@"
"""


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
        replace(path, "%d\n" % epoch, 0o644)
        return epoch
    finally:
        os.close(guard)


def replace(path: str, text: str, mode: int) -> None:
    """Have the file at `path` hold `text`: all of it or, until then, what it held."""
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "w") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def build_gate(folder: str, epoch: int, python: str) -> None:
    """Have the gate of `epoch`, and none of older ones: they would refuse, now they cannot even be asked."""
    name = "%s-%d" % (GATE, epoch)
    for other in os.listdir(folder):
        if other.startswith(GATE + "-") and other != name:
            os.unlink(os.path.join(folder, other))
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        replace(path, GATE_TEXT % python, 0o755)


def main(epoch: int, folder: str = FOLDER, python: str = "/usr/bin/python3") -> None:
    """End with STALE_STATUS when this node has seen a higher epoch, with 1 when it cannot tell; else build the gate.

    `python` is the interpreter behind the gate, as words of a shell.
    """
    path = os.path.join(folder, EPOCH)
    try:
        seen = raise_to(path, epoch)
        if seen <= epoch:
            build_gate(folder, epoch, python)
    except (OSError, ValueError) as error:
        sys.exit("fence: %s: %s" % (path, error))
    if seen > epoch:
        sys.stderr.write("fence: epoch %d is stale, this node has seen %d\n" % (epoch, seen))
        sys.exit(STALE_STATUS)
