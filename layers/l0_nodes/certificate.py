"""OpenSSH certificates, taken apart. Pure; whether the signature is true is for somebody with cryptography."""

import struct
from dataclasses import dataclass

CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
HOST = 2
_FIELDS = {"ssh-rsa": 2, "ssh-ed25519": 1, "ssh-dss": 4}  # strings of the plain key, after its type
_ECDSA_FIELDS = 2


@dataclass(frozen=True, slots=True)
class Certificate:
    """A signed statement that a key belongs to some names for some time.

    Attributes:
        plain: The key it is about, as a plain key blob.
        kind: 1 for a user's, 2 for a host's.
        after: Seconds since the epoch from which it holds; `before` is its end, exclusive.
        authority: The signer's public key blob.
        signed: The bytes that `signature` is of.
    """

    plain: bytes
    serial: int
    kind: int
    identity: str
    principals: tuple[str, ...]
    after: int
    before: int
    critical_options: tuple[str, ...]
    authority: bytes
    signed: bytes
    signature: bytes

    @property
    def signature_algorithm(self) -> str:
        """The algorithm that the signature names."""
        return _Reader(self.signature).string().decode("ascii", "replace")

    def refusal(self, host: str, now: float, algorithms: tuple[str, ...]) -> str | None:
        """Why it does not vouch for `host`, or None when it does (its signature being true).

        Args:
            host: The name asked for, lower case.
            now: Seconds since the epoch.
            algorithms: Signature algorithms an authority may use (CASignatureAlgorithms).
        """
        fits = not self.principals or host in self.principals
        reasons = (
            (self.kind != HOST, "it is not a host certificate"),
            (now < self.after, "it is not valid yet"),
            (now >= self.before, "it has expired"),
            (not fits, f"it is for {', '.join(self.principals)}, not for {host}"),
            (bool(self.critical_options), f"it has unknown critical options: {', '.join(self.critical_options)}"),
            (
                self.signature_algorithm not in algorithms,
                f"it is signed with {self.signature_algorithm}, which CASignatureAlgorithms does not allow",
            ),
        )
        return next((reason for wrong, reason in reasons if wrong), None)


def parse_certificate(blob: bytes) -> Certificate | None:
    """The certificate in a key blob, or None when it is a plain key.

    Raises:
        ValueError: It says that it is a certificate, but is not whole.
    """
    reader = _Reader(blob)
    kind = reader.string().decode("ascii", "replace")
    if not kind.endswith(CERTIFICATE_SUFFIX):
        return None
    plain_kind = kind.removesuffix(CERTIFICATE_SUFFIX)
    if plain_kind.startswith("rsa-sha2-"):
        plain_kind = "ssh-rsa"
    count = _ECDSA_FIELDS if plain_kind.startswith("ecdsa-sha2-") else _FIELDS.get(plain_kind)
    if count is None:
        raise ValueError(f"certificates of {plain_kind} keys are not supported")
    reader.string()  # the nonce
    plain = _string(plain_kind.encode()) + b"".join(_string(reader.string()) for _ in range(count))
    serial, usage, identity = reader.number(8), reader.number(4), reader.string()
    principals, after, before = reader.strings(), reader.number(8), reader.number(8)
    options = reader.strings()[::2]
    reader.string()  # extensions, of use to servers only
    reader.string()  # reserved
    authority = reader.string()
    signed = blob[: reader.position]
    signature = reader.string()
    return Certificate(
        plain=plain,
        serial=serial,
        kind=usage,
        identity=identity.decode("utf-8", "replace"),
        principals=tuple(principal.decode("utf-8", "replace") for principal in principals),
        after=after,
        before=before,
        critical_options=tuple(option.decode("utf-8", "replace") for option in options),
        authority=authority,
        signed=signed,
        signature=signature,
    )


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


class _Reader:
    """Reads SSH's wire format from the front; running out is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise ValueError("the key is cut off")
        value = self._data[self.position : end]
        self.position = end
        return value

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def string(self) -> bytes:
        return self.take(self.number(4))

    def strings(self) -> list[bytes]:
        inner = _Reader(self.string())
        found = []
        while inner.position < len(inner._data):
            found.append(inner.string())
        return found
