"""A command on this machine that is talked with for as long as its channel is open."""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable

from aiops.layers.core.command import Command
from aiops.layers.core.errors import UnreachableError

from . import shell
from .become import Dialogue, Sudo, never_ran
from .node import Node
from .transport import MAX_SAID

_CHUNK = 262_144
_WAITING = 16
"""Pieces of output that may wait for us; then the command waits."""


class LocalStream:
    """A process and its pipes, as `transport.Channel` asks it to be; a thread reads each."""

    def __init__(self, node: Node, command: Command, sudo: Sudo | None, password: str | None) -> None:
        """Start it.

        Raises:
            UnreachableError: It cannot be started.
            FailedError: sudo did not let it run.
        """
        self._node = node
        self._sudo = sudo
        self._dialogue = Dialogue(node, sudo) if sudo is not None else None
        self._password = password
        self._came: deque[bytes] = deque()
        self._room = threading.Semaphore(_WAITING)
        self._said = b""
        self._open = 2
        """Pipes that may still bring something."""
        self._lock = threading.Lock()
        self._running = threading.Event()
        self._call: Callable[[], None] = lambda: None
        self._problem: Exception | None = None
        argv = shell.words(command, sudo, limited=False)
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise UnreachableError(
                f"{node.name}: cannot start `{argv[0]}` here: {error.strerror}", code="local.start"
            ) from error
        for work in (self._read_output, self._read_errors):
            threading.Thread(target=work, name="local-stream", daemon=True).start()
        self._begin(command.stdin)

    def send(self, data: bytes) -> int:
        """Send what can be sent now; how many bytes that is."""
        assert self._process.stdin  # noqa: S101 - it is a pipe, for mypy
        if self._process.stdin.closed:
            raise self._lost("it was closed")
        try:
            return os.write(self._process.stdin.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost(self.said() or str(error)) from error

    def receive(self) -> bytes | None:
        """What has come; empty for nothing, None at the end."""
        ended = not self._open
        if self._came:
            self._room.release()
            return self._came.popleft()
        return None if ended else b""

    def said(self) -> str:
        """The last of what it wrote on stderr."""
        text = self._said.decode("utf-8", "replace").strip()
        status = self._process.poll()
        if self._sudo is not None and status:
            problem = never_ran(self._node, self._sudo, status, text)
            if problem is not None:
                return problem.message
        return text

    def on_news(self, call: Callable[[], None]) -> None:
        """Have `call` called when something has come."""
        self._call = call
        call()

    def close(self) -> None:
        """End it."""
        self._room.release(_WAITING)
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.2)  # what reads its stdin to the end leaves by itself
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)

    def _begin(self, stdin: bytes) -> None:
        assert self._process.stdin  # noqa: S101 - it is a pipe, for mypy
        if self._dialogue is not None and not self._dialogue.running:
            self._running.wait(10.0)
            if self._problem is not None or not self._dialogue.running:
                self.close()
                raise self._problem or self._dialogue.explain() or self._lost("sudo gives no answer")
        with contextlib.suppress(BrokenPipeError):
            view = memoryview(stdin)
            while view:
                view = view[os.write(self._process.stdin.fileno(), view) :]
        os.set_blocking(self._process.stdin.fileno(), False)

    def _read_output(self) -> None:
        assert self._process.stdout  # noqa: S101 - it is a pipe, for mypy
        with self._process.stdout as pipe:
            while data := os.read(pipe.fileno(), _CHUNK):
                self._room.acquire()
                self._came.append(data)
                self._call()
        self._closed()

    def _read_errors(self) -> None:
        assert self._process.stderr  # noqa: S101 - it is a pipe, for mypy
        with self._process.stderr as pipe:
            while data := os.read(pipe.fileno(), _CHUNK):
                self._said = (self._said + self._hear(data))[-MAX_SAID:]
        self._running.set()
        self._closed()

    def _closed(self) -> None:
        with self._lock:
            self._open -= 1
        self._call()

    def _hear(self, data: bytes) -> bytes:
        if self._dialogue is None or self._dialogue.running:
            return data
        assert self._process.stdin  # noqa: S101 - it is a pipe, for mypy
        try:
            heard = self._dialogue.hear(data)
            if heard.password_due:
                os.write(self._process.stdin.fileno(), f"{self._password}\n".encode())
        except Exception as error:  # noqa: BLE001 - raised again by `_begin`, in the caller's thread
            self._problem = error
            self._running.set()
            return b""
        if heard.started:
            self._running.set()
        return heard.own

    def _lost(self, why: str) -> UnreachableError:
        return UnreachableError(f"{self._node.name}: the channel broke: {why or 'closed'}", code="local.lost")
