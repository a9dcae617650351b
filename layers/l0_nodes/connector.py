"""Makes the transport of any node: the one thing a `Fleet` needs to be given."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .known_hosts import HostKey
from .local import LocalTransport
from .node import Node
from .ssh_config import Resolver
from .transport import Transport

if TYPE_CHECKING:
    from .ssh import JumpHosts

CONNECT_SECONDS = 10.0


class Connector:
    """`Fleet(Connector(environment))`; what nodes have in common (ssh's configuration, keys, jump hosts) is shared."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        become_password: Callable[[Node], str | None] | None = None,
        seconds: float = CONNECT_SECONDS,
    ) -> None:
        """Prepare; nothing is read or connected yet.

        Args:
            environment: For ssh's own lookups (SSH_AUTH_SOCK, variables in its configuration).
            become_password: Gives the password that sudo wants on a node, or None where it wants none. It is asked
                only when a command needs root and the login user is not root.
            seconds: Limit of each step of connecting; a ConnectTimeout in ssh's configuration lowers it.
        """
        self.resolver = Resolver(environment)
        self._become_password = become_password
        self._seconds = seconds
        self._jumps: JumpHosts | None = None
        self._lock = threading.Lock()

    def __call__(self, node: Node) -> Transport:
        """The transport of `node`; it connects when it is first used."""
        password = None
        if self._become_password is not None:
            ask = self._become_password

            def password() -> str | None:
                return ask(node)

        if node.connection.kind == "local":
            return LocalTransport(node, password)
        from .ssh import SshTransport

        return SshTransport(node, self.resolver, self._jump_hosts(), password)

    def host_keys(self, node: Node) -> tuple[HostKey, ...]:
        """The keys a node shows to anybody, whether we trust them or not.

        Raises:
            UnreachableError: It does not answer.
        """
        from .ssh import scan

        return scan(self.resolver.of_node(node.name, node.connection), node.name, self._jump_hosts())

    def _jump_hosts(self) -> "JumpHosts":
        from .ssh import Identities, JumpHosts

        with self._lock:
            if self._jumps is None:
                self._jumps = JumpHosts(self.resolver, Identities(), self._seconds)
            return self._jumps
