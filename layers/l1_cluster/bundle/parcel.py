"""A parcel: what a head lacks of a bundle, as one file. Its members are named by their digests.

Run by the phase `repository` on the machine that deploys, with the digests on stdin:

    python -m aiops.layers.l1_cluster.bundle.parcel BUNDLE FOLDER
"""

import hashlib
import io
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import IO

from aiops.layers.core.home import ensure_folder

from .bundle import SUMS
from .manifest import sha256_of

_SUFFIX = ".parcel"
_KEPT_SECONDS = 86_400.0
"""A parcel that a killed deploy has left is removed; one that is still being carried is long gone over by then."""


class ChangedError(Exception):
    """A file of the bundle is not what was asked for."""


def pack(bundle: Path, wanted: Collection[str], folder: Path) -> Path:
    """Write the files of `bundle` that have the digests `wanted` into a new parcel in `folder`.

    Every byte is hashed on its way into the parcel.

    Raises:
        ChangedError: No file of the bundle has one of the digests, or one has changed meanwhile.
        OSError: The bundle cannot be read, or the parcel not written.
    """
    remove_forgotten(folder)
    places = {sha256_of(bundle / SUMS): bundle / SUMS}
    for line in (bundle / SUMS).read_text("utf-8").splitlines():
        digest, _, path = line.partition("  ")
        places[digest] = bundle / path
    strange = sorted(set(wanted) - places.keys())
    if strange:
        raise ChangedError(f"the bundle at {bundle} was changed meanwhile: it has no file {strange[0]}")
    descriptor, name = tempfile.mkstemp(dir=folder, suffix=_SUFFIX)
    parcel = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
            for digest in sorted(wanted):
                _add(archive, digest, places[digest])
    except BaseException:
        parcel.unlink()
        raise
    return parcel


def remove_forgotten(folder: Path) -> None:
    """Remove parcels that killed deploys have left."""
    for parcel in ensure_folder(folder).glob(f"*{_SUFFIX}"):
        if time.time() - parcel.stat().st_mtime > _KEPT_SECONDS:
            parcel.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, digest: str, path: Path) -> None:
    member = tarfile.TarInfo(digest)
    with path.open("rb") as stream:
        member.size = os.fstat(stream.fileno()).st_size
        reader = _Hashing(stream)
        archive.addfile(member, reader)
    if reader.digest.hexdigest() != digest:
        raise ChangedError(f"{path} was changed meanwhile (sha256 differs)")


class _Hashing(io.RawIOBase):
    """A stream that is hashed as it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self.digest.update(block)
        return block


def main() -> int:
    """Pack what stdin asks for; print where the parcel is and how large."""
    bundle, folder = map(Path, sys.argv[1:])
    try:
        parcel = pack(bundle, sys.stdin.read().split(), folder)
    except (ChangedError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - Ansible shows it
        return 1
    print(parcel)  # noqa: T201 - the playbook reads it
    return 0


if __name__ == "__main__":
    sys.exit(main())
