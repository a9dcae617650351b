"""What has come and gone in a folder of checkpoints since the last look. Pure, on listings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from .facts import Place
from .format import Format

Known = Mapping[str, str]
"""By path of a place, what it looked like: `mark`."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A look beside what was known before it.

    Attributes:
        found: What is new or looks other than before: to be verified.
        gone: Paths that are there no more.
        known: For the next look.
    """

    found: tuple[tuple[Format, Place], ...]
    gone: tuple[str, ...]
    known: Known


def mark(place: Place) -> str:
    """What a place looks like: it changes when a file of it comes, goes, grows or is written again."""
    told = "\n".join(
        f"{one.path}\t{one.size}\t{one.modified!r}" for one in sorted(place.files, key=lambda one: one.path)
    )
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def watch(places: Sequence[tuple[Format, Place]], known: Known) -> Watched:
    """What of `places` is to be verified, and what of `known` is gone.

    Args:
        places: As `Reader.places` gives them.
        known: Of the last look; empty for none.
    """
    marks = {place.path: mark(place) for _, place in places}
    found = tuple(pair for pair in places if known.get(pair[1].path) != marks[pair[1].path])
    return Watched(found, tuple(sorted(set(known) - set(marks))), marks)
