"""The keys that may be shown to a node, in the order in which ssh shows them."""

import base64
import contextlib
import copy
import socket
import struct
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH

from aiops.layers.l0_nodes.certificate import parse_certificate
from aiops.layers.l0_nodes.ssh_config import SshConfig

_AGENT_SECONDS = 10.0
_OPENSSH_MAGIC = b"openssh-key-v1\0"
_MAX_KEY_FILE = 1_048_576


@dataclass
class Identities:
    """Keys read from files, once per process: every node is shown the same ones."""

    _keys: dict[str, paramiko.PKey | str | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def private(self, path: str) -> paramiko.PKey | str | None:
        """The private key in a file; a reason when it cannot be used; None when there is no such file."""
        with self._lock:
            if path not in self._keys:
                self._keys[path] = _read_private(path)
            return self._keys[path]


def _read_private(path: str) -> paramiko.PKey | str | None:
    file = Path(path)
    try:
        file.stat()
        key = paramiko.PKey.from_path(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path}: {error.strerror}"
    except (paramiko.PasswordRequiredException, TypeError):
        return f"{path}: it is encrypted"
    except Exception:  # noqa: BLE001 - cryptography has its own family; a key file must not break a run
        return f"{path}: {_unreadable(file)}"
    key.public_blob = None  # certificates are chosen by `shown`, not by their file's name alone
    return key


def _unreadable(file: Path) -> str:
    """Why a file that could be opened is no key for us; what the libraries say of it is of no use to anybody."""
    if b"PRIVATE KEY-----" not in file.read_bytes():
        return "it is not a private key"
    return "it is damaged, or of a kind that is not known here (RSA, ECDSA and Ed25519 are)"


@dataclass
class Offer:
    """Yields what is shown to one node, and notes what could not be."""

    config: SshConfig
    identities: Identities
    skipped: list[str] = field(default_factory=list)
    encrypted: list[str] = field(default_factory=list)

    def keys(self) -> Generator[tuple[str, paramiko.PKey]]:
        """`(label, key)`: the agent's keys that are configured, its others, then files; certificates before keys.

        Close the iterator to let go of the agent.
        """
        certificates = self._certificates()
        files = self.config.identity_files
        public = {path: blob for path in files if (blob := _public(path)) is not None}
        agent = _Agent(self.config.agent)
        try:
            held = {bytes(key.blob): key for key in agent.keys(self.skipped)}
            shown: set[bytes] = set()
            chosen = [blob for path in files if (blob := public.get(path)) in held]
            if not self.config.identities_only:
                chosen += [blob for blob in held if blob not in chosen]
            for blob in dict.fromkeys(chosen):
                shown.add(blob)
                yield from _with_certificates("the agent's " + (held[blob].comment or "key"), held[blob], certificates)
        finally:
            agent.close()
        for path in files:
            if public.get(path) in shown:
                continue
            key = self.identities.private(path)
            if isinstance(key, str):
                self.skipped.append(key)
                if key.endswith("it is encrypted"):
                    self.encrypted.append(path)
            elif key is not None and key.asbytes() not in shown:
                shown.add(key.asbytes())
                yield from _with_certificates(path, key, certificates)

    def _certificates(self) -> list[tuple[str, bytes, bytes]]:
        """`(path, certified plain key, certificate)` of every certificate file there is."""
        found = []
        for path in (*self.config.certificate_files, *(f"{path}-cert.pub" for path in self.config.identity_files)):
            with contextlib.suppress(OSError, ValueError, IndexError):
                blob = base64.b64decode(_read(path).split()[1])
                certificate = parse_certificate(blob)
                if certificate is not None:
                    found.append((path, certificate.plain, blob))
        return found


def _with_certificates(
    label: str, key: paramiko.PKey, certificates: list[tuple[str, bytes, bytes]]
) -> Iterator[tuple[str, paramiko.PKey]]:
    for path, plain, blob in certificates:
        if plain == key.asbytes():
            certified = copy.copy(key)
            certified.public_blob = paramiko.pkey.PublicBlob.from_message(paramiko.Message(blob))
            yield path, certified
    yield label, key


def _public(path: str) -> bytes | None:
    """The public key that belongs to a private key file, without reading its private part."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return base64.b64decode(_read(f"{path}.pub").split()[1])
    with contextlib.suppress(OSError, ValueError, IndexError, struct.error):
        lines = [line for line in _read(path).splitlines() if not line.startswith(b"-----")]
        data = base64.b64decode(b"".join(lines))
        if data.startswith(_OPENSSH_MAGIC):
            position = len(_OPENSSH_MAGIC)
            for _ in range(3):  # cipher, key derivation, its options
                position += 4 + struct.unpack_from(">I", data, position)[0]
            position += 4  # the number of keys, always 1
            (length,) = struct.unpack_from(">I", data, position)
            return data[position + 4 : position + 4 + length]
    return None


def _read(path: str) -> bytes:
    with Path(path).open("rb") as stream:
        return stream.read(_MAX_KEY_FILE)


class _Agent:
    """One conversation with the ssh agent."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._agent = AgentSSH()

    def keys(self, skipped: list[str]) -> tuple[paramiko.AgentKey, ...]:
        """The keys it holds; when it does not answer, `skipped` says so."""
        if self._path is None:
            return ()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_AGENT_SECONDS)
        try:
            connection.connect(self._path)
            self._agent._connect(connection)  # type: ignore[attr-defined]  # noqa: SLF001 - paramiko's public way knows only SSH_AUTH_SOCK
        except (OSError, paramiko.SSHException) as error:
            connection.close()
            skipped.append(f"the agent at {self._path}: {error}")
            return ()
        return self._agent.get_keys()

    def close(self) -> None:
        self._agent._close()  # type: ignore[attr-defined]  # noqa: SLF001 - as above
