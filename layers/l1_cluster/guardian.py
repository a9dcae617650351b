"""The guardian of one deploy: a process beside it that outlives a `kill -9` of it and ends what it had started.

Ansible and ssh go on for a while when aiops is gone: they would change nodes with nobody who holds the lock. The
guardian kills them and removes the deploy's private directory as soon as aiops has ended, however that came. When aiops
is only stopped (Ctrl-Z, `kill -STOP`), it cannot renew the cluster lock: before another may take that over, the
guardian kills what works in its name.

Standard library only, imports nothing of ours: this file is also the program that the process runs.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "AWX_ISOLATED_DATA_DIR"
"""The variable, in the environment of all that Ansible starts, that begins with the private directory."""

PAUSED_SECONDS = 45.0
"""Stopped for so long, aiops loses its workers: less than a lock lives unrenewed (60 s), less the 10 s between two
renewals."""

PAUSED = "paused"
"""A file in the private directory: that this has happened."""

_LOOK_SECONDS = 1.0
_LINGER_SECONDS = 1.0
_LINGER_STEP = 0.05
_LOOK_AGAIN_SECONDS = 0.01
_END_SECONDS = 10.0


class Guardian:
    """The process that watches over one private directory, for as long as this one lives."""

    def __init__(self, private: Path) -> None:
        """Start it.

        Raises:
            OSError: No process can be started.
        """
        # Its own session: Ctrl-C in the terminal is for aiops. It ends by itself when our end of its stdin is closed.
        self._process = subprocess.Popen(
            (sys.executable, "-I", "-S", __file__, str(private), str(os.getpid())),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    def dismiss(self) -> None:
        """Our work is done and nothing is left of it: the guardian ends."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        try:
            with self._process.stdin as stream:
                stream.write(b".")
        except OSError:
            pass  # somebody has killed it
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def end_ansible(private: Path) -> int:
    """Kill all that Ansible has started for a deploy with this private directory, ssh's shared connections too."""
    return kill_marked(f"{MARK}={private}/", f"ssh: {private}/")


def kill_marked(mark: str, title: str | None = None) -> int:
    """Kill every process of this user whose environment holds `mark`, the start of a variable with its name.

    Ansible's workers leave their process group, and the environment stays with them. ssh's shared connections write
    a `title` over theirs, which begins with the path of their socket. A process that is killed goes on for a moment,
    and its parent may start another one while we look: this returns when a look finds none, or after a few seconds
    where the kernel does not let go of one.

    Returns:
        How many were killed.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + _END_SECONDS
    while found := _marked(mark.encode(), title.encode() if title else None):
        for process in found:
            try:
                os.kill(process, signal.SIGKILL)
            except OSError:
                continue
            killed.add(process)
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
    return len(killed)


def _marked(mark: bytes, title: bytes | None) -> list[int]:
    """Processes that live and bear the mark; one that is dead has neither an environment nor a command line left."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        try:
            marked = any(entry.startswith(mark) for entry in (folder / "environ").read_bytes().split(b"\0"))
            if marked or (title and (folder / "cmdline").read_bytes().startswith(title)):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def watch(private: Path, process: int, descriptor: int) -> None:
    """Wait until `process` ends; unless it has said a word before on `descriptor`, end Ansible; remove `private`."""
    paused: float | None = None
    while not select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
        # Boot time goes on while the machine sleeps; so does the lock's age.
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if not _stopped(process):
            paused = None
        elif paused is None:
            paused = now
        elif now - paused >= PAUSED_SECONDS and end_ansible(private):
            (private / PAUSED).touch(mode=0o600)
    if not os.read(descriptor, 1):
        # It was killed. What it was just starting is seen a moment later.
        until = time.monotonic() + _LINGER_SECONDS
        while time.monotonic() < until:
            if end_ansible(private):
                until = time.monotonic() + _LINGER_SECONDS
            time.sleep(_LINGER_STEP)
    shutil.rmtree(private, ignore_errors=True)


def _stopped(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False


if __name__ == "__main__":
    watch(Path(sys.argv[1]), int(sys.argv[2]), sys.stdin.fileno())
