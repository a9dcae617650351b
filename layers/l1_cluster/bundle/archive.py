"""A bundle as one file, to be carried to the head: equal content gives equal bytes."""

import tarfile
from pathlib import Path

from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder

from .bundle import MANIFEST, SIGNATURE, Bundle, damaged
from .manifest import sha256_of


def archive_path(bundle: Bundle, home: Path) -> Path:
    """Where the archive of this content and signature lies, or will."""
    return home / "cache" / "bundle" / "archive" / f"{sha256_of(bundle.path / MANIFEST)[:32]}.tar"


def pack(bundle: Bundle, home: Path) -> Path:
    """Make the archive, or take the one that is there; either way every byte of the bundle and of it is checked.

    Archives of other bundles are removed, so that one is kept.

    Raises:
        FailedError: `bundle.damaged`: names every file that differs from the manifest.
    """
    problems = bundle.verify()
    if problems:
        raise damaged(bundle.path, problems)
    path = archive_path(bundle, home)
    digest = path.with_suffix(".sha256")
    if path.exists() and digest.exists() and digest.read_text() == sha256_of(path):
        return path
    ensure_folder(path.parent)
    for other in path.parent.glob("*"):
        other.unlink()
    temporary = path.with_suffix(".new")
    with tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted([*(one.path for one in bundle.manifest.artefacts), SIGNATURE, MANIFEST]):
            archive.add(bundle.path / name, name, filter=_plain)
    write_atomic(digest, sha256_of(temporary).encode())
    return temporary.rename(path)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owned by root, readable by all, without a time: the same wherever it is packed."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    member.mtime = 0
    return member
