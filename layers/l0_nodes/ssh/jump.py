"""Jump hosts: the way through, shared by all nodes that lie behind."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import paramiko

from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.ssh_config import Resolver, SshConfig

from .identity import Identities
from .session import Way, close_session, open_session

_DEPTH = 8  # jump hosts in a row; more is a circle


@dataclass(frozen=True, slots=True)
class _Jump:
    """A jump host as it is shared: the same words are the same connection."""

    host: str
    words: tuple[str, ...]


class _Forwarded(paramiko.Channel):
    """A channel that stands in for a socket: like a socket, it can be closed after the other end is gone.

    paramiko's own raises EOFError then, in the thread that listens, which would leave those who wait for it waiting.
    """

    def close(self) -> None:
        with contextlib.suppress(EOFError):
            super().close()


@dataclass
class _Shared:
    lock: threading.Lock = field(default_factory=threading.Lock)
    session: paramiko.Transport | None = None
    users: int = 0
    below: Callable[[], None] | None = None


class JumpHosts:
    """Connections to jump hosts, one each, kept while somebody goes through."""

    def __init__(self, resolver: Resolver, identities: Identities, seconds: float) -> None:
        self._resolver = resolver
        self._identities = identities
        self._seconds = seconds
        self._shared: dict[_Jump, _Shared] = {}
        self._lock = threading.Lock()

    def connect(self, config: SshConfig, node: str, depth: int = 0) -> tuple[paramiko.Transport, Callable[[], None]]:
        """A connection by `config`, through its jump hosts, and what lets go of those.

        Raises:
            UnreachableError: The host, or a jump host on the way, cannot be reached.
        """
        way, release = self.way(config, node, depth)
        try:
            return open_session(config, self._identities, way), release
        except BaseException:
            release()
            raise

    def way(self, config: SshConfig, node: str, depth: int = 0) -> tuple[Way, Callable[[], None]]:
        """The way to a host up to its door, and what lets go of it.

        Raises:
            UnreachableError: A jump host on the way cannot be reached.
        """
        seconds = min(self._seconds, config.connect_timeout or self._seconds)
        if config.proxy_jump is None:
            return Way(node, seconds), lambda: None
        if depth >= _DEPTH:
            raise UnreachableError(
                f"{node}: ProxyJump goes in circles: {config.proxy_jump}",
                code="ssh.jump",
                hints=[f"set `ProxyJump none` for {config.proxy_jump} in ~/.ssh/config"],
            )
        jump = _jump(config)
        session, release = self._through(jump, node, depth)
        return Way(node, seconds, lambda host, port: _forward(session, host, port, node=node, jump=jump.host)), release

    def _through(self, jump: _Jump, node: str, depth: int) -> tuple[paramiko.Transport, Callable[[], None]]:
        with self._lock:
            shared = self._shared.setdefault(jump, _Shared())
        with shared.lock:
            if shared.session is None or not shared.session.is_active():
                config = self._resolver.resolve(node, jump.host, jump.words)
                shared.session, shared.below = self.connect(config, f"{node}, by way of {jump.host}", depth + 1)
            shared.users += 1
            return shared.session, lambda: self._release(shared)

    @staticmethod
    def _release(shared: _Shared) -> None:
        with shared.lock:
            shared.users -= 1
            if shared.users > 0 or shared.session is None:
                return
            session, below = shared.session, shared.below
            shared.session = shared.below = None
        close_session(session)
        if below is not None:
            below()


def _jump(config: SshConfig) -> _Jump:
    """The last jump host and how ssh would be called for it: only `-F` and the jumps before it are handed on."""
    *before, last = (config.proxy_jump or "").split(",")
    last = last.removeprefix("ssh://").rstrip("/")
    user, _, place = last.rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    words: list[str] = []
    if user:
        words += ["-l", user]
    if port:
        words += ["-p", port]
    if before:
        words += ["-J", ",".join(before)]
    if config.config_file is not None:
        words += ["-F", config.config_file]
    return _Jump(host, tuple(words))


def _forward(session: paramiko.Transport, host: str, port: int, *, node: str, jump: str) -> paramiko.Channel:
    try:
        channel = session.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=session.channel_timeout)
    except (paramiko.SSHException, OSError, EOFError) as error:
        reason = error.text if isinstance(error, paramiko.ChannelException) else str(error)
        raise UnreachableError(
            f"{node}: the jump host {jump} cannot reach {host}:{port}: {reason}", code="ssh.jump"
        ) from error
    channel.__class__ = _Forwarded  # paramiko makes its channels itself
    return channel
