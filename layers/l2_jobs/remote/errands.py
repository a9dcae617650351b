"""Programs that the agent runs beside its work: it never waits for one.

Standard library only, Python 3.6, imports nothing of ours.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from typing import Any, Callable, List, Optional

SECONDS = 30.0
"""After so long a program is ended."""

_SAID = 4000


def as_user(uid: int, gid: int, name: Optional[str]) -> None:
    """Become a user for good, with all groups of his; where we are root."""
    if os.geteuid() != 0:
        return
    os.chdir("/")
    if name is not None:
        os.initgroups(name, gid)
    else:
        os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def forked(work: Callable[[], Optional[int]]) -> int:
    """Do `work` in a child; its pid. The child ends with what `work` gives, or 1 where it fails."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = int(work() or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


class Errands(object):
    """What runs."""

    def __init__(self) -> None:
        self._running: List[Any] = []

    def run(self, argv: List[str], done: Callable[[int, str], None]) -> None:
        """Run a program; `done` is told its exit status and what it has said."""
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed once its errand has ended
        try:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        except OSError as error:
            said.close()
            done(127, "`%s` cannot be started: %s" % (argv[0], error))
            return
        self._running.append((process, said, done, time.monotonic() + SECONDS))

    def fork(self, work: Callable[[], Optional[int]], done: Callable[[int, str], None]) -> None:
        """Do `work` in a child; what it says on stderr is told."""
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed once its errand has ended

        def speaking() -> Optional[int]:
            os.dup2(said.fileno(), 2)
            return work()

        self._running.append((forked(speaking), said, done, time.monotonic() + SECONDS))

    def look(self) -> bool:
        """Tell of those that have ended; whether any still runs."""
        still = []
        ended = []
        for one in self._running:
            process, said, done, limit = one
            status = _status(process)
            if status is None and time.monotonic() < limit:
                still.append(one)
                continue
            if status is None:
                os.kill(process if isinstance(process, int) else process.pid, signal.SIGKILL)
                status = 124
            ended.append((status, said, done))
        self._running = still
        for status, said, done in ended:
            text = ""
            if said is not None:
                said.seek(0)
                text = said.read(_SAID).decode("utf-8", "replace").strip()
                said.close()
            done(status, text)
        return bool(self._running)


def _status(process: Any) -> Optional[int]:
    if not isinstance(process, int):
        found = process.poll()
        return None if found is None else int(found)
    pid, code = os.waitpid(process, os.WNOHANG)
    if pid == 0:
        return None
    return -(code & 0x7F) if code & 0x7F else code >> 8
