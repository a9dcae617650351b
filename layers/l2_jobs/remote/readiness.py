"""Whether a service serves: asked again and again, by a command or an address of a port, in a thread of its own.

Standard library only, Python 3.6, imports nothing of ours.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
from typing import Any, Callable, Dict, List, Optional

EVERY = 1.0
"""Seconds between two questions while it is not ready, and after one that failed."""

SELDOM = 5.0
"""Seconds between two while it is."""

PATIENCE = 10.0
"""Seconds that an answer may take."""

MISSES = 3
"""Answers in a row without which it is ready no longer: one that is late under load takes nobody out of service."""

_ANSWER = 4096
_BAD = 400


class Readiness(object):
    """Asks a service of this node."""

    def __init__(self, ready: Dict[str, Any], folder: str, environment: Dict[str, str]) -> None:
        """Ask nothing yet.

        Args:
            ready: `argv` of a command that ends with 0 once it serves, or `port` and `path`.
            folder: Where the command begins.
            environment: What it sees.
        """
        self._ready = ready
        self._folder = folder
        self._environment = environment
        self._changed = threading.Condition()
        self._statuses: Dict[int, int] = {}
        self._asking = False
        self._paused = self._ended = False

    def start(self, tell: Callable[[bool], None]) -> None:
        """Begin to ask.

        Args:
            tell: Told when it is ready, and when it is no longer; by the thread.
        """
        threading.Thread(target=self._run, args=(tell,), name="ready", daemon=True).start()

    def reaped(self, statuses: Dict[int, int]) -> None:
        """Take the exit statuses of children that somebody else has taken from the kernel."""
        with self._changed:
            if self._asking:
                self._statuses.update(statuses)
                self._changed.notify_all()

    def pause(self, paused: bool) -> None:
        """Ask nothing while the service is stopped: it cannot answer."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def end(self) -> None:
        """Ask nothing more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _run(self, tell: Callable[[bool], None]) -> None:
        ready, misses = False, 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended, SELDOM if ready and not misses else EVERY)
                self._changed.wait_for(lambda: self._ended or not self._paused)
                if self._ended:
                    return
            answers = self._answers()
            with self._changed:
                if self._ended:
                    return
                if self._paused:
                    continue  # it may have been stopped while it was asked
            misses = 0 if answers else misses + 1
            if answers and not ready:
                ready = True
                tell(True)
            elif ready and misses >= MISSES:
                ready = False
                tell(False)

    def _answers(self) -> bool:
        argv = self._ready.get("argv")
        return self._command(argv) if argv else answers(self._ready["port"], self._ready["path"])

    def _command(self, argv: List[str]) -> bool:
        with self._changed:
            self._statuses.clear()
            self._asking = True
        path = self._environment.get("PATH")
        program = argv[0] if "/" in argv[0] else shutil.which(argv[0], path=path) or argv[0]
        try:
            with open(os.devnull, "r+b") as nothing:
                probe = subprocess.Popen(
                    [program, *argv[1:]],
                    cwd=self._folder,
                    env=self._environment,
                    stdin=nothing,
                    stdout=nothing,
                    stderr=nothing,
                    start_new_session=True,
                )
        except (OSError, ValueError):
            return False
        with self._changed:
            self._changed.wait_for(lambda: self._ended or probe.pid in self._statuses, PATIENCE)
            status: Optional[int] = self._statuses.get(probe.pid)
            self._asking = False
        if status is None:
            try:
                os.killpg(probe.pid, signal.SIGKILL)
            except OSError:
                pass
        # Whoever is the launcher takes it from the kernel; `wait` would find that it is gone, and call that a success.
        probe.returncode = -signal.SIGKILL if status is None else status
        return status == 0


def answers(port: int, path: str) -> bool:
    """Whether HTTP on a port of this machine gives `path` without an error (a status below 400)."""
    request = "GET %s HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nUser-Agent: aiops\r\nConnection: close\r\n\r\n" % (path, port)
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(request.encode("utf-8"))
            said = b""
            while b"\n" not in said and len(said) < _ANSWER:
                data = connection.recv(_ANSWER)
                if not data:
                    break
                said += data
    except OSError:
        return False
    words = said.split(None, 2)
    return len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() and int(words[1]) < _BAD
