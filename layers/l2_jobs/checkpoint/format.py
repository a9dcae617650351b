"""The seam of checkpoint formats: how each lays out its files, and what of them must fit together.

A format is pure. It finds places in a listing, says what is to be read of them, and judges what was read. What is wrong
with a file by itself (cut off, a wrong checksum, no JSON) need not be judged again: that is a flaw already.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from aiops.layers.core.errors import InputError
from aiops.layers.core.plugin import Plugins, hookspec

from .facts import Contents, Flaw, Listing, Place, Reading

KIND = "checkpoint_format"
AUTO = "auto"
ANY_FILES = "files"
"""The format of what only its manifest describes."""

_NUMBER = re.compile(r"\d+")
_STEP = re.compile(r"(?:step|iter|checkpoint|ckpt|global_step)[-_=]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a format makes of a place.

    Attributes:
        flaws: What does not fit together; none where all is well.
        step: As the contents tell it; None where they do not.
        world_size: Processes that have written it; None where it does not tell.
        complete: Whether the layout itself tells that nothing is to come, as a marker that is written last does. Where
            it does not, a place that was changed a moment ago is taken for unfinished.
        elastic: Whether another number of processes may go on from it.
    """

    flaws: tuple[Flaw, ...] = ()
    step: int | None = None
    world_size: int | None = None
    complete: bool = True
    elastic: bool = True


class Format(Protocol):
    """One way to lay out checkpoints."""

    @property
    def name(self) -> str:
        """As in `format: hf-trainer` of a job."""
        ...

    @property
    def title(self) -> str:
        """For people, in a few words."""
        ...

    @property
    def origin(self) -> str:
        """Where the layout is known from: `saves of transformers 4.57`, or `layout from source`."""
        ...

    @property
    def rank(self) -> int:
        """Of several formats that know a folder the highest has it: what knows more of it."""
        ...

    def find(self, listing: Listing, argument: str) -> Iterable[Place]:
        """Where checkpoints of this format are, or are being written.

        Args:
            listing: All files there.
            argument: What stands behind the colon of `format: NAME:ARGUMENT`; empty for nothing.
        """
        ...

    def marker(self, place: Place) -> str | None:
        """The file of `place` that its writer leaves last; None where the format has none."""
        ...

    def readings(self, place: Place) -> Iterable[Reading]:
        """What is to be read of `place`."""
        ...

    def judge(self, place: Place, contents: Contents) -> Judgement:
        """Whether what was read fits together."""
        ...

    def pointers(self, listing: Listing, place: Place) -> Mapping[str, str]:
        """Files outside `place` by which its own loader finds the newest, and what each must say to lead to `place`.

        Paths are relative to the listing's root; only files that are there.
        """
        ...


class CheckpointFormatHooks:
    """Hooks of the kind `checkpoint_format`."""

    @hookspec
    def checkpoint_format(self) -> Format:  # type: ignore[empty-body]
        """The format that this plugin knows."""


@dataclass(frozen=True, slots=True)
class Formats:
    """Those that may be met, the one that has a folder before the others first.

    Attributes:
        argument: What is handed to them, see `Format.find`.
    """

    known: tuple[Format, ...]
    argument: str = ""

    def named(self, name: str) -> Format:
        """The format of a checkpoint."""
        return next(one for one in self.known if one.name == name)

    def of_manifest(self, name: str, found: Format) -> Format:
        """What judges a place with a manifest that names a format: whoever saved it knows better than a suffix.

        Of a format that is not known here only the manifest is held against the files.

        Args:
            name: As the manifest says.
            found: What has found the place.
        """
        if name == found.name:
            return found
        by_name = {one.name: one for one in self.known}
        return by_name.get(name) or by_name.get(ANY_FILES) or found

    def places(self, listing: Listing) -> tuple[tuple[Format, Place], ...]:
        """All places of a listing, each with its format: none lies in another, no file is in two. Pure."""
        taken: list[tuple[Format, Place]] = []
        files: set[str] = set()
        for format_ in self.known:
            for place in format_.find(listing, self.argument):
                head = f"{place.base}/" if place.base else ""
                own = {head + one.path for one in place.files}
                if own and not own & files:
                    taken.append((format_, place))
                    files |= own
        return tuple(taken)


def read_formats(plugins: Plugins, asked: str = AUTO) -> Formats:
    """The formats that may be met: all, or the one that was asked for as `NAME` or `NAME:ARGUMENT`.

    Raises:
        InputError: There is none of that name; the nearest is told.
        PluginError: A plugin is broken.
    """
    found = plugins.hooks(KIND, CheckpointFormatHooks).checkpoint_format()
    known = tuple(sorted(found, key=lambda one: (-one.rank, one.name)))
    name, _, argument = asked.partition(":")
    if name == AUTO:
        return Formats(known)
    chosen = tuple(one for one in known if one.name == name)
    if not chosen:
        from difflib import get_close_matches

        near = get_close_matches(name, [one.name for one in known], n=1)
        raise InputError(
            f"there is no checkpoint format `{name}`",
            code="checkpoint.format",
            hints=[
                *([f"did you mean `{near[0]}`?"] if near else []),
                f"there are {', '.join(sorted(one.name for one in known))}, and `{AUTO}`",
            ],
        )
    return Formats(chosen, argument)


def step_of(name: str) -> int | None:
    """The step in the name of a file or folder: behind a word such as `step`, else its only number. Pure."""
    worded = worded_step_of(name)
    if worded is not None:
        return worded
    numbers = _NUMBER.findall(name)
    return int(numbers[0]) if len(numbers) == 1 else None


def worded_step_of(name: str) -> int | None:
    """The step in a name that says what its number is: `step-100`, `iter_0000100`, `checkpoint-100`. Pure."""
    found = _STEP.findall(name)
    return int(found[-1]) if found else None
