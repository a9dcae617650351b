"""The machine aiops runs on, as a node."""

import contextlib
import os
import pwd
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError, UnreachableError

from . import shell
from .become import Dialogue, Sudo, becoming, never_ran
from .local_stream import LocalStream
from .node import Node
from .transport import LINGER, MAX_OUTPUT, too_much_output

_CHUNK = 65_536
_GRACE = 3.0


class LocalTransport:
    """Runs commands here, in the way they are run on a node over SSH."""

    def __init__(self, node: Node, become_password: Callable[[], str | None] | None = None) -> None:
        """Prepare; nothing runs yet.

        Args:
            node: The node that is this machine.
            become_password: Gives sudo's password when a command needs root, or None when sudo asks for none.
        """
        self._node = node
        self._become_password = become_password
        self._user = pwd.getpwuid(os.geteuid()).pw_name
        self._running: set[subprocess.Popen[bytes]] = set()

    @property
    def node(self) -> Node:
        """The node at the other end."""
        return self._node

    def run(self, command: Command) -> Completed:
        """Run `command` and wait for its end, or its timeout."""
        sudo, password = None, None
        if command.root:
            sudo, password = becoming(self._node, self._user, self._become_password)
        return _Run(self._node, command, sudo, password, self._running).completed()

    def open(self, command: Command) -> LocalStream:
        """Start `command` and talk with it until its channel is closed."""
        sudo, password = None, None
        if command.root:
            sudo, password = becoming(self._node, self._user, self._become_password)
        return LocalStream(self._node, command, sudo, password)

    def put(self, content: bytes, path: str, *, mode: int = 0o600, root: bool = False) -> None:
        """Write `content` to the absolute `path`, atomically."""
        written = self.run(shell.put(content, path, mode, root=root))
        if not written.ok:
            raise FailedError(f"{self._node.name}: cannot write {path}: {written.error_text}", code="put.failed")

    def close(self) -> None:
        """End the commands that still run."""
        for process in tuple(self._running):
            _kill(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Run:
    """One process, its pipes and its deadline."""

    def __init__(
        self,
        node: Node,
        command: Command,
        sudo: Sudo | None,
        password: str | None,
        running: "set[subprocess.Popen[bytes]]",
    ) -> None:
        self._node = node
        self._command = command
        self._sudo = sudo
        self._password = password
        self._running = running
        self._dialogue = Dialogue(node, sudo) if sudo is not None else None
        self._output: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._pending = memoryview(b"" if self._asking else command.stdin)

    @property
    def _asking(self) -> bool:
        return self._dialogue is not None and not self._dialogue.running

    def completed(self) -> Completed:
        argv = shell.words(self._command, self._sudo)
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise UnreachableError(
                f"{self._node.name}: cannot start `{argv[0]}` here: {error.strerror}", code="local.start"
            ) from error
        self._running.add(process)
        try:
            status = self._talk(process, started)
        finally:
            self._running.discard(process)
            _end(process)
        seconds = time.monotonic() - started
        error_text = bytes(self._output["stderr"])
        self._check_sudo(status, error_text)
        return Completed(
            self._command,
            exit_status=status,
            stdout=bytes(self._output["stdout"]),
            stderr=error_text,
            seconds=seconds,
            timed_out=shell.has_timed_out(self._command, status, seconds),
        )

    def _check_sudo(self, status: int, stderr: bytes) -> None:
        if self._sudo is None or self._dialogue is None or status == 0:
            return
        text = stderr.decode("utf-8", "replace")
        problem = self._dialogue.explain() or never_ran(self._node, self._sudo, status, text)
        if problem is not None:
            raise problem

    def _talk(self, process: subprocess.Popen[bytes], started: float) -> int:
        """Feed and drain the process until it has ended and its output is closed; its exit status."""
        give_up = started + self._command.timeout + shell.KILL_AFTER + _GRACE
        assert process.stdin  # noqa: S101 - all three are pipes, for mypy
        assert process.stdout  # noqa: S101
        assert process.stderr  # noqa: S101
        with selectors.DefaultSelector() as selector:
            for name in ("stdin", "stdout", "stderr"):
                os.set_blocking(getattr(process, name).fileno(), False)
            selector.register(process.stdout, selectors.EVENT_READ, "stdout")
            selector.register(process.stderr, selectors.EVENT_READ, "stderr")
            self._feed(process, selector)
            ended: float | None = None
            while len(selector.get_map()) > (process.stdin in _objects(selector)):
                now = time.monotonic()
                if ended is None and process.poll() is not None:
                    ended = now
                limit = give_up if ended is None else min(give_up, ended + LINGER)
                if now >= limit:
                    break
                # A child that holds the output open tells nothing when its parent ends: look now and then.
                for key, _ in selector.select(min(limit - now, 0.2)):
                    if key.data == "stdin":
                        self._feed(process, selector)
                    else:
                        self._drain(process, selector, key)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, give_up - time.monotonic()))
        status = process.poll()
        if status is None:
            return 137
        return 128 - status if status < 0 else status

    def _drain(
        self, process: subprocess.Popen[bytes], selector: selectors.BaseSelector, key: selectors.SelectorKey
    ) -> None:
        data = os.read(key.fd, _CHUNK)
        if not data:
            selector.unregister(key.fileobj)
            return
        if key.data == "stderr" and self._dialogue is not None:
            heard = self._dialogue.hear(data)
            if heard.password_due:
                self._pending = memoryview(f"{self._password}\n".encode())
            if heard.started:
                self._pending = memoryview(self._command.stdin)
            if heard.password_due or heard.started:
                self._feed(process, selector)
            data = heard.own
        kept = self._output[key.data]
        kept += data
        if len(kept) > MAX_OUTPUT:
            raise too_much_output(self._node, self._command)

    def _feed(self, process: subprocess.Popen[bytes], selector: selectors.BaseSelector) -> None:
        """Write what the pipe takes; close it after the last byte of the command's own stdin."""
        assert process.stdin  # noqa: S101 - it is a pipe, for mypy
        if process.stdin.closed:
            return
        try:
            while self._pending:
                self._pending = self._pending[os.write(process.stdin.fileno(), self._pending[:_CHUNK]) :]
        except BlockingIOError:
            if process.stdin not in _objects(selector):
                selector.register(process.stdin, selectors.EVENT_WRITE, "stdin")
            return
        except BrokenPipeError:
            self._pending = memoryview(b"")
        if process.stdin in _objects(selector):
            selector.unregister(process.stdin)
        if not self._asking:
            process.stdin.close()


def _objects(selector: selectors.BaseSelector) -> set[object]:
    return {key.fileobj for key in selector.get_map().values()}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of the process behind that we may end."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    if process.poll() is None:
        _kill(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
