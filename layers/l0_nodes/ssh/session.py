"""One SSH connection: to the host, past its host key, and logged in."""

import contextlib
import ipaddress
import logging
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST
from paramiko.kex_curve25519 import KexCurve25519

from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.ssh_config import SshConfig

from .host_key import HostKeys
from .identity import Identities, Offer

_QUIET_AFTER = 15  # seconds of silence before the kernel asks whether the other end lives
_LOST_AFTER = 30_000  # milliseconds that sent data may stay unacknowledged

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what it would say is in our errors


# paramiko's own tables of algorithms and handlers, which have no public names.
_INNER: Mapping[str, Any] = {"Transport": vars(paramiko.Transport), "Channel": vars(paramiko.Channel)}
_KEY_TYPES: Mapping[str, Any] = _INNER["Transport"]["_key_info"]
_CIPHERS: Mapping[str, Any] = _INNER["Transport"]["_cipher_info"]
_MACS: Mapping[str, Any] = _INNER["Transport"]["_mac_info"]
# The two names mean the same exchange; some servers offer only the standard one.
_KEX: Mapping[str, Any] = {**_INNER["Transport"]["_kex_info"], "curve25519-sha256": KexCurve25519}


def _channel_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Understand `exit-signal`, which paramiko does not: the status of a command that signal N ended is 128+N."""
    start = message.packet.tell()
    if message.get_text() == "exit-signal":
        message.get_boolean()
        number = getattr(signal, f"SIG{message.get_text()}", signal.SIGHUP)
        channel.exit_status = 128 + number
        channel.status_event.set()
        return
    message.packet.seek(start)
    _INNER["Channel"]["_handle_request"](channel, message)


class _Session(paramiko.Transport):
    """paramiko's connection with the algorithms and the patience that the configuration asks for."""

    _kex_info: ClassVar = _KEX
    _channel_handler_table: ClassVar = {
        **_INNER["Transport"]["_channel_handler_table"],
        MSG_CHANNEL_REQUEST: _channel_request,
    }
    _active_check_timeout = 1.0  # an idle connection wakes once a second instead of ten times

    def __init__(self, sock: "socket.socket | paramiko.Channel", host_key_algorithms: Sequence[str]) -> None:
        super().__init__(sock)
        self._host_key_algorithms = tuple(name for name in host_key_algorithms if name in _KEY_TYPES)
        self.shown = b""

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        return self._host_key_algorithms

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        super()._verify_key(host_key, sig)  # type: ignore[misc]
        self.shown = host_key


@dataclass(frozen=True, slots=True)
class Way:
    """What opening a connection takes besides the configuration.

    Attributes:
        node: The node on whose behalf it is opened, for messages.
        seconds: Limit of each step: connecting, the handshake, logging in.
        through: Opens a channel to (host, port) on a jump host; None for a direct way.
    """

    node: str
    seconds: float
    through: Callable[[str, int], paramiko.Channel] | None = None


def open_session(config: SshConfig, identities: Identities, way: Way) -> paramiko.Transport:
    """A connection that is encrypted, whose host key is trusted, and that is logged in.

    Raises:
        UnreachableError: Something on the way there failed; the message says what and where.
    """
    host_keys = HostKeys(config, way.node)
    algorithms = _supported(host_keys.algorithms(), _KEY_TYPES, "HostKeyAlgorithms", way.node)
    session = _Session(_socket(config, way), algorithms)
    try:
        _handshake(session, config, way)
        host_keys.check(session.shown, _peer(session.sock, config))
        _log_in(session, config, identities, way)
    except BaseException:
        close_session(session)
        raise
    return session


def shown_key(config: SshConfig, way: Way, algorithms: Sequence[str]) -> bytes:
    """The key that the host shows when it is asked for one of `algorithms`; nobody says that it is to be trusted.

    Raises:
        UnreachableError: It does not answer, or has no such key (`ssh.handshake`).
    """
    session = _Session(_socket(config, way), algorithms)
    try:
        _handshake(session, config, way)
    finally:
        close_session(session)
    return session.shown


def close_session(session: paramiko.Transport) -> None:
    """Close it at once: the thread that listens is woken, not waited for."""
    sock = session.sock
    with contextlib.suppress(OSError, AttributeError):
        sock.shutdown(socket.SHUT_RDWR)
    session.close()
    sock.close()


def _socket(config: SshConfig, way: Way) -> "socket.socket | paramiko.Channel":
    if way.through is not None:
        return way.through(config.host, config.port)
    if config.proxy_command is not None:
        return _proxy(config.proxy_command, way.node)
    place = f"{config.host}:{config.port}"
    try:
        addresses = socket.getaddrinfo(config.host, config.port, config.family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnreachableError(
            f"{way.node}: the name {config.host} has no address: {_reason(error)}",
            code="ssh.name",
            hints=[f"set `ansible_host` for {way.node} in the inventory"],
        ) from error
    reason = "no address"
    for attempt in range(config.attempts):
        if attempt:
            time.sleep(1.0)  # as ssh does between its ConnectionAttempts
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(way.seconds)
                if config.bind_address is not None:
                    sock.bind((config.bind_address, 0))
                sock.connect(address)
                _keep_alive(sock, config)
            except OSError as error:
                sock.close()
                reason = _reason(error)
            else:
                return sock
    raise UnreachableError(f"{way.node} did not answer on {place}: {reason}", code="ssh.connect")


def _keep_alive(sock: socket.socket, config: SshConfig) -> None:
    """Let the kernel find out that the other end is gone: it costs no thread and no wake-up of ours."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = config.alive_interval or _QUIET_AFTER
    for name, value in (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPINTVL", max(1, idle // 3)),
        ("TCP_KEEPCNT", config.alive_count or 3),
        ("TCP_USER_TIMEOUT", max(_LOST_AFTER, 2000 * idle)),
    ):
        option = getattr(socket, name, None)  # not every system has each
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _proxy(command: str, node: str) -> socket.socket:
    """The near end of a ProxyCommand, which lives as long as the socket does."""
    near, far = socket.socketpair()
    try:
        process = subprocess.Popen(
            (os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {command}"),
            stdin=far.fileno(),
            stdout=far.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        near.close()
        raise UnreachableError(
            f"{node}: the ProxyCommand `{command}` does not start: {error}", code="ssh.proxy"
        ) from error
    finally:
        far.close()
    process.returncode = 0  # nobody waits for it; it ends when its socket is closed, and init or SIGCHLD reaps it
    return near


def _peer(sock: object, config: SshConfig) -> str | None:
    """The address at the other end of a direct connection; None for this machine, as ssh does not check it either."""
    if not isinstance(sock, socket.socket) or config.proxy_command is not None:
        return None
    address = str(sock.getpeername()[0])
    return None if ipaddress.ip_address(address.partition("%")[0]).is_loopback else address


def _supported(wanted: Sequence[str], known: Iterable[str], option: str, node: str) -> tuple[str, ...]:
    known = frozenset(known)
    names = tuple(name for name in wanted if name in known)
    if not names:
        raise UnreachableError(
            f"{node}: aiops supports none of the {option} that ssh's configuration allows: {', '.join(wanted)}",
            code="ssh.unsupported",
            hints=[f"allow {', '.join(sorted(known)[:4])} in {option} for this host"],
        )
    return names


def _handshake(session: _Session, config: SshConfig, way: Way) -> None:
    for kind, wanted, known, option in (
        ("kex", config.key_exchanges, _KEX, "KexAlgorithms"),
        ("ciphers", config.ciphers, _CIPHERS, "Ciphers"),
        ("macs", config.macs, _MACS, "MACs"),
        ("pubkeys", config.public_key_algorithms, _KEY_TYPES, "PubkeyAcceptedAlgorithms"),
    ):
        setattr(session, f"_preferred_{kind}", _supported(wanted, known, option, way.node))
    session.use_compression(config.compression)
    session.banner_timeout = session.handshake_timeout = session.auth_timeout = way.seconds
    session.channel_timeout = way.seconds
    place = f"{config.host}:{config.port}"
    try:
        session.start_client(timeout=way.seconds)
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise UnreachableError(
            f"{way.node}: no SSH handshake with {place}: {_reason(error)}", code="ssh.handshake"
        ) from error
    if not session.shown:
        raise UnreachableError(
            f"{way.node}: no SSH handshake with {place} within {way.seconds:g} s", code="ssh.handshake"
        )


def _log_in(session: _Session, config: SshConfig, identities: Identities, way: Way) -> None:
    """Show the keys one by one until one is taken."""
    offer = Offer(config, identities)
    place = f"{config.user}@{config.host}:{config.port}"
    shown = []
    with contextlib.closing(offer.keys()) as keys:
        for label, key in keys:
            if not _accepted(key, config.public_key_algorithms):
                offer.skipped.append(f"{label}: PubkeyAcceptedAlgorithms does not allow it")
                continue
            shown.append(label)
            try:
                if not session.auth_publickey(config.user, key):
                    return
            except paramiko.BadAuthenticationType as error:
                raise UnreachableError(
                    f"{way.node}: {place} lets nobody in by key, only by {', '.join(error.allowed_types)}",
                    code="ssh.auth",
                    hints=["allow `PubkeyAuthentication` in its sshd_config"],
                ) from error
            except paramiko.AuthenticationException:
                if not session.is_active():
                    break
            except (paramiko.SSHException, OSError, EOFError) as error:
                if session.is_active():
                    offer.skipped.append(f"{label}: {_reason(error)}")
                    continue
                raise UnreachableError(
                    f"{way.node}: {place} closed the connection after {len(shown)} keys: {_reason(error)}",
                    code="ssh.auth",
                    hints=["name the right key by `ansible_ssh_private_key_file` and set `IdentitiesOnly yes`"],
                ) from error
    tried = ", ".join(shown) or "no key at all"
    skipped = f" (not shown: {'; '.join(offer.skipped)})" if offer.skipped else ""
    raise UnreachableError(
        f"{way.node}: {place} does not let us in with {tried}{skipped}",
        code="ssh.auth",
        hints=[f"unlock the key: `ssh-add {path}`" for path in offer.encrypted]
        or [f"put your public key there: `{_copying(config)}`"],
    )


def _copying(config: SshConfig) -> str:
    """The command that puts the configured key there, or ssh's own choice where there is none on this machine."""
    keys = [path for path in config.identity_files if Path(f"{path}.pub").is_file()]
    identity = ["-i", f"{keys[0]}.pub"] if keys else []
    return shlex.join(["ssh-copy-id", *identity, "-p", str(config.port), f"{config.user}@{config.host}"])


def _accepted(key: paramiko.PKey, algorithms: Sequence[str]) -> bool:
    """Whether a key, or its certificate, may be used with one of the algorithms."""
    kind = key.public_blob.key_type if key.public_blob is not None else key.get_name()
    if kind.startswith("ssh-rsa"):  # a key of this kind signs by other names
        suffix = kind.removeprefix("ssh-rsa")
        return any(f"{name}{suffix}" in algorithms for name in ("rsa-sha2-256", "rsa-sha2-512"))
    return kind in algorithms


def _reason(error: BaseException) -> str:
    """An exception in words; some have none of their own."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, EOFError):
        return "the connection was closed"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = str(error).replace("Error reading SSH protocol banner", "it says nothing, or not SSH: ")
    return said.strip(" :") or type(error).__name__
