"""A signed apt repository as text: Packages and Release. Pure; the writer of files is `build`.

Layout: `apt/dists/CODENAME/{Release,InRelease}`, `apt/dists/CODENAME/main/binary-ARCH/Packages[.gz]`,
`apt/pool/CODENAME/*.deb` (two distributions may have different files of one name and version).
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

from .control import render_paragraph, render_paragraphs

_PLACES = ("Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512")


def pool_path(codename: str, file: str) -> str:
    """Where a deb lies, relative to the repository."""
    return f"pool/{codename}/{file.replace('%3a', '-')}"


def package_paragraph(fields: Mapping[str, str], *, path: str, size: int, sha256: str) -> dict[str, str]:
    """A package's paragraph for our own list: its control fields, and where and what the file is."""
    kept = {name: value for name, value in fields.items() if name not in _PLACES}
    return {**kept, "Filename": path, "Size": str(size), "SHA256": sha256}


def packages_text(paragraphs: Iterable[Mapping[str, str]]) -> bytes:
    """A Packages file, sorted by name, version and architecture."""
    ordered = sorted(paragraphs, key=lambda one: (one["Package"], one["Version"], one["Architecture"]))
    return render_paragraphs(ordered).encode()


def release_text(codename: str, architectures: Iterable[str], files: Mapping[str, bytes], at: datetime) -> bytes:
    """A Release file over `files` (path relative to the dists folder of the release -> content)."""
    sums = "".join(
        f"\n {hashlib.sha256(content).hexdigest()} {len(content)} {path}" for path, content in sorted(files.items())
    )
    fields = {
        "Origin": "aiops",
        "Label": "aiops bundle",
        "Suite": codename,
        "Codename": codename,
        "Date": at.strftime("%a, %d %b %Y %H:%M:%S UTC"),
        "Architectures": " ".join(sorted(architectures)),
        "Components": "main",
        "Description": "What a deploy of aiops needs",
        "SHA256": sums,
    }
    return render_paragraph(fields).encode()
