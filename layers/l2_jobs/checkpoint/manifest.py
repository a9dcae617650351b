"""`aiops-manifest.json`: what a checkpoint consists of, written last by whoever saved it. Read and compared, purely."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .facts import MANIFEST, Contents, Flaw, Place
from .remote.distributed import is_inside, is_number

VERSION = 1
_DEEP = 3
"""Parts of a path that are within a listing's depth, wherever in it the checkpoint is."""


class ManifestError(ValueError):
    """It is no manifest that we know; the words say why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says.

    Attributes:
        files: By path relative to the checkpoint's folder, size in bytes and SHA-256 in hexadecimal digits.
    """

    step: int
    world_size: int | None
    job: str | None
    epoch: int | None
    format: str
    files: Mapping[str, tuple[int, str]]


def parse(text: str) -> Manifest:
    """The manifest in `text`. Pure.

    Raises:
        ManifestError: It is none, or of a version that we do not know.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError("is no JSON document") from error
    if not isinstance(document, dict) or document.get("aiops") != VERSION:
        raise ManifestError(f"is no manifest of version {VERSION}")
    files: dict[str, tuple[int, str]] = {}
    listed = document.get("files")
    if not isinstance(listed, list):
        raise ManifestError("lists no files")
    for one in listed:
        row = one if isinstance(one, dict) else {}
        path, size, digest = row.get("path"), row.get("size"), row.get("sha256")
        if not isinstance(path, str) or not is_inside(path):
            raise ManifestError("lists a file outside its own folder")
        if not isinstance(size, int) or not is_number(size) or not isinstance(digest, str) or path in files:
            raise ManifestError(f"does not tell size and SHA-256 of {path} once")
        files[path] = (size, digest.lower())
    step, format_ = document.get("step"), document.get("format")
    if not isinstance(step, int) or not is_number(step) or not isinstance(format_, str):
        raise ManifestError("tells no step or no format")
    return Manifest(
        step,
        _number_or_none(document, "world_size"),
        _text_or_none(document, "job"),
        _number_or_none(document, "epoch"),
        format_,
        files,
    )


def manifest_in(text: str | None) -> Manifest | None:
    """As `parse`; None where there is none, or it is none. Pure."""
    try:
        return None if text is None else parse(text)
    except ManifestError:
        return None


def flaws(manifest: Manifest, place: Place, contents: Contents, own: Iterable[str]) -> Iterator[Flaw]:
    """Where the files are not those of the manifest. Pure.

    Args:
        manifest: What was written.
        place: What is there.
        contents: With the digests that were asked for.
        own: Files that the format reads: one of them that the manifest does not know was not saved with it.
    """
    there = place.named()
    for path, (size, digest) in manifest.files.items():
        entry, found = there.get(path), contents.digests.get(path)
        if found == digest:
            continue
        if isinstance(found, Flaw) and found.kind != "missing":
            yield found
        elif entry is not None and entry.size != size:
            yield Flaw(path, f"has {entry.size:,} bytes; the manifest says {size:,}")
        elif isinstance(found, str):
            yield Flaw(path, "is not what was saved: its SHA-256 is another than in the manifest")
        elif found is not None or (entry is None and _is_listed(path)):
            yield Flaw(path, "is missing: the manifest lists it", "missing")
    for path in own:
        if path in there and path not in manifest.files and path != MANIFEST:
            yield Flaw(path, "was not saved with the others: the manifest does not list it")


def _is_listed(path: str) -> bool:
    """Whether a listing has it, if it is there: what lies deep or in a hidden folder is only found by its digest."""
    parts = path.split("/")
    return len(parts) <= _DEEP and not any(part.startswith(".") for part in parts)


def _number_or_none(document: Mapping[str, Any], key: str) -> int | None:
    value = document.get(key)
    if value is not None and not is_number(value):
        raise ManifestError(f"has no whole number for `{key}`")
    return value


def _text_or_none(document: Mapping[str, Any], key: str) -> str | None:
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise ManifestError(f"has no text for `{key}`")
    return value
