"""Prepared rows: those of a prepared folder as they lie there, with their tokens; damage is told by its file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.layers.core.errors import InputError

from .dataset import EVALUATION, MASK, REMOVED, ROWS, SAMPLES, SEGMENTS, TOKENS, Manifest
from .store import anew, damaged, load, whole

if TYPE_CHECKING:
    from .minhash import Array

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
    parts: "tuple[Array, ...]"
    masks: "tuple[Array, ...]"


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of a folder with their places, in the order of the samples.

    Raises:
        FailedError: They were damaged since.
    """
    whole(folder)
    with _telling(folder, folder / ROWS):
        yield from _lines(folder / ROWS)


def removed(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows that were removed, with places and reasons, in the order of the source.

    Raises:
        FailedError: They were damaged since.
    """
    whole(folder)
    with _telling(folder, folder / REMOVED):
        yield from _lines(folder / REMOVED)


def row(folder: Path, number: int, *, held_out: bool = False) -> Kept:
    """One row with its tokens.

    Args:
        folder: Which.
        number: From 1, in the order of the samples.
        held_out: Whether it is of the part that is held out.

    Raises:
        InputError: There is none of that number.
        FailedError: A file was damaged since.
    """
    manifest = whole(folder)
    part = folder / EVALUATION if held_out else folder
    if held_out:
        manifest = load(part)
    if not 1 <= number <= manifest.rows:
        raise InputError(
            f"there is no row {number:,}",
            code="data.row",
            hints=[f"rows are numbered from 1 to {manifest.rows:,}"],
        )
    with _telling(folder, part / ROWS):
        found = next((one for count, one in enumerate(_lines(part / ROWS), 1) if count == number), None)
        if found is None:
            raise ValueError("there are fewer rows than the manifest says")
    return _Samples(folder, part, manifest).kept(number, found)


def spread(folder: Path, count: int) -> Iterator[Kept]:
    """About `count` rows with their tokens, spread evenly over all of them; all where there are fewer.

    Args:
        folder: Which.
        count: How many, at most twice as many.

    Raises:
        NotFoundError: There is no prepared data.
        FailedError: A file was damaged since.
    """
    manifest = whole(folder)
    samples, every = _Samples(folder, folder, manifest), max(1, manifest.rows // count)
    with _telling(folder, folder / ROWS):
        for number, found in enumerate(_lines(folder / ROWS), 1):
            if (number - 1) % every == 0:
                yield samples.kept(number, found)


class _Samples:
    """The tokens of a part of a folder, as they are asked for."""

    def __init__(self, folder: Path, part: Path, manifest: Manifest) -> None:
        self._folder, self._part = folder, part
        self._pairs = _pairs(folder, part, manifest)
        self._tokens, self._mask = _mapped(folder, part / TOKENS, "<u4"), _mapped(folder, part / MASK, "u1")

    def kept(self, number: int, found: dict[str, Any]) -> Kept:
        """A row with its tokens."""
        with _telling(self._folder, self._part / ROWS):
            place = (str(found["file"]), int(found["line"]), int(found["sample"]), found.get("segment"), found["row"])
        file, line, sample, segment, said = place
        with _telling(self._folder, self._part / SAMPLES):
            spans = [slice(int(start), int(start) + int(size)) for start, size in self._pairs[sample]]
            if any(span.stop > len(self._tokens) for span in spans):
                raise ValueError("a sample ends behind the last token")
        parts, masks = tuple(self._tokens[span] for span in spans), tuple(self._mask[span] for span in spans)
        if segment is not None:
            mine = _mapped(self._folder, self._part / SEGMENTS, "<u4")[spans[0]] == segment
            parts, masks = (parts[0][mine],), (masks[0][mine],)
        return Kept(number, file, line, sample, segment, said, parts, masks)


def lengths(folder: Path) -> "Array":
    """Tokens of each sample; of preferences those of prompt and longer answer together.

    Raises:
        FailedError: A file was damaged since.
    """
    manifest = whole(folder)
    sizes = _pairs(folder, folder, manifest)[:, :, 1]
    return sizes[:, 0] + (sizes[:, 1:].max(axis=1) if manifest.form == "preference" else 0)


def _pairs(folder: Path, part: Path, manifest: Manifest) -> "Array":
    """Of each sample the first token and the count of its parts."""
    flat = _mapped(folder, part / SAMPLES, "<u8")
    with _telling(folder, part / SAMPLES):
        return flat.reshape(manifest.samples, _PREFERENCE if manifest.form == "preference" else 1, 2)


def _mapped(folder: Path, path: Path, kind: str) -> "Array":
    import numpy as np

    with _telling(folder, path):
        return np.memmap(path, kind, "r") if path.stat().st_size else np.empty(0, kind)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    import io

    import orjson
    import zstandard

    with path.open("rb") as stream:
        for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)):
            yield orjson.loads(line)


@contextmanager
def _telling(folder: Path, path: Path) -> Iterator[None]:
    """Whatever `path` makes impossible is damage to it: it was written whole, and has the length that it should."""
    import zstandard

    try:
        yield
    except OSError as error:
        raise damaged(folder, path, f"cannot be read: {error.strerror or error}", anew(folder)) from error
    except (ValueError, TypeError, LookupError, OverflowError, zstandard.ZstdError) as error:
        raise damaged(folder, path, "is not what was written", anew(folder)) from error
