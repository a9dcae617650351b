"""Signatures of bundles: one ed25519 key per controller, made on first use; apt and gpgv verify them.

The private key lies in `AIOPS_HOME/keys/bundle/private.asc` (0600) and is imported into a throw-away GNUPGHOME
for each signature, so that no agent stays behind and no long socket path matters. It is never in an argv.
"""

import base64
import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import FailedError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder

from .program import run_program

_KEY_PARAMETERS = b"""%no-protection
Key-Type: eddsa
Key-Curve: ed25519
Key-Usage: sign
Name-Real: aiops bundle
Expire-Date: 0
%commit
"""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half: what nodes and other controllers check signatures with."""

    fingerprint: str
    armored: str

    @property
    def binary(self) -> bytes:
        """The key as gpgv wants its keyrings."""
        return dearmor(self.armored)


class SigningKey:
    """This controller's key."""

    def __init__(self, folder: Path, public: PublicKey) -> None:
        self._folder = folder
        self.public = public

    @classmethod
    def of(cls, home: Path) -> "SigningKey":
        """The key of this AIOPS_HOME; made on the first call (about half a second).

        Raises:
            FailedError: gnupg is not installed or failed; its words are in the message.
        """
        folder = key_folder(home)
        if (folder / "private.asc").exists():
            return cls(folder, read_public(folder / "public.asc"))
        ensure_folder(folder)
        with _throwaway() as place:
            _gpg(place, "--generate-key", stdin=_KEY_PARAMETERS)
            armored = _gpg(place, "--armor", "--export").decode()
            private = _gpg(place, "--armor", "--export-secret-keys")
            public = PublicKey(_fingerprint(place), armored)
        write_atomic(folder / "public.asc", armored.encode(), mode=0o644)
        write_atomic(folder / "private.asc", private)
        return cls(folder, public)

    def sign(self, content: bytes) -> bytes:
        """A detached, armored signature of `content`."""
        return self._sign(content, "--detach-sign")

    def sign_inline(self, content: bytes) -> bytes:
        """`content` with its signature around it, as an InRelease file is."""
        return self._sign(content, "--clear-sign")

    def _sign(self, content: bytes, how: str) -> bytes:
        with _throwaway() as place:
            _gpg(place, "--import", stdin=(self._folder / "private.asc").read_bytes())
            source = place / "content"
            source.write_bytes(content)
            return _gpg(place, "--armor", "--digest-algo", "SHA512", "--output", "-", how, str(source))


def key_folder(home: Path) -> Path:
    """Where the key of an AIOPS_HOME lies."""
    return home / "keys" / "bundle"


def trusted_keys(home: Path) -> tuple[PublicKey, ...]:
    """The keys whose bundles this controller takes: its own and those accepted with `verify --trust`."""
    own = key_folder(home) / "public.asc"
    others = sorted((home / "keys" / "trusted").glob("*.asc"))
    return tuple(read_public(path) for path in (own, *others) if path.exists())


def trust(home: Path, key: PublicKey) -> None:
    """Take bundles signed with `key` from now on."""
    write_atomic(ensure_folder(home / "keys" / "trusted") / f"{key.fingerprint}.asc", key.armored.encode(), mode=0o644)


def read_public(path: Path) -> PublicKey:
    """A public key file.

    Raises:
        FailedError: `bundle.key`: it is not an armored OpenPGP key.
    """
    return public_key(path.read_text(errors="replace"), str(path))


def public_key(armored: str, origin: str) -> PublicKey:
    """A key from its armored text; `origin` is for the message.

    Raises:
        FailedError: As for `read_public`.
    """
    try:
        packet = dearmor(armored)
    except ValueError as error:
        raise FailedError(f"{origin} is not a public key: {error}", code="bundle.key") from error
    with tempfile.TemporaryDirectory(prefix="aiops-key-") as folder:
        shown = run_program(["gpg", "--homedir", folder, "--batch", "--with-colons", "--show-keys"], stdin=packet)
    match = re.search(r"^fpr:{9}([0-9A-F]{40}):", shown.stdout.decode(), re.MULTILINE)
    if shown.exit_status != 0 or match is None:
        raise FailedError(f"{origin} is not a public key: {shown.stderr.strip()}", code="bundle.key")
    return PublicKey(match.group(1), armored)


def verify_signature(content: bytes, signature: bytes | None, keys: Iterable[PublicKey]) -> str | None:
    """The fingerprint of the key in `keys` that signed `content`, or None when none did.

    Args:
        content: What was signed; with its signature inside (InRelease) when `signature` is None.
        signature: A detached signature, armored or not.
        keys: The keys that count.

    Raises:
        FailedError: gpgv is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="aiops-verify-") as folder:
        ring, data, detached = (Path(folder) / name for name in ("ring.gpg", "data", "data.sig"))
        ring.write_bytes(b"".join(key.binary for key in keys))
        data.write_bytes(content)
        words = [str(data)]
        if signature is not None:
            detached.write_bytes(signature)
            words = [str(detached), str(data)]
        ended = run_program(["gpgv", "--homedir", folder, "--status-fd", "1", "--keyring", str(ring), *words])
    match = re.search(r"^\[GNUPG:\] VALIDSIG ([0-9A-F]{40})", ended.stdout.decode("utf-8", "replace"), re.MULTILINE)
    return match.group(1) if match and ended.exit_status == 0 else None


def dearmor(text: str) -> bytes:
    """The bytes of an ASCII-armored block.

    Raises:
        ValueError: There is no such block, or it is garbled.
    """
    match = re.search(
        r"-----BEGIN PGP [^-\n]+-----\n(?:[^\n]+: [^\n]*\n)*\n(.*?)\n=[^\n]{4}\n-----END PGP", text, re.DOTALL
    )
    if match is None:
        raise ValueError("no armored block")
    return base64.b64decode(match.group(1).replace("\n", ""), validate=True)


@contextlib.contextmanager
def _throwaway() -> Iterator[Path]:
    """A private GNUPGHOME with a short path, in memory where the machine has /dev/shm; its agent ends with it."""
    parent = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - made 0700 by mkdtemp
    place = Path(tempfile.mkdtemp(prefix="aiops-gpg-", dir=parent))
    try:
        yield place
    finally:
        with contextlib.suppress(FailedError):
            run_program(["gpgconf", "--homedir", str(place), "--kill", "all"])
        shutil.rmtree(place, ignore_errors=True)


def _gpg(place: Path, *words: str, stdin: bytes = b"") -> bytes:
    ended = run_program(["gpg", "--homedir", str(place), "--batch", "--no-tty", "--yes", *words], stdin=stdin)
    if ended.exit_status != 0:
        raise FailedError(
            f"gpg could not {words[0].lstrip('-')}: {ended.stderr.strip()}",
            code="bundle.gpg",
            hints=["`gpg-agent` must be installed too: `apt-get install gnupg`"],
        )
    return ended.stdout


def _fingerprint(place: Path) -> str:
    listed = _gpg(place, "--with-colons", "--list-keys").decode()
    match = re.search(r"^fpr:{9}([0-9A-F]{40}):", listed, re.MULTILINE)
    if match is None:
        raise FailedError("gpg made no key", code="bundle.gpg")
    return match.group(1)
