"""A bundle as one file, to be carried to the head: equal content gives equal bytes."""

import contextlib
import fcntl
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from aiops.layers.core.clock import Clock, SystemClock
from aiops.layers.core.errors import ConflictError
from aiops.layers.core.file import write_atomic
from aiops.layers.core.home import ensure_folder

from .bundle import MANIFEST, SIGNATURE, Bundle, damaged
from .manifest import sha256_of

KEPT_SECONDS = 86_400.0
"""An archive that no deploy has asked for in so long is removed; a deploy that still carries one is long over then."""

_LOCK = "lock"
_PACKING_SECONDS = 1800.0
_PACKING_STEP = 0.5


def archive_path(bundle: Bundle, home: Path) -> Path:
    """Where the archive of this content and signature lies, or will."""
    return home / "cache" / "bundle" / "archive" / f"{sha256_of(bundle.path / MANIFEST)[:32]}.tar"


def pack(bundle: Bundle, home: Path, clock: Clock | None = None) -> Path:
    """Make the archive, or take the one that is there; either way every byte of the bundle and of it is checked.

    Deploys of several clusters may pack at once: one packs, the others wait. Archives of other bundles are removed
    once nobody has asked for them in `KEPT_SECONDS`.

    Raises:
        FailedError: `bundle.damaged`: names every file that differs from the manifest.
        ConflictError: `bundle.packing`: another process has been packing for half an hour.
    """
    clock = clock or SystemClock()
    problems = bundle.verify()
    if problems:
        raise damaged(bundle.path, problems)
    path = archive_path(bundle, home)
    digest = path.with_suffix(".sha256")
    with _alone(ensure_folder(path.parent), clock):
        now = clock.now().timestamp()
        if path.exists() and digest.exists() and digest.read_text() == sha256_of(path):
            for used in (path, digest):
                os.utime(used, (now, now))
            return path
        _prune(path.parent, now)
        temporary = path.with_suffix(".new")
        with tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as archive:
            for name in sorted([*(one.path for one in bundle.manifest.artefacts), SIGNATURE, MANIFEST]):
                archive.add(bundle.path / name, name, filter=_plain)
        write_atomic(digest, sha256_of(temporary).encode())
        return temporary.rename(path)


@contextlib.contextmanager
def _alone(folder: Path, clock: Clock) -> Iterator[None]:
    with (folder / _LOCK).open("w") as stream:
        deadline = clock.monotonic() + _PACKING_SECONDS
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if clock.monotonic() >= deadline:
                    raise ConflictError(
                        f"another process has been packing a bundle for {_PACKING_SECONDS / 60:.0f} min",
                        code="bundle.packing",
                        hints=[f"see who: `fuser -v {folder / _LOCK}`"],
                    ) from error
                clock.sleep(_PACKING_STEP)
        yield


def _prune(folder: Path, now: float) -> None:
    """Remove archives that nobody has asked for in a while, and what a killed packer left; with the lock held."""
    for path in folder.iterdir():
        whole = path.suffix in (".tar", ".sha256")
        if path.name != _LOCK and not (whole and now - path.stat().st_mtime <= KEPT_SECONDS):
            path.unlink()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owned by root, readable by all, without a time: the same wherever it is packed."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    member.mtime = 0
    return member
