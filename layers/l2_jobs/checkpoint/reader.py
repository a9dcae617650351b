"""Reading checkpoints where they lie: find them, look as closely as was asked, judge."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .checkpoint import Checkpoint, Level, age_key, newest
from .facts import MANIFEST, Contents, Listing, Place, Question
from .format import Format, Formats
from .judgement import judged
from .manifest import manifest_in

SETTLED = 60.0
"""Seconds since the last change after which nobody is taken to be writing any more. The longest healthy save that jobs
are held against takes as long (issue 5, line 4), and while one writes its files change."""

_UNSEALED = "it has no manifest, and the one before it has: its save has not ended"


class Surveyor(Protocol):
    """Who looks at files where they are: this machine, or a node."""

    def listing(self, path: str) -> Listing:
        """All files below `path`, or the one file that it is.

        Raises:
            NotFoundError: There is nothing.
            FailedError: It cannot be read.
            UnreachableError: The machine does not answer.
        """
        ...

    def contents(self, root: str, question: Question) -> Contents:
        """What `question` asks of one place below `root`.

        Raises:
            FailedError: The program that reads could not run there.
            UnreachableError: The machine does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """How far a reader is: a place is about to be looked at."""

    number: int
    of: int
    place: Place


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint that was looked at, with all that is needed to do something with it."""

    checkpoint: Checkpoint
    format: Format
    place: Place
    listing: Listing


Progress = Callable[[Told], None]


def _silent(_told: Told) -> None:
    return


@dataclass(frozen=True, slots=True)
class Reader:
    """Finds and judges checkpoints.

    Attributes:
        surveyor: Who looks.
        formats: Which may be met.
        settled: Seconds since its last change in which a checkpoint that is not whole counts as unfinished; 0 where it
            is known that nobody writes any more, as before a restart.
        progress: Told before each that is looked at.
        checksums: Whether the checksums in archives are compared, which reads them whole, where no manifest has better.
    """

    surveyor: Surveyor
    formats: Formats
    settled: float = SETTLED
    progress: Progress = _silent
    checksums: bool = True

    def places(self, path: str) -> tuple[Listing, tuple[tuple[Format, Place], ...]]:
        """What lies at `path`, and where checkpoints are in it, the newest by name first.

        Raises:
            NotFoundError: There is nothing at `path`.
            FailedError: It cannot be read.
            UnreachableError: The machine does not answer.
        """
        listing = self.surveyor.listing(path)
        found = self.formats.places(listing)
        return listing, tuple(
            sorted(found, key=lambda one: (one[1].step is not None, one[1].step or 0, one[1].modified), reverse=True)
        )

    def each(self, path: str, level: Level = Level.MANIFEST, step: int | None = None) -> Iterator[Seen]:
        """The checkpoints at `path` as they are judged, the newest by name first.

        Args:
            path: A folder that holds checkpoints, or one checkpoint.
            level: How closely to look; level 3 is `trial.tried` on what this gives.
            step: Only those of this step; what has none in its name is looked at to learn it.

        Raises:
            As for `places`.
        """
        listing, found = self.places(path)
        wanted = [pair for pair in found if step is None or pair[1].step in (None, step)]
        for number, (format_, place) in enumerate(wanted, 1):
            self.progress(Told(number, len(wanted), place))
            seen = self.look(listing, format_, place, level)
            if step is None or seen.checkpoint.step == step:
                yield seen

    def all(self, path: str, level: Level = Level.MANIFEST, step: int | None = None) -> tuple[Checkpoint, ...]:
        """As `each`, the checkpoints alone and the newest first."""
        return tuple(sorted((one.checkpoint for one in self.each(path, level, step)), key=age_key, reverse=True))

    def newest(self, path: str) -> tuple[Seen | None, tuple[Seen, ...]]:
        """The checkpoint to go on from, and those newer than it that are not good. Older ones are not looked at.

        Raises:
            As for `places`.
        """
        listing, found = self.places(path)
        rejected: list[Seen] = []
        good: list[Seen] = []
        # What has no step in its name may be newer than all that have: it is looked at in any case.
        for number, (format_, place) in enumerate(sorted(found, key=lambda one: one[1].step is not None), 1):
            steps = sorted({one.place.step for one in good if one.place.step is not None}, reverse=True)
            if steps and place.step is not None and place.step < steps[0]:
                first = [one.checkpoint for one in good if one.place.step == steps[0]]
                if len(steps) > 1 or any(one.manifest for one in first):
                    break
            self.progress(Told(number, len(found), place))
            seen = self.look(listing, format_, place, Level.MANIFEST)
            (good if seen.checkpoint.proved else rejected).append(seen)
        best = newest(one.checkpoint for one in good)
        if best is None:
            return None, tuple(rejected)
        chosen = next(one for one in good if one.checkpoint is best)
        rejected += [
            replace(one, checkpoint=replace(one.checkpoint, verified=False, why=_UNSEALED, doubt="unfinished"))
            for one in good
        ]
        return chosen, tuple(one for one in rejected if age_key(one.checkpoint) > age_key(best))

    def look(self, listing: Listing, format_: Format, place: Place, level: Level) -> Seen:
        """One place, judged; by the format that its manifest names, where it has one."""
        sealed: Sequence[str] = ()
        if level >= Level.STRUCTURE and MANIFEST in place.named():
            manifest = manifest_in(self.surveyor.contents(listing.root, Question(place.base, ())).manifest)
            if manifest is not None:
                format_ = self.formats.of_manifest(manifest.format, format_)
                sealed = tuple(manifest.files)
        by_digest = level >= Level.MANIFEST and bool(sealed)
        question = Question(
            place.base,
            tuple(format_.readings(place)),
            sealed if by_digest else (),
            checksums=self.checksums and not by_digest,
            size=place.size,
        )
        contents = self.surveyor.contents(listing.root, question) if level >= Level.STRUCTURE else Contents({})
        return Seen(judged(listing, format_, place, contents, level, settled=self.settled), format_, place, listing)
