"""Whether the host that answered is the one we mean."""

import time
from dataclasses import dataclass

import paramiko

from aiops.layers.core.errors import UnreachableError
from aiops.layers.l0_nodes.certificate import Certificate, parse_certificate
from aiops.layers.l0_nodes.known_hosts import (
    DEFAULT_PORT,
    HostKey,
    Verdict,
    host_name,
    judge,
    ordered_algorithms,
)
from aiops.layers.l0_nodes.ssh_config import SshConfig
from aiops.layers.l0_nodes.trust import known_lines, name_of, remember

_TRUSTING = ("accept-new", "no")


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the host showed: its plain key, and who vouches for it, if anybody does."""

    key: HostKey
    authority: HostKey | None = None
    refusal: str | None = None


class HostKeys:
    """The known_hosts files as they matter to one host."""

    def __init__(self, config: SshConfig, node: str) -> None:
        self._config = config
        self._node = node
        # A jump host has no name in the inventory, and is trusted by ssh itself.
        self._trust = f"ssh {config.alias}" if ", by way of " in node else f"aiops node trust {node}"
        self._name = name_of(config)
        self._entries = known_lines(config, self._name)

    def algorithms(self) -> tuple[str, ...]:
        """The host key algorithms to ask for, best first."""
        wanted = self._config.host_key_algorithms
        return ordered_algorithms(wanted, self._entries) if self._config.reorders_host_keys else wanted

    def check(self, blob: bytes, peer: str | None) -> None:
        """Return when the host that showed `blob` is trusted.

        Args:
            blob: The key or certificate it proved to hold.
            peer: Its address on a direct connection, for CheckHostIP.

        Raises:
            UnreachableError: It is not; the message names file and line where there is one.
        """
        shown = self._read(blob)
        bits = paramiko.RSAKey(data=shown.key.blob).get_bits() if shown.key.kind == "ssh-rsa" else None
        if bits is not None and bits < self._config.least_rsa_bits:
            raise UnreachableError(
                f"{self._node}: the host key has {bits} bits, and RequiredRSASize is {self._config.least_rsa_bits}",
                code="ssh.host_key_weak",
            )
        verdict = self._verdict(shown)
        if verdict.kind in ("known", "unknown") and self._config.check_host_ip and peer is not None:
            by_address = judge(known_lines(self._config, host_name(peer, self._config.port)), shown.key)
            if by_address.kind in ("changed", "revoked"):
                verdict = by_address
        strict = self._config.strict
        if verdict.kind == "known" or (verdict.kind == "changed" and strict == "no"):
            return
        if verdict.kind == "unknown" and strict in _TRUSTING:
            remember(self._config, self._name, shown.key)
            return
        raise self._error(verdict, shown)

    def _read(self, blob: bytes) -> _Shown:
        try:
            certificate = parse_certificate(blob)
        except ValueError as error:
            raise UnreachableError(f"{self._node}: its host certificate: {error}", code="ssh.host_key") from error
        if certificate is None:
            return _Shown(HostKey(blob))
        name = (self._config.host_key_alias or self._config.host).lower()
        refusal = certificate.refusal(name, time.time(), self._config.authority_algorithms)
        if refusal is None and not _is_true(certificate):
            refusal = "its signature is false"
        key, authority = HostKey(certificate.plain), HostKey(certificate.authority)
        return _Shown(key, authority if refusal is None else None, refusal)

    def _verdict(self, shown: _Shown) -> Verdict:
        verdict = judge(self._entries, shown.key, shown.authority)
        config = self._config
        if verdict.kind == "unknown" and config.host_key_alias is None and config.port != DEFAULT_PORT:
            # As ssh does: a key known for the host without a port is good enough, a different one says nothing.
            plain = judge(known_lines(config, config.host.lower()), shown.key)
            if plain.kind == "known":
                return plain
        return verdict

    def _error(self, verdict: Verdict, shown: _Shown) -> UnreachableError:
        node, name, fingerprint = self._node, self._name, f"{shown.key.kind} {shown.key.fingerprint}"
        if verdict.kind == "revoked":
            return UnreachableError(
                f"{node}: the host key of {name} ({fingerprint}) is revoked in {verdict.place}",
                code="ssh.host_key_revoked",
                hints=["do not trust this host; its administrator must give it a new key"],
            )
        if verdict.kind == "broken":
            return UnreachableError(
                f"{node}: {verdict.place} is about {name}, but its key cannot be read",
                code="ssh.host_key_broken",
                hints=[f"mend or remove the line {verdict.place}"],
            )
        if verdict.kind == "changed":
            file = verdict.entry.file if verdict.entry else ""
            return UnreachableError(
                f"{node}: the host key of {name} has changed: {verdict.place} does not know {fingerprint}",
                code="ssh.host_key_changed",
                hints=[
                    "somebody may be listening in: ask its administrator for the fingerprint",
                    f"if the host was installed anew: `{self._trust} --replace`",
                    f"or remove the old key by hand: `ssh-keygen -R '{name}' -f {file}`",
                ],
            )
        reason = f" (it shows a certificate, but {shown.refusal})" if shown.refusal else ""
        return UnreachableError(
            f"{node}: the host key of {name} is not known: {fingerprint}{reason}",
            code="ssh.host_key_unknown",
            hints=[f"compare the fingerprint, then trust it: `{self._trust}`"],
        )


def _is_true(certificate: Certificate) -> bool:
    """Whether the authority really signed the certificate."""
    authority = HostKey(certificate.authority)
    try:
        key = paramiko.PKey.from_type_string(authority.kind, authority.blob)
        return bool(key.verify_ssh_sig(certificate.signed, paramiko.Message(certificate.signature)))
    except Exception:  # noqa: BLE001 - whatever a forged key makes of the parser, it is not true
        return False
