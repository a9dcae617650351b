"""What is made of a place: its format's judgement, its files' own flaws and its manifest together. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from aiops.layers.l2_jobs.wire import WHOLE

from .checkpoint import Checkpoint, Doubt, Level
from .facts import MANIFEST, Contents, Flaw, Listing, Place
from .format import Format, Judgement
from .manifest import Manifest, ManifestError, flaws, parse

SKEW = 300.0
"""Seconds that the clocks of a file server and of whoever looks may be apart; a time further ahead says nothing of
whether somebody writes. Kerberos (RFC 4120, 3.1.3), which guards such servers, bears five minutes."""

_SHOWN = 2


def judged(
    listing: Listing, format_: Format, place: Place, contents: Contents, level: Level, *, settled: float
) -> Checkpoint:
    """The checkpoint at `place`.

    Args:
        listing: It was found in.
        format_: That found it.
        place: Where it is.
        contents: What was read of it; nothing at level `MARKER`.
        level: How closely it was looked at.
        settled: Seconds since the last change in which what is not whole counts as unfinished.
    """
    path = f"{listing.root}/{place.path}" if place.path else listing.root
    has_manifest = MANIFEST in place.named()
    found: list[Flaw] = []
    verdict = Judgement(step=None)
    manifest: Manifest | None = None
    if level == Level.MARKER:
        marker = MANIFEST if has_manifest else format_.marker(place)
        if marker is not None and marker not in place.named():
            found.append(Flaw(marker, "is missing: it is written last", "missing"))
    else:
        verdict = format_.judge(place, contents)
        found += contents.flaws()
        found += [one for one in verdict.flaws if one not in found]
        manifest = _manifest(contents, found) if has_manifest else None
        if manifest is not None:
            found += flaws(manifest, place, contents, [one.path for one in format_.readings(place)])
    found += [Flaw(path, f"cannot be read: {reason}", "unreadable") for path, reason in _unread(listing, place)]
    doubt = _doubt(found, verdict, listing.at - place.modified, settled, has_manifest=has_manifest)
    step = manifest.step if manifest is not None else verdict.step if verdict.step is not None else place.step
    world_size = manifest.world_size if manifest is not None and manifest.world_size else verdict.world_size
    return Checkpoint(
        _counted(step),
        path,
        format_.name,
        level,
        verified=level >= Level.STRUCTURE and not found and doubt is None,
        why=_told(found, doubt),
        world_size=_counted(world_size),
        size=place.size,
        written=_time(place.modified),
        manifest=has_manifest,
        elastic=verdict.elastic,
        doubt=doubt,
    )


def _counted(number: int | None) -> int | None:
    """A number that a user's file or folder tells; None where no program counts so far, and no store could keep it."""
    return number if number is not None and abs(number) < WHOLE else None


def _manifest(contents: Contents, found: list[Flaw]) -> Manifest | None:
    if contents.manifest is None:
        if not any(one.path == MANIFEST for one in found):
            found.append(Flaw(MANIFEST, "could not be read", "unreadable"))
        return None
    try:
        return parse(contents.manifest)
    except ManifestError as error:
        found.append(Flaw(MANIFEST, str(error)))
        return None


def _unread(listing: Listing, place: Place) -> list[tuple[str, str]]:
    """Folders of `place` that could not be listed: what is in them is not known."""
    head = f"{place.base}/" if place.base else ""
    if not place.whole:
        return []
    return [(path, why) for path, why in listing.unread.items() if path == place.base or path.startswith(head)]


def _doubt(
    found: Sequence[Flaw], verdict: Judgement, age: float, settled: float, *, has_manifest: bool
) -> Doubt | None:
    """Why nothing is known to be wrong with a place that is not verified; None where something is, or nothing at all.

    A manifest is written when all else is on the disk: what is wrong beside it is wrong for good.
    """
    moving = -SKEW < age < settled and not has_manifest
    if moving and (found or not verdict.complete):
        return "unfinished"
    if any(one.kind in {"missing", "damaged"} for one in found):
        return None
    return "unknown" if found else None


def _told(found: Sequence[Flaw], doubt: Doubt | None) -> str | None:
    words = "; ".join(str(one) for one in found[:_SHOWN])
    if len(found) > _SHOWN:
        words += f"; and {len(found) - _SHOWN} more"
    if doubt == "unfinished":
        return f"it is still being written ({words})" if words else "it is still being written"
    return words or None


def _time(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None  # a file system's nonsense
