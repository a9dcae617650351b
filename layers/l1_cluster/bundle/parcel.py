"""Parcels: what a head lacks of a bundle, in files of bounded size that are unpacked there one by one.

However slow the line is, each parcel arrives in the time that Ansible gives a task, and what has arrived is kept. Run
by the phase `repository` on the machine that deploys; on stdin what `remote.tree.lacking` has said:

    python -m aiops.layers.l1_cluster.bundle.parcel BUNDLE FOLDER           how many there are
    python -m aiops.layers.l1_cluster.bundle.parcel BUNDLE FOLDER NUMBER    writes that one (from 0), and says where
"""

import hashlib
import io
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aiops.layers.core.home import ensure_folder
from aiops.layers.l1_cluster.remote.tree import member_name

from .bundle import SUMS
from .manifest import sha256_of

PARCEL_BYTES = 256 * 1024 * 1024
"""At most so much of files is in one: a line of 1.1 Mbit/s carries it within the 2,000 s of a task."""

_SUFFIX = ".parcel"
_KEPT_SECONDS = 86_400.0
"""A parcel that a killed deploy has left is removed; one that is still being carried is long gone over by then."""


class ChangedError(Exception):
    """A file of the bundle is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a file: `length` from `offset` on; `size` is that of all of it."""

    digest: str
    offset: int
    length: int
    size: int


def divide(sizes: Mapping[str, int], come: Mapping[str, int], limit: int = PARCEL_BYTES) -> list[list[Piece]]:
    """What each parcel holds. Pure, so that every run of this program divides alike.

    Args:
        sizes: The bytes of each file that is lacking, by digest.
        come: How many of them have come.
        limit: The most bytes of files in one parcel.
    """
    parcels: list[list[Piece]] = []
    room = 0
    for digest in sorted(sizes):
        size = sizes[digest]
        offset = come[digest] if come[digest] <= size else 0
        while True:
            if not room:
                parcels.append([])
                room = limit
            length = min(room, size - offset)
            parcels[-1].append(Piece(digest, offset, length, size))
            room -= length
            offset += length
            if offset == size:
                break
    return parcels


def places_of(bundle: Path, wanted: Mapping[str, int]) -> dict[str, Path]:
    """Where in the bundle a file with each digest is.

    Raises:
        ChangedError: No file of the bundle has one of them.
        OSError: The bundle cannot be read.
    """
    places = {sha256_of(bundle / SUMS): bundle / SUMS}
    for line in (bundle / SUMS).read_text("utf-8").splitlines():
        digest, _, path = line.partition("  ")
        places[digest] = bundle / path
    strange = sorted(wanted.keys() - places.keys())
    if strange:
        raise ChangedError(f"the bundle at {bundle} was changed meanwhile: it has no file {strange[0]}")
    return {digest: places[digest] for digest in wanted}


def pack(places: Mapping[str, Path], pieces: Sequence[Piece], folder: Path) -> Path:
    """Write a new parcel into `folder`.

    A file that is in it whole is hashed on its way; the head compares each file, in pieces or not.

    Raises:
        ChangedError: A file is not what its digest says.
        OSError: The bundle cannot be read, or the parcel not written.
    """
    remove_forgotten(folder)
    descriptor, name = tempfile.mkstemp(dir=folder, suffix=_SUFFIX)
    parcel = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
            for piece in pieces:
                _add(archive, piece, places[piece.digest])
    except BaseException:
        parcel.unlink()
        raise
    return parcel


def remove_forgotten(folder: Path) -> None:
    """Remove parcels that killed deploys have left."""
    for parcel in ensure_folder(folder).glob(f"*{_SUFFIX}"):
        if time.time() - parcel.stat().st_mtime > _KEPT_SECONDS:
            parcel.unlink(missing_ok=True)


def _add(archive: tarfile.TarFile, piece: Piece, path: Path) -> None:
    member = tarfile.TarInfo(member_name(piece.digest, piece.offset, piece.size))
    member.size = piece.length
    with path.open("rb") as stream:
        stream.seek(piece.offset)
        reader = _Hashing(stream)
        archive.addfile(member, reader)
    if piece.length == piece.size and reader.digest.hexdigest() != piece.digest:
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


def _chosen(parcels: Sequence[list[Piece]], number: str) -> list[Piece]:
    if int(number) >= len(parcels):
        raise ChangedError("the bundle was changed meanwhile: its files are smaller now")
    return parcels[int(number)]


def main() -> int:
    """Do what the command line asks for."""
    bundle, folder, *number = sys.argv[1:]
    lines = (line.split() for line in sys.stdin.read().splitlines())
    try:
        come = {digest: int(bytes_) for digest, bytes_ in lines}
        places = places_of(Path(bundle), come)
        parcels = divide({digest: path.stat().st_size for digest, path in places.items()}, come)
        # Ansible reads it.
        print(pack(places, _chosen(parcels, number[0]), Path(folder)) if number else len(parcels))  # noqa: T201
    except (ChangedError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - Ansible shows it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
