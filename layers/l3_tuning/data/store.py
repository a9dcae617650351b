"""Store: prepared folders, found by their digest, read and verified."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import FailedError, InputError, NotFoundError

from .assembly import REMOVED
from .dataset import EVALUATION, MANIFEST, MASK, ROWS, SAMPLES, SEGMENTS, TOKENS, Manifest
from .minhash import Array

_PIECE = 1 << 20
_PREFERENCE = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of a prepared folder with its tokens.

    Attributes:
        number: From 1.
        file: Where it came from.
        line: Likewise.
        sample: The number of the sample that holds it, from 0.
        segment: Its number within that; None where samples are not shared.
        row: As JSON.
        parts: Tokens; of preferences prompt, chosen and rejected.
        masks: For each token 1 where the loss counts it.
    """

    number: int
    file: str
    line: int
    sample: int
    segment: int | None
    row: dict[str, Any]
    parts: tuple[Array, ...]
    masks: tuple[Array, ...]


def load(folder: Path) -> Manifest:
    """What a prepared folder says of itself.

    Raises:
        NotFoundError: It is none: there is no manifest, as where a preparation was cut off.
        FailedError: Its manifest is broken.
    """
    path = folder / MANIFEST
    try:
        said = json.loads(path.read_bytes())
        return Manifest(**said)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no prepared data at {folder}",
            code="data.unprepared",
            hints=["make it: `aiops data prepare PATH --base DIR --into FOLDER`"],
        ) from None
    except (ValueError, TypeError) as error:
        raise FailedError(f"{path} is broken: {error}", code="data.damaged", hints=[_again(folder)]) from error


def prepared(into: Path, digest: str) -> Manifest | None:
    """What is at `into` under `digest`; None for nothing.

    Raises:
        FailedError: It was damaged since: a file is missing or has another length.
    """
    folder = into / digest
    if not (folder / MANIFEST).exists():
        return None
    manifest = load(folder)
    for name, kept in manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.exists() else None
        if size != kept["size"]:
            words = "is missing" if size is None else f"has {size:,} bytes, not {kept['size']:,}"
            raise FailedError(f"{path} {words}", code="data.damaged", hints=[_again(folder)])
    return manifest


def verify(folder: Path, told: Callable[[int], None] | None = None) -> Manifest:
    """The manifest of a folder of which every file is what it says.

    Args:
        folder: Which.
        told: Told the bytes that were hashed, each time.

    Raises:
        NotFoundError: There is no prepared data.
        FailedError: A file is missing or is not what it was.
    """
    manifest = load(folder)
    for name, kept in manifest.files.items():
        path = folder / name
        hashing = hashlib.sha256()
        try:
            with path.open("rb") as stream:
                while piece := stream.read(_PIECE):
                    hashing.update(piece)
                    if told is not None:
                        told(len(piece))
        except FileNotFoundError:
            raise FailedError(f"{path} is missing", code="data.damaged", hints=[_again(folder)]) from None
        if hashing.hexdigest() != kept["sha256"]:
            raise FailedError(f"{path} is not what was written", code="data.damaged", hints=[_again(folder)])
    return manifest


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of a folder with their places, in the order of the samples."""
    yield from _lines(folder / ROWS)


def removed(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows that were removed, with places and reasons, in the order of the source."""
    yield from _lines(folder / REMOVED)


def row(folder: Path, number: int, *, held_out: bool = False) -> Kept:
    """One row with its tokens.

    Args:
        folder: Which.
        number: From 1, in the order of the samples.
        held_out: Whether it is of the part that is held out.

    Raises:
        InputError: There is none of that number.
    """
    manifest = load(folder / EVALUATION if held_out else folder)
    if not 1 <= number <= manifest.rows:
        raise InputError(
            f"there is no row {number:,}",
            code="data.row",
            hints=[f"rows are numbered from 1 to {manifest.rows:,}"],
        )
    if held_out:
        folder /= EVALUATION
    found = next(one for count, one in enumerate(rows(folder), 1) if count == number)
    return _Samples(folder, manifest).kept(number, found)


def spread(folder: Path, count: int) -> Iterator[Kept]:
    """About `count` rows with their tokens, spread evenly over all of them; all where there are fewer.

    Args:
        folder: Which.
        count: How many, at most twice as many.

    Raises:
        NotFoundError: There is no prepared data.
    """
    manifest = load(folder)
    samples, every = _Samples(folder, manifest), max(1, manifest.rows // count)
    for number, found in enumerate(rows(folder), 1):
        if (number - 1) % every == 0:
            yield samples.kept(number, found)


class _Samples:
    """The tokens of a folder, as they are asked for."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._each = _PREFERENCE if manifest.form == "preference" else 1
        self._pairs = _mapped(folder / SAMPLES, "<u8").reshape(-1, self._each, 2)
        self._tokens, self._mask = _mapped(folder / TOKENS, "<u4"), _mapped(folder / MASK, "u1")
        self._segments = folder / SEGMENTS

    def kept(self, number: int, found: dict[str, Any]) -> Kept:
        """A row with its tokens."""
        spans = [slice(int(start), int(start + size)) for start, size in self._pairs[found["sample"]]]
        parts, masks = tuple(self._tokens[span] for span in spans), tuple(self._mask[span] for span in spans)
        segment = found.get("segment")
        if segment is not None:
            mine = _mapped(self._segments, "<u4")[spans[0]] == segment
            parts, masks = (parts[0][mine],), (masks[0][mine],)
        return Kept(number, found["file"], found["line"], found["sample"], segment, found["row"], parts, masks)


def lengths(folder: Path) -> Array:
    """Tokens of each sample; of preferences those of prompt and longer answer together."""
    manifest = load(folder)
    each = _PREFERENCE if manifest.form == "preference" else 1
    sizes = _mapped(folder / SAMPLES, "<u8").reshape(-1, each, 2)[:, :, 1]
    return sizes[:, 0] + (sizes[:, 1:].max(axis=1) if each > 1 else 0)


def _mapped(path: Path, kind: str) -> Array:
    import numpy as np

    return np.memmap(path, kind, "r") if path.stat().st_size else np.empty(0, kind)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    import io

    import orjson
    import zstandard

    with path.open("rb") as stream:
        for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)):
            yield orjson.loads(line)


def _again(folder: Path) -> str:
    return f"make it anew: `rm -r {folder}`, and prepare it again"
