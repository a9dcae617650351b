"""A real sshd on a high port of the loopback, for tests: its keys, its client's keys and its configuration."""

import contextlib
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiops.layers.l0_nodes.node import Connection, Node

SSHD = "/usr/sbin/sshd"
USER = pwd.getpwuid(os.getuid()).pw_name


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keygen(path: Path, kind: str = "ed25519", *, passphrase: str = "", bits: int | None = None) -> Path:
    """Make a key pair; the path of the private key."""
    size = ["-b", str(bits)] if bits else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", path.name, "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


def public(path: Path) -> str:
    """`ssh-ed25519 AAAA...` of a private key's path."""
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def sign_host(authority: Path, key: Path, principals: str, *, validity: str = "-1m:+1h", host: bool = True) -> Path:
    """Certify a key; the path of the certificate."""
    flag = ["-h"] if host else []
    command = ["ssh-keygen", "-q", "-s", str(authority), "-I", key.name, *flag, "-V", validity]
    subprocess.run([*command, *(["-n", principals] if principals else []), f"{key}.pub"], check=True)
    return Path(f"{key}-cert.pub")


@dataclass
class Sshd:
    """A running server and what its client needs."""

    folder: Path
    port: int
    host_keys: tuple[Path, ...]
    client_key: Path
    process: "subprocess.Popen[bytes] | None" = None
    known_hosts: Path = field(init=False)

    def __post_init__(self) -> None:
        self.known_hosts = self.folder / "known_hosts"
        self.known_hosts.write_text(self.known_line())

    @property
    def name(self) -> str:
        """Its name in known_hosts."""
        return f"[127.0.0.1]:{self.port}"

    def known_line(self, name: str | None = None, key: Path | None = None) -> str:
        """A plain known_hosts line."""
        return f"{name or self.name} {public(key or self.host_keys[0])}\n"

    @property
    def ssh_arguments(self) -> tuple[str, ...]:
        """What makes ssh see this server and nothing of this machine's configuration."""
        return (
            "-F",
            "none",
            "-o",
            f"UserKnownHostsFile={self.known_hosts}",
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            "IdentityAgent=none",
        )


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    host_keys: tuple[Path, ...] = (),
    certificates: tuple[Path, ...] = (),
    addresses: tuple[str, ...] = ("127.0.0.1",),
    extra: str = "",
) -> Iterator[Sshd]:
    """Start a server in `folder` and wait until it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    host_keys = host_keys or (keygen(folder / "host"),)
    client = folder / "client"
    if not client.exists():
        keygen(client)
    authorized = folder / "authorized_keys"
    authorized.write_text(public(client) + "\n")
    authorized.chmod(0o600)
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    config = folder / "sshd_config"
    lines = [
        f"Port {port}",
        *(f"ListenAddress {address}" for address in addresses),
        "UsePAM no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "StrictModes no",
        "PidFile none",
        "MaxStartups 200",
        f"AuthorizedKeysFile {authorized}",
        *(f"HostKey {key}" for key in host_keys),
        *(f"HostCertificate {certificate}" for certificate in certificates),
        extra,
    ]
    config.write_text("\n".join(lines) + "\n")
    with (folder / "sshd.log").open("ab") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=log, stdin=subprocess.DEVNULL)
        try:
            _wait(port, process, folder / "sshd.log")
            yield Sshd(folder, port, host_keys, client, process)
        finally:
            process.terminate()
            process.wait(10)


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
            probe.settimeout(2)
            if probe.recv(4) == b"SSH-":
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def node_of(server: Sshd, name: str = "n1", **changes: Any) -> Node:
    """The server as a node of an inventory; `changes` are fields of its connection."""
    fields: dict[str, Any] = {
        "address": "127.0.0.1",
        "port": server.port,
        "user": USER,
        "key_file": str(server.client_key),
        "ssh_arguments": server.ssh_arguments,
    }
    return Node(name, connection=Connection(**{**fields, **changes}))
