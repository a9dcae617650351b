"""Any layout, told by a pattern and a marker: `format: "glob:step_*/*.bin,DONE"`.

A pattern with a folder in it: each folder that has matching files is a checkpoint, and the marker a file in it. One
without: each matching file is a checkpoint, and the marker a file beside it, its name with the marker behind
(`glob:*.bin,.done`). Without a marker nothing tells that a save has ended but that its files change no more.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l2_jobs.checkpoint.facts import MANIFEST, Contents, Entry, Flaw, How, Listing, Place, Reading
from aiops.layers.l2_jobs.checkpoint.format import Judgement, step_of

from .parts import whole

_HOW: tuple[tuple[tuple[str, ...], How], ...] = ((("safetensors",), "safetensors"), (("json",), "json"))


class GlobMarker:
    """The format."""

    name = "glob"
    title = "files by a pattern, and a marker: `glob:PATTERN[,MARKER]`"
    origin = "ours"
    rank = 100

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:
        """What the pattern matches; nothing where none is given."""
        pattern, _, marker = argument.partition(",")
        matching = [one for one in listing.entries if pattern and _matches(one.path, pattern)]
        if "/" in pattern:
            for folder in sorted({one.folder for one in matching}):
                place = whole(listing, folder)
                yield Place(folder, place.step, place.files, marked=marker)
            return
        for one in matching:
            beside = [other for other in listing.entries if marker and other.path == one.path + marker]
            files = tuple(Entry(each.name, each.size, each.modified) for each in (one, *beside))
            yield Place(one.folder, step_of(one.name), files, whole=False, marked=one.name + marker if marker else "")

    def marker(self, place: Place) -> str | None:
        """As it was told."""
        return place.marked or None

    def readings(self, place: Place) -> Iterable[Reading]:
        """By suffix what has a structure; of the others, that they are not empty."""
        for one in place.files:
            if one.path not in {place.marked, MANIFEST}:
                suffix = one.name.rpartition(".")[2]
                yield Reading(one.path, next((how for known, how in _HOW if suffix in known), "there"))

    def judge(self, place: Place, contents: Contents) -> Judgement:  # noqa: ARG002
        """Whether the marker is there."""
        flaws = []
        if place.marked and place.marked not in place.named():
            flaws.append(Flaw(place.marked, "is missing: it is written last", "missing"))
        return Judgement(tuple(flaws), complete=bool(place.marked))

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:  # noqa: ARG002
        """None."""
        return {}


def _matches(path: str, pattern: str) -> bool:
    """As a shell does: a star matches no `/`."""
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


@hookimpl
def checkpoint_format() -> GlobMarker:
    """The format this plugin knows."""
    return GlobMarker()
