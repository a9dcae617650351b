"""Looks at a folder of checkpoints that remember what was found before: only what is new or has changed is read."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from .checkpoint import Checkpoint, Level, age_key, newest
from .facts import Place
from .reader import Reader
from .watch import Known, watch

Wants = Callable[[Place, Collection[Checkpoint]], bool]
"""Whether a place is to be read, given what was found so far; of places the newest by name come first."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was found at the last look.

    Attributes:
        known: What each place looked like; not of those that have to be looked at again.
        by_place: The checkpoint at each place.
        came: Places that were read at this look.
    """

    known: Known = field(default_factory=dict)
    by_place: Mapping[str, Checkpoint] = field(default_factory=dict)
    came: tuple[str, ...] = ()

    @property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """All, the newest first."""
        return tuple(sorted(self.by_place.values(), key=age_key, reverse=True))


def every(_place: Place, _found: Collection[Checkpoint]) -> bool:
    """All are read."""
    return True


def none(_place: Place, _found: Collection[Checkpoint]) -> bool:
    """Nothing is read: what is new has only its names looked at."""
    return False


def to_go_on(below: int | None) -> Wants:
    """Read until it is known what to go on from, and what would come next if that is gone back behind.

    Args:
        below: The step that a job goes back behind; None for none.
    """

    def wants(place: Place, found: Collection[Checkpoint]) -> bool:
        if place.step is None:
            return True  # it may be newer than all whose names tell
        good = [one for one in found if one.proved and one.step is not None]
        best = newest(good)
        if best is None or best.step is None:
            return True
        floor = best.step if below is None else min(best.step, below)
        return place.step >= best.step or not any(one.step is not None and one.step < floor for one in good)

    return wants


def looked_again(reader: Reader, path: str, before: Remembered, wants: Wants = every) -> Remembered:
    """Look at `path` once more; unfinished and unknown ones are always read again, where `wants` says so.

    Raises:
        NotFoundError: There is nothing at `path`.
        FailedError: It cannot be read.
        UnreachableError: The machine does not answer.
    """
    listing, places = reader.places(path)
    watched = watch(places, before.known)
    new = {place.path for _, place in watched.found}
    found: dict[str, Checkpoint] = {}
    came: list[str] = []
    for format_, place in sorted(places, key=lambda one: one[1].step is not None):
        if place.path not in new:
            found[place.path] = before.by_place[place.path]
            continue
        read = wants(place, found.values())
        level = Level.MANIFEST if read else Level.MARKER
        found[place.path] = reader.look(listing, format_, place, level).checkpoint
        if read:
            came.append(place.path)
    sure = {place for place, one in found.items() if one.doubt is None and one.level > Level.MARKER}
    known = {place: mark for place, mark in watched.known.items() if place in sure}
    return Remembered(known, found, tuple(came))


def verified_again(reader: Reader, path: str, before: Remembered | None, wants: Wants = every) -> Remembered:
    """Look at `path` once more as for a restart: the newest good one is read at this look, whatever was known of it.

    A disk may have lost a bit since, and no file looks changed for that.

    Raises:
        NotFoundError: There is nothing at `path`.
        FailedError: It cannot be read.
        UnreachableError: The machine does not answer.
    """
    found, read = before or Remembered(), set[str]()
    while True:
        found = looked_again(reader, path, found, wants)
        read.update(found.came)
        good = {place: one for place, one in found.by_place.items() if one.state == "good"}
        newest = max(good, key=lambda place: age_key(good[place]), default=None)
        if newest is None or newest in read:
            return found
        known = {place: mark for place, mark in found.known.items() if place != newest}
        found = Remembered(known, found.by_place)
