"""A bundle as one file, to be carried to the head: equal content gives equal bytes."""

import tarfile
from pathlib import Path

from aiops.layers.core.errors import Problem
from aiops.layers.core.home import ensure_folder

from .bundle import MANIFEST, SIGNATURE, Bundle, damaged
from .manifest import sha256_of


def archive_path(bundle: Bundle, home: Path) -> Path:
    """Where the archive of this content and signature lies, or will."""
    return home / "cache" / "bundle" / "archive" / f"{sha256_of(bundle.path / MANIFEST)[:32]}.tar"


def pack(bundle: Bundle, home: Path) -> Path:
    """Make the archive unless it is there; every file's hash is checked on the way.

    Archives of other bundles are removed, so that one is kept.

    Raises:
        FailedError: `bundle.damaged`: names every file that differs from the manifest.
    """
    path = archive_path(bundle, home)
    if path.exists():
        return path
    ensure_folder(path.parent)
    problems = [
        Problem("its content changed (sha256 differs)", file=one.path)
        for one in bundle.manifest.artefacts
        if sha256_of(bundle.path / one.path) != one.sha256
    ]
    if problems:
        raise damaged(bundle.path, problems)
    for other in path.parent.glob("*"):
        other.unlink()
    temporary = path.with_suffix(".new")
    with tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted([*(one.path for one in bundle.manifest.artefacts), SIGNATURE, MANIFEST]):
            archive.add(bundle.path / name, name, filter=_plain)
    return temporary.rename(path)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owned by root, readable by all, without a time: the same wherever it is packed."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    member.mtime = 0
    return member
