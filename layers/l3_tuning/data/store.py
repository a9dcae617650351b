"""Store: prepared folders, found by their digest or named by a recipe, read and verified."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.layers.core.errors import FailedError, InputError, NotFoundError
from aiops.layers.l3_tuning.file_sums import Told, sums_of

from .dataset import EVALUATION, MANIFEST, MASK, REMOVED, ROWS, SAMPLES, SEGMENTS, TOKENS, Manifest
from .row import FORMS

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


def named(train: Sequence[str]) -> Path | None:
    """The prepared folder that a recipe's `data.train` names; None for files of rows, or what is not on this machine.

    A folder is a prepared one by its manifest or by its samples: of one that was damaged nobody learns as of rows.

    Raises:
        InputError: A prepared folder stands among other files.
        FailedError: It has lost its manifest.
    """
    found = [Path(one) for one in train if _like_prepared(Path(one))]
    if found and len(train) > 1:
        raise InputError(
            f"{found[0]} is prepared data, and `data.train` names other files beside it",
            code="data.mixed",
            hints=["name the one prepared folder alone, or the files of rows that all of it is made of"],
        )
    if found and not (found[0] / MANIFEST).exists():
        raise _damaged(found[0], found[0] / MANIFEST, "is missing")
    return found[0] if found else None


def _like_prepared(folder: Path) -> bool:
    if any((folder / name).exists() for name in (TOKENS, MASK, SAMPLES)):
        return True
    try:
        said = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(said, dict) and {"digest", "samples", "tokens"} <= said.keys()


def load(folder: Path) -> Manifest:
    """What a prepared folder says of itself.

    Raises:
        NotFoundError: It is none: there is no manifest, as where a preparation was cut off.
        FailedError: Its manifest is broken.
    """
    path = folder / MANIFEST
    try:
        return _manifest(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no prepared data at {folder}: {path} is missing",
            code="data.unprepared",
            hints=["make it: `aiops data prepare PATH --base DIR --into FOLDER`"],
        ) from None
    except OSError as error:
        raise FailedError(f"{path} cannot be read: {error.strerror or error}", code="data.damaged") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FailedError(f"{path} is broken: {error}", code="data.damaged", hints=[_again(folder)]) from error


def _manifest(said: Any) -> Manifest:
    known = {one.name for one in fields(Manifest)}
    found = Manifest(**{name: value for name, value in said.items() if name in known})
    counts = ("samples", "rows", "tokens", "counted", "longest", "length", "vocabulary")
    wrong = [name for name in counts if type(getattr(found, name)) is not int or getattr(found, name) < 0]
    wrong += [name for name in ("inputs", "lineage", "files") if not isinstance(getattr(found, name), Mapping)]
    wrong += ["form"] if found.form not in FORMS else []
    wrong += ["digest"] if not isinstance(found.digest, str) else []
    wrong += ["packed"] if not isinstance(found.packed, bool) else []
    wrong += [
        name for name, one in found.files.items() if not isinstance(one, Mapping) or {"size", "sha256"} - one.keys()
    ]
    if wrong:
        raise ValueError(f"`{wrong[0]}` is not what it should be")
    return found


def prepared(into: Path, digest: str) -> Manifest | None:
    """What is at `into` under `digest`; None for nothing.

    Raises:
        FailedError: It was damaged since: a file is missing or has another length.
    """
    folder = into / digest
    return whole(folder) if (folder / MANIFEST).exists() else None


def whole(folder: Path) -> Manifest:
    """The manifest of a folder of which every file is there with its length.

    Raises:
        NotFoundError: There is no prepared data.
        FailedError: It was damaged since: a file is missing or has another length.
    """
    manifest = load(folder)
    parts = {EVALUATION for name in manifest.files if name.startswith(f"{EVALUATION}/")}
    for part in sorted(parts):
        if not (folder / part / MANIFEST).exists():
            raise _damaged(folder, folder / part / MANIFEST, "is missing")
        load(folder / part)
    for name, kept in manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != kept["size"]:
            words = "is missing" if size is None else f"has {size:,} bytes, not {kept['size']:,}"
            raise _damaged(folder, path, words)
    return manifest


def verify(folder: Path, cache: Path | None = None, told: Told = lambda _done, _all: None) -> Manifest:
    """The manifest of a folder of which every file is what it says.

    Args:
        folder: Which.
        cache: What remembers the sums of files, so that what looks as it did is not read again; None reads all of it.
        told: For progress.

    Raises:
        NotFoundError: There is no prepared data.
        FailedError: A file is missing or is not what it was, or the manifest was made of something else than it says.
    """
    manifest = whole(folder)
    if manifest.inputs and digest_of(manifest.inputs) != manifest.digest:
        raise _damaged(folder, folder / MANIFEST, "is not what was written: its digest is not that of its inputs")
    paths = [folder / name for name in manifest.files]
    try:
        sums = [_sum(path) for path in paths] if cache is None else sums_of(paths, cache, told)
    except OSError as error:
        raise FailedError(
            f"{error.filename} cannot be read: {error.strerror or error}", code="data.damaged", hints=[_again(folder)]
        ) from error
    for path, kept, found in zip(paths, manifest.files.values(), sums, strict=True):
        if found != kept["sha256"]:
            raise _damaged(folder, path, "is not what was written")
    return manifest


def digest_of(inputs: Mapping[str, str]) -> str:
    """The digest of a prepared folder: sha256 over all that made it, by name. Pure."""
    return sha256(json.dumps(dict(inputs), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _sum(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _damaged(folder: Path, path: Path, words: str) -> FailedError:
    return FailedError(f"{path} {words}", code="data.damaged", hints=[_again(folder)])


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


def lengths(folder: Path) -> "Array":
    """Tokens of each sample; of preferences those of prompt and longer answer together."""
    manifest = load(folder)
    each = _PREFERENCE if manifest.form == "preference" else 1
    sizes = _mapped(folder / SAMPLES, "<u8").reshape(-1, each, 2)[:, :, 1]
    return sizes[:, 0] + (sizes[:, 1:].max(axis=1) if each > 1 else 0)


def _mapped(path: Path, kind: str) -> "Array":
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
