"""Store: prepared folders, found by their digest or named by a recipe, and verified."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from hashlib import file_digest, sha256
from pathlib import Path
from shlex import quote
from typing import Any

from aiops.layers.core.errors import FailedError, InputError, NotFoundError
from aiops.layers.l3_tuning.file_sums import Told, sums_of

from .dataset import EVALUATION, MANIFEST, MASK, SAMPLES, TOKENS, Manifest
from .row import FORMS


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
        raise damaged(found[0], found[0] / MANIFEST, "is missing")
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
    known = {one.name: one.default is MISSING and one.default_factory is MISSING for one in fields(Manifest)}
    missing = [name for name, needed in known.items() if needed and name not in said]
    if missing:
        raise ValueError(f"it says no `{missing[0]}`")
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
    return _complete(folder, anew(folder))


def _complete(folder: Path, hints: Sequence[str]) -> Manifest:
    manifest = load(folder)
    parts = {EVALUATION for name in manifest.files if name.startswith(f"{EVALUATION}/")}
    for part in sorted(parts):
        if not (folder / part / MANIFEST).exists():
            raise damaged(folder, folder / part / MANIFEST, "is missing", hints)
        load(folder / part)
    for name, kept in manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != kept["size"]:
            words = "is missing" if size is None else f"has {size:,} bytes, not {kept['size']:,}"
            raise damaged(folder, path, words, hints)
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
    manifest = _complete(folder, (_again(folder),))
    if manifest.inputs and digest_of(manifest.inputs) != manifest.digest:
        raise damaged(folder, folder / MANIFEST, "is not what was written: its digest is not that of its inputs")
    paths = [folder / name for name in manifest.files]
    try:
        sums = [_sum(path) for path in paths] if cache is None else sums_of(paths, cache, told)
    except OSError as error:
        raise FailedError(
            f"{error.filename} cannot be read: {error.strerror or error}", code="data.damaged", hints=[_again(folder)]
        ) from error
    for path, kept, found in zip(paths, manifest.files.values(), sums, strict=True):
        if found != kept["sha256"]:
            raise damaged(folder, path, "is not what was written")
    return manifest


def digest_of(inputs: Mapping[str, str]) -> str:
    """The digest of a prepared folder: sha256 over all that made it, by name. Pure."""
    return sha256(json.dumps(dict(inputs), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _sum(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def damaged(folder: Path, path: Path, words: str, hints: Sequence[str] = ()) -> FailedError:
    """The error for a file of a prepared folder that is not what it was; by default it only says to make it anew."""
    return FailedError(f"{path} {words}", code="data.damaged", hints=hints or [_again(folder)])


def anew(folder: Path) -> tuple[str, str]:
    """Hints for whoever met damage in a folder, or in its part that is held out, and has not compared all of it."""
    return f"see what else is damaged: `aiops data show {quote(str(_top(folder)))} --verify`", _again(folder)


def _again(folder: Path) -> str:
    return f"make it anew: `rm -r {quote(str(_top(folder)))}`, and prepare it again"


def _top(folder: Path) -> Path:
    """The prepared folder that the part that is held out belongs to: it is made, and removed, as a whole."""
    return folder.parent if folder.name == EVALUATION and (folder.parent / MANIFEST).exists() else folder
