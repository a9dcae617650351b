"""Keys: one pair lets us into every host of a lab; each host has keys of its own, known before it boots."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .machine import run
from .state import HostState

KEY = "id_ed25519"


@dataclass(frozen=True, slots=True)
class HostKeys:
    """What goes onto a host: its own key pair, and the public key that root accepts."""

    private: str = field(repr=False)
    public: str
    login: str


def make_keys(folder: Path, hosts: Iterable[HostState]) -> None:
    """Make the lab's login key, and one host key per host, in `folder/keys`."""
    keys = folder / "keys"
    keys.mkdir(exist_ok=True, mode=0o700)
    _make_key(keys / KEY, "aiops-lab")
    for host in hosts:
        _make_key(keys / f"host-{host.name}", f"root@{host.name}")


def _make_key(path: Path, comment: str) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def host_keys(folder: Path, host: HostState) -> HostKeys:
    """Read the keys of `host` back."""
    own = folder / "keys" / f"host-{host.name}"
    return HostKeys(
        private=own.read_text("ascii"),
        public=own.with_suffix(".pub").read_text("ascii"),
        login=login_key(folder).with_suffix(".pub").read_text("ascii"),
    )


def login_key(folder: Path) -> Path:
    """The private key that lets us in."""
    return folder / "keys" / KEY


def known_hosts(folder: Path, hosts: Iterable[HostState]) -> str:
    """The lines of the lab's known_hosts: real keys, so that checking is as strict as anywhere."""
    lines = []
    for host in hosts:
        kind, key, *_ = (folder / "keys" / f"host-{host.name}.pub").read_text("ascii").split()
        lines.append(f"{host.address} {kind} {key}\n")
    return "".join(lines)
