"""A command that is talked with for as long as its channel is open."""

import contextlib
import threading
import time
from collections.abc import Callable

import paramiko

from aiops.layers.core.command import Command
from aiops.layers.core.errors import AiopsError, UnreachableError
from aiops.layers.l0_nodes import shell
from aiops.layers.l0_nodes.become import Dialogue, Sudo, never_ran
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import MAX_SAID

from .process import execute

_CHUNK = 262_144


class _Bell(threading.Event):
    """Rung by paramiko, in its own thread, when something has come on either stream or the channel has closed."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def set(self) -> None:
        super().set()
        self._ring()

    def clear(self) -> None:
        """Do nothing: one stream is empty, the other may not be."""


class SshStream:
    """The open channel, as `transport.Channel` asks it to be."""

    def __init__(self, node: Node, command: Command, sudo: Sudo | None, release: Callable[[], None]) -> None:
        """Prepare; nothing runs yet.

        Args:
            node: The node at the other end.
            command: What is to run; its `stdin` is sent first.
            sudo: How root is reached, or None.
            release: Called once, when the channel is closed.
        """
        self._node = node
        self._command = command
        self._sudo = sudo
        self._dialogue = Dialogue(node, sudo) if sudo is not None else None
        self._release: Callable[[], None] | None = release
        self._said = b""
        self._call: Callable[[], None] = lambda: None
        self._channel: paramiko.Channel | None = None
        self._came = threading.Event()

    def begin(self, session: paramiko.Transport, password: str | None) -> None:
        """Have the command run.

        Raises:
            UnreachableError: The connection broke, or nothing answers on it.
            FailedError: sudo did not let it run.
        """
        try:
            channel = self._channel = session.open_session(timeout=session.channel_timeout)
            channel.settimeout(session.channel_timeout)
            execute(session, channel, shell.line(shell.words(self._command, self._sudo, limited=False)))
            bell = _Bell(self._rung)
            channel.in_buffer.set_event(bell)
            channel.in_stderr_buffer.set_event(bell)
            if self._dialogue is not None and not self._dialogue.running:
                self._become(channel, password, time.monotonic() + session.channel_timeout)
            channel.sendall(self._command.stdin)
            channel.settimeout(0.0)
        except AiopsError:
            self.close()
            raise
        except (paramiko.SSHException, OSError, EOFError) as error:
            self.close()
            raise UnreachableError(
                f"{self._node.name}: the connection broke: {error or 'closed by the other end'}", code="ssh.lost"
            ) from error

    def send(self, data: bytes) -> int:
        """Send what can be sent now; how many bytes that is."""
        channel = self._channel
        if channel is None:
            raise self._lost("it was closed")
        try:
            sent = channel.send(data)
        except TimeoutError:
            return 0
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(str(error)) from error
        if not sent:
            raise self._lost("closed by the other end")
        return int(sent)

    def receive(self) -> bytes | None:
        """What has come; empty for nothing, None at the end."""
        channel = self._channel
        if channel is None:
            return None
        ended = channel.eof_received or channel.closed
        while channel.recv_stderr_ready():
            self._said = (self._said + channel.recv_stderr(_CHUNK))[-MAX_SAID:]
        if channel.recv_ready():
            return bytes(channel.recv(_CHUNK))
        return None if ended else b""

    def said(self) -> str:
        """The last of what it wrote on stderr."""
        text = self._said.decode("utf-8", "replace").strip()
        channel = self._channel
        if self._sudo is not None and channel is not None and channel.status_event.is_set():
            problem = never_ran(self._node, self._sudo, int(channel.exit_status), text)
            if problem is not None:
                return problem.message
        return text

    def on_news(self, call: Callable[[], None]) -> None:
        """Have `call` called when something has come."""
        self._call = call
        call()

    def close(self) -> None:
        """End it; what it has started on the node in other sessions goes on."""
        channel, self._channel = self._channel, None
        release, self._release = self._release, None
        if channel is not None:
            with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
                channel.close()
        if release is not None:
            release()

    def _rung(self) -> None:
        self._came.set()
        self._call()

    def _become(self, channel: paramiko.Channel, password: str | None, deadline: float) -> None:
        assert self._dialogue is not None  # noqa: S101 - its only caller has looked, for mypy
        while not self._dialogue.running:
            self._came.clear()
            while channel.recv_stderr_ready():
                heard = self._dialogue.hear(channel.recv_stderr(_CHUNK))
                if heard.password_due:
                    channel.sendall(f"{password}\n".encode())
                self._said = (self._said + heard.own)[-MAX_SAID:]
            if self._heard_start():
                return
            if channel.eof_received or channel.closed:
                raise self._dialogue.explain() or self._lost("closed by the other end")
            if not self._came.wait(max(0.0, deadline - time.monotonic())):
                raise self._lost("sudo gives no answer")

    def _heard_start(self) -> bool:
        return self._dialogue is None or self._dialogue.running

    def _lost(self, why: str) -> UnreachableError:
        return UnreachableError(f"{self._node.name}: the channel broke: {why or 'closed'}", code="ssh.lost")
