"""One command on one channel of a connection."""

import contextlib
import threading
import time

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import AiopsError, UnreachableError
from aiops.layers.l0_nodes import shell
from aiops.layers.l0_nodes.become import Dialogue, Sudo, never_ran
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import LINGER, MAX_OUTPUT, too_much_output

_GRACE = 5.0  # seconds that the node's own `timeout` may be late before we stop waiting for it
_SENT_AT_ONCE = 1_048_576  # below sshd's first window, so sending it waits for nobody
_LOOK = 0.5  # seconds between looks at what no event tells: a command that ended while a child keeps its output open
_CHUNK = 1_048_576


class _Wake(threading.Event):
    """Set by paramiko when something came on either stream; only we clear it, since the two share it."""

    def clear(self) -> None:
        """Do nothing: one stream is empty, the other may not be."""

    def rest(self) -> None:
        """Forget that something came."""
        super().clear()


class Process:
    """A command, what it has said so far, and the talk with sudo before it."""

    def __init__(self, node: Node, command: Command, sudo: Sudo | None, password: str | None) -> None:
        self._node = node
        self._command = command
        self._sudo = sudo
        self._password = password
        self._dialogue = Dialogue(node, sudo) if sudo is not None else None
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._wake = _Wake()

    def completed(self, session: paramiko.Transport) -> Completed:
        """Run it and wait for its end.

        Raises:
            UnreachableError: The connection broke, or the node runs no commands for us.
            FailedError: sudo did not let it run, or its output is endless.
        """
        started = time.monotonic()
        line = shell.line(shell.words(self._command, self._sudo))
        try:
            channel = session.open_session(timeout=session.channel_timeout)
            with contextlib.closing(channel):
                execute(session, channel, line)
                status = self._talk(session, channel, started)
        except (paramiko.SSHException, OSError, EOFError) as error:
            if isinstance(error, AiopsError):
                raise
            if session.is_active() and not isinstance(error, paramiko.ChannelException):
                raise UnreachableError(
                    f"{self._node.name}: its kernel keeps the connection and nothing answers on it "
                    f"(frozen, or far too busy): {error}",
                    code="ssh.silent",
                ) from error
            raise UnreachableError(
                f"{self._node.name}: the connection broke: {error or 'closed by the other end'}", code="ssh.lost"
            ) from error
        seconds = time.monotonic() - started
        stderr = bytes(self._stderr)
        if self._sudo is not None and self._dialogue is not None and status != 0:
            text = stderr.decode("utf-8", "replace")
            problem = self._dialogue.explain() or never_ran(self._node, self._sudo, status, text)
            if problem is not None:
                raise problem
        return Completed(
            self._command,
            exit_status=status,
            stdout=bytes(self._stdout),
            stderr=stderr,
            seconds=seconds,
            timed_out=shell.has_timed_out(self._command, status, seconds),
        )

    def _talk(self, session: paramiko.Transport, channel: paramiko.Channel, started: float) -> int:
        """Feed and drain the command until it has ended and its output is closed; its exit status."""
        give_up = started + self._command.timeout + shell.KILL_AFTER + _GRACE
        channel.in_buffer.set_event(self._wake)
        channel.in_stderr_buffer.set_event(self._wake)
        if self._dialogue is None or self._dialogue.running:
            self._send_stdin(channel)
        ended: float | None = None
        while True:
            self._wake.rest()
            finished = channel.eof_received or channel.closed
            self._drain(channel)
            now = time.monotonic()
            if finished and (channel.closed or channel.status_event.is_set()):
                break
            if ended is None and channel.status_event.is_set():
                ended = now
            limit = give_up if ended is None else min(give_up, ended + LINGER)
            if now >= limit:
                break
            self._wake.wait(min(limit - now, _LOOK))
        self._drain(channel)
        if channel.status_event.is_set() and channel.exit_status >= 0:
            return int(channel.exit_status)
        if time.monotonic() >= give_up:
            return 137
        if not session.is_active():
            raise EOFError("it was closed while the command ran")
        raise UnreachableError(
            f"{self._node.name}: its sshd runs no commands for us",
            code="ssh.no_command",
            hints=["look for ForceCommand or a restricted shell of the login user there"],
        )

    def _drain(self, channel: paramiko.Channel) -> None:
        while channel.recv_ready():
            self._stdout += channel.recv(_CHUNK)
        while channel.recv_stderr_ready():
            data = channel.recv_stderr(_CHUNK)
            if self._dialogue is not None:
                heard = self._dialogue.hear(data)
                if heard.password_due:
                    channel.sendall(f"{self._password}\n".encode())
                if heard.started:
                    self._send_stdin(channel)
                data = heard.own
            self._stderr += data
        if max(len(self._stdout), len(self._stderr)) > MAX_OUTPUT:
            raise too_much_output(self._node, self._command)

    def _send_stdin(self, channel: paramiko.Channel) -> None:
        content = self._command.stdin
        if len(content) <= _SENT_AT_ONCE:
            _send(channel, content)
        else:  # it waits for the reader, who may wait for us to take what it writes
            threading.Thread(target=_send, args=(channel, content), daemon=True, name="ssh-stdin").start()


def _send(channel: paramiko.Channel, content: bytes) -> None:
    """Send it all and close; a command that ended without reading is not an error."""
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        if content:
            channel.sendall(content)
        channel.shutdown_write()


def execute(session: paramiko.Transport, channel: paramiko.Channel, line: str) -> None:
    """Ask for the command without waiting for the answer: paramiko would wait for ever, and a round trip more.

    A refusal closes the channel, which is noticed where its output is waited for.
    """
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(True)
    message.add_string(line)
    session._send_user_message(message)  # type: ignore[attr-defined]  # noqa: SLF001 - `exec_command` has no timeout
