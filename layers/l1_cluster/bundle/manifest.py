"""What is in a bundle: the bill of materials, as JSON that a person can read."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from aiops.layers.core.errors import FailedError

FORMAT = 1
Kind = Literal["deb", "wheel", "environment", "index", "key", "bom"]


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file of a bundle.

    Attributes:
        path: Relative to the bundle's folder.
        size: Bytes.
        licence: None where it could not be read.
        source: The address it was fetched from, or `built` here.
        release: The release it is for; None for wheels and keys.
        simulated: True for the dummy packages of the lab.
    """

    kind: Kind
    path: str
    sha256: str
    size: int
    name: str
    version: str | None = None
    architecture: str | None = None
    release: str | None = None
    licence: str | None = None
    source: str = "built"
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole content of a bundle.

    Attributes:
        created: RFC 3339.
        aiops: The version of aiops that built it.
        targets: `bookworm/amd64` and so on.
        key: Fingerprint of the key that signed it.
        content: Digest over all debs, wheels and package lists: equal content, equal digest.
    """

    created: str
    aiops: str
    targets: tuple[str, ...]
    key: str
    content: str
    artefacts: tuple[Artefact, ...]

    def to_json(self) -> bytes:
        """The manifest file."""
        document = {
            "format": FORMAT,
            "created": self.created,
            "aiops": self.aiops,
            "targets": list(self.targets),
            "key": self.key,
            "content": self.content,
            "artefacts": [
                {name: value for name, value in asdict(one).items() if value is not None} for one in self.artefacts
            ],
        }
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes, origin: str) -> "Manifest":
        """Read a manifest; `origin` is for the message.

        Raises:
            FailedError: `bundle.manifest`: it is not one, or it is of a newer format.
        """
        try:
            document = _known_format(json.loads(content))
            artefacts = tuple(Artefact(**one) for one in document["artefacts"])
            _require_places(artefacts)
            return cls(
                document["created"],
                document["aiops"],
                tuple(document["targets"]),
                document["key"],
                document["content"],
                artefacts,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise FailedError(f"{origin} is not a bundle's manifest: {error}", code="bundle.manifest") from error


def _known_format(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"this aiops knows format {FORMAT} only")
    return document


def _require_places(artefacts: Iterable[Artefact]) -> None:
    """Whoever signed it: a bundle names each of its own files once, and no others."""
    seen = set()
    for one in artefacts:
        path = PurePosixPath(one.path)
        if str(path) != one.path or path.is_absolute() or ".." in path.parts or one.path in seen:
            raise ValueError(f"{one.path!r} is no place in it")
        seen.add(one.path)


def content_digest(artefacts: Iterable[Artefact]) -> str:
    """The digest of what a deploy would install: debs, wheels and package lists, not signatures or times."""
    lines = sorted(
        f"{one.path} {one.sha256}\n"
        for one in artefacts
        if one.kind in {"deb", "wheel", "environment"} or "Packages" in one.path
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def sums_text(digests: Mapping[str, str]) -> bytes:
    """Digests by path as `sha256sum -c` reads them."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items())).encode()


def sha256_of_bytes(content: bytes) -> str:
    """The sha256 of some bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
