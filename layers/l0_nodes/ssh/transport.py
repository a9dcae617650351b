"""The transport over SSH: one connection, many commands."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import paramiko

from aiops.layers.core.command import Command, Completed
from aiops.layers.core.errors import FailedError, UnreachableError
from aiops.layers.l0_nodes import shell
from aiops.layers.l0_nodes.become import becoming
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.ssh_config import Resolver

from .jump import JumpHosts
from .process import Process
from .session import close_session
from .stream import SshStream

_CHANNELS = 8  # sshd's MaxSessions is 10 unless somebody lowered it


class SshTransport:
    """One connection to one node, made when first needed; safe to use from several threads."""

    def __init__(
        self,
        node: Node,
        resolver: Resolver,
        jumps: JumpHosts,
        become_password: Callable[[], str | None] | None = None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            node: The node to reach.
            resolver: Knows ssh's configuration.
            jumps: Opens connections, through shared jump hosts where there are any.
            become_password: Gives sudo's password when a command needs root, or None when sudo asks for none.
        """
        self._node = node
        self._resolver = resolver
        self._jumps = jumps
        self._become_password = become_password
        self._lock = threading.Lock()
        self._channels = threading.BoundedSemaphore(_CHANNELS)
        self._session: paramiko.Transport | None = None
        self._release: Callable[[], None] = lambda: None
        self._user = ""
        self._closed = False

    @property
    def node(self) -> Node:
        """The node at the other end."""
        return self._node

    def run(self, command: Command) -> Completed:
        """Run `command` and wait for its end, or its timeout."""
        session = self._connected()
        sudo, password = None, None
        if command.root:
            sudo, password = becoming(self._node, self._user, self._become_password)
        with self._channels:
            return Process(self._node, command, sudo, password).completed(session)

    def open(self, command: Command) -> SshStream:
        """Start `command` and talk with it until its channel is closed."""
        session = self._connected()
        sudo, password = None, None
        if command.root:
            sudo, password = becoming(self._node, self._user, self._become_password)
        if not self._channels.acquire(blocking=False):
            raise UnreachableError(f"{self._node.name}: too many channels are open to it", code="ssh.channels")
        stream = SshStream(self._node, command, sudo, self._channels.release)
        stream.begin(session, password)
        return stream

    def put(self, content: bytes, path: str, *, mode: int = 0o600, root: bool = False) -> None:
        """Write `content` to the absolute `path`, atomically; never through argv."""
        written = self.run(shell.put(content, path, mode, root=root))
        if not written.ok:
            raise FailedError(f"{self._node.name}: cannot write {path}: {written.error_text}", code="put.failed")

    def close(self) -> None:
        """Let go of the connection; commands that still run fail as unreachable."""
        self._closed = True
        # Whoever is connecting just now holds the lock, for seconds perhaps, and lets go itself when it is done.
        if self._lock.acquire(timeout=0.1):
            try:
                self._let_go()
            finally:
                self._lock.release()

    def _let_go(self) -> None:
        session, self._session = self._session, None
        release, self._release = self._release, lambda: None
        if session is not None:
            close_session(session)
        release()

    def _connected(self) -> paramiko.Transport:
        with self._lock:
            if not self._closed and (self._session is None or not self._session.is_active()):
                self._let_go()
                config = self._resolver.of_node(self._node.name, self._node.connection)
                self._session, self._release = self._jumps.connect(config, self._node.name)
                self._user = config.user
            if self._closed:
                self._let_go()
            if self._session is None:
                raise UnreachableError(f"{self._node.name}: the connection was closed", code="ssh.closed")
            return self._session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
