"""The keys that a host shows to anybody, fetched the way we would connect, through jump hosts too."""

from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.certificate import CERTIFICATE_SUFFIX
from aiops.layers.l0_nodes.known_hosts import HostKey
from aiops.layers.l0_nodes.ssh_config import SshConfig

from .jump import JumpHosts
from .session import shown_key

_FAMILIES = ("ssh-ed25519", "ecdsa-sha2-", "rsa-sha2-")


def scan(config: SshConfig, node: str, jumps: JumpHosts) -> tuple[HostKey, ...]:
    """All plain host keys of the kinds that the configuration allows, best first.

    Raises:
        UnreachableError: The host does not answer, or shows no key of an allowed kind.
    """
    found: list[HostKey] = []
    refusal: UnreachableError | None = None
    for family in _FAMILIES:  # a host shows one key per connection
        algorithms = tuple(
            name
            for name in config.host_key_algorithms
            if name.startswith(family) and not name.endswith(CERTIFICATE_SUFFIX)
        )
        if not algorithms:
            continue
        way, release = jumps.way(config, node)
        try:
            found.append(HostKey(shown_key(config, way, algorithms)))
        except UnreachableError as error:
            if error.code != "ssh.handshake":
                raise
            refusal = error
        finally:
            release()
    if not found:
        raise refusal or UnreachableError(
            f"{node}: ssh's configuration allows no kind of host key that aiops knows", code="ssh.unsupported"
        )
    return tuple(found)
