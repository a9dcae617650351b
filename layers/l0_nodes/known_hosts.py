"""Whether a host's key is the one we know: OpenSSH's known_hosts, judged purely as OpenSSH judges it."""

import base64
import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .certificate import CERTIFICATE_SUFFIX

DEFAULT_PORT = 22
_MARKERS = {"@revoked": "revoked", "@cert-authority": "authority"}
_HASHED = "|1|"
_PATTERN = frozenset("*?!")


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key as it stands in files and on the wire."""

    blob: bytes

    @property
    def kind(self) -> str:
        """`ssh-ed25519`, ..."""
        (length,) = struct.unpack(">I", self.blob[:4].rjust(4, b"\0"))
        return self.blob[4 : 4 + length].decode("ascii", "replace")

    @property
    def fingerprint(self) -> str:
        """`SHA256:...`, as ssh prints it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"

    @property
    def text(self) -> str:
        """`ssh-ed25519 AAAA...`."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a known_hosts file.

    Attributes:
        names: The first field: patterns joined by commas, or one hash.
        key: None when the key cannot be read.
    """

    file: str
    line: int
    marker: Literal["", "revoked", "authority"]
    names: str
    key: HostKey | None

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the files say of a key.

    Attributes:
        kind: `broken`: a marked line for this host cannot be read, so nothing can be said.
        entry: The line that decided, or None when there was none.
    """

    kind: Literal["known", "unknown", "changed", "revoked", "broken"]
    entry: Entry | None = None

    @property
    def place(self) -> str:
        """`file:line` of the deciding line, or an empty string."""
        return self.entry.place if self.entry else ""


def host_name(host: str, port: int) -> str:
    """The name a host has in known_hosts: `host`, or `[host]:port` for any other port than 22."""
    return host.lower() if port == DEFAULT_PORT else f"[{host.lower()}]:{port}"


def parse(text: str, file: str) -> tuple[Entry, ...]:
    """The lines of one file. Lines that are not about any key we could meet are left out."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = _parse_line(line.strip(), file, number)
        if entry is not None:
            entries.append(entry)
    return tuple(entries)


def _parse_line(line: str, file: str, number: int) -> Entry | None:
    fields = line.split()
    if not fields or line.startswith("#"):
        return None
    marker: Literal["", "revoked", "authority"] = ""
    if fields[0].startswith("@"):
        word = fields.pop(0)
        if word not in _MARKERS:
            return None
        marker = "revoked" if word == "@revoked" else "authority"
    if not fields:
        return None
    key = _key(fields[1:])
    if key is None and not marker:
        return None
    return Entry(file, number, marker, fields[0], key)


def _key(fields: Sequence[str]) -> HostKey | None:
    if len(fields) < 2:  # noqa: PLR2004 - type and key
        return None
    try:
        key = HostKey(base64.b64decode(fields[1], validate=True))
    except ValueError:
        return None
    return key if key.kind == fields[0] else None


class KnownHosts:
    """The lines of one file, found by name without looking at all of them; made once, asked often."""

    def __init__(self, text: str, file: str) -> None:
        self.entries = parse(text, file)
        self._plain: dict[str, list[int]] = {}
        self._others: list[int] = []  # hashes and patterns, which only trying tells
        self._found: dict[str, tuple[Entry, ...]] = {}
        for index, entry in enumerate(self.entries):
            if entry.names.startswith(_HASHED) or not _PATTERN.isdisjoint(entry.names):
                self._others.append(index)
            else:
                for name in set(entry.names.lower().split(",")):
                    self._plain.setdefault(name, []).append(index)

    def of(self, name: str) -> tuple[Entry, ...]:
        """The lines that are about `name` (see `host_name`), in the file's order."""
        if name not in self._found:
            tried = [index for index in self._others if matches(self.entries[index].names, name)]
            self._found[name] = tuple(self.entries[index] for index in sorted([*self._plain.get(name, ()), *tried]))
        return self._found[name]


def matches(names: str, name: str) -> bool:
    """Whether a line's first field is about `name`; a negated pattern that matches outweighs all others."""
    if names.startswith(_HASHED):
        return _hash_matches(names, name)
    found = False
    for pattern in names.lower().split(","):
        if pattern.startswith("!"):
            if _pattern_matches(pattern[1:], name):
                return False
        elif _pattern_matches(pattern, name):
            found = True
    return found


def _hash_matches(hashed: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hashed.removeprefix(_HASHED).split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def hashed_name(name: str, salt: bytes) -> str:
    """`|1|salt|hash`, as HashKnownHosts writes it; `salt` is 20 random bytes."""
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"{_HASHED}{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def _pattern_matches(pattern: str, name: str) -> bool:
    """`*` and `?` only, in time linear in their product: the files are the user's, the patterns anybody's."""
    position = star = mark = 0
    star = -1
    index = 0
    while index < len(name):
        if position < len(pattern) and pattern[position] == "*":
            star, mark = position, index
            position += 1
        elif position < len(pattern) and pattern[position] in ("?", name[index]):
            position += 1
            index += 1
        elif star >= 0:
            mark += 1
            position, index = star + 1, mark
        else:
            return False
    return all(letter == "*" for letter in pattern[position:])


def judge(entries: Sequence[Entry], key: HostKey, authority: HostKey | None = None) -> Verdict:
    """What the lines of one host say of the key it showed.

    Args:
        entries: The lines about this host, in the order of the files.
        key: The plain key; that of the certificate, when one was shown.
        authority: Who signed the certificate, when one was shown that vouches for this host.
    """
    for entry in entries:
        if entry.marker and entry.key is None:
            return Verdict("broken", entry)
        if entry.marker == "revoked" and entry.key in (key, authority):
            return Verdict("revoked", entry)
    if authority is not None:
        for entry in entries:
            if entry.marker == "authority" and entry.key == authority:
                return Verdict("known", entry)
    changed = None
    for entry in entries:
        if entry.marker:
            continue
        if entry.key == key:
            return Verdict("known", entry)
        changed = changed or entry
    return Verdict("changed", changed) if changed else Verdict("unknown")


def ordered_algorithms(algorithms: Sequence[str], entries: Sequence[Entry]) -> tuple[str, ...]:
    """Host key algorithms with those first that the lines of this host can vouch for, as OpenSSH orders them."""
    kinds = {entry.key.kind for entry in entries if entry.key is not None and not entry.marker}
    has_authority = any(entry.marker == "authority" for entry in entries)
    first: list[str] = []
    last: list[str] = []
    for algorithm in algorithms:
        is_certificate = algorithm.endswith(CERTIFICATE_SUFFIX)
        plain = algorithm.removesuffix(CERTIFICATE_SUFFIX)
        kind = "ssh-rsa" if plain.startswith("rsa-sha2-") else plain
        known = kind in kinds or (is_certificate and has_authority)
        (first if known else last).append(algorithm)
    return (*first, *last)
