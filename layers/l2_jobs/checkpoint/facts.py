"""What a look at checkpoints finds where they lie, as values; nothing is judged here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

MANIFEST = "aiops-manifest.json"
How = Literal["torch", "safetensors", "json", "text", "dcp", "there"]
"""`torch`: what torch.save has written. `dcp`: a `.metadata` and all that it refers to. `there`: only that it is."""

FlawKind = Literal["missing", "damaged", "unreadable", "foreign"]
"""`unreadable`: the file system did not give it, which says nothing of what is in it. `foreign`: it was never of this
format, so that it is nothing of ours to judge."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a listing.

    Attributes:
        path: Relative to what was listed, with `/`.
        size: Bytes.
        modified: Seconds since 1970.
        link: Whether it is a symbolic link; size and time are then of what it leads to.
    """

    path: str
    size: int
    modified: float
    link: bool = False

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The path without its name; empty for what was listed itself."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Listing:
    """All files below a folder, to a certain depth.

    Attributes:
        root: Absolute path of the folder.
        at: When it was listed, by the clock of the machine that did: seconds since 1970.
        entries: Sorted by path; what is set aside or hidden is left out, but for the files that formats know.
        unread: Folders that could not be read, and files whose name cannot be said, with the reason.
    """

    root: str
    at: float
    entries: tuple[Entry, ...]
    unread: Mapping[str, str] = field(default_factory=dict)

    def folders(self) -> dict[str, tuple[Entry, ...]]:
        """The files right in each folder, by its path; empty for the root."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.folder, []).append(entry)
        return {path: tuple(files) for path, files in found.items()}

    def below(self, folder: str) -> tuple[Entry, ...]:
        """All files below `folder`, with their paths relative to it."""
        if not folder:
            return self.entries
        head = f"{folder}/"
        return tuple(
            Entry(one.path.removeprefix(head), one.size, one.modified, one.link)
            for one in self.entries
            if one.path.startswith(head)
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a checkpoint is, or may be.

    Attributes:
        base: The folder that paths of `files` are relative to, relative to the listing's root; empty for the root.
        step: As its name tells it; None where it does not.
        files: All of it.
        whole: Whether the folder itself is the checkpoint, rather than some files in it.
        marked: The file that is written last, where whoever asked has said so.
    """

    base: str
    step: int | None
    files: tuple[Entry, ...]
    whole: bool = True
    marked: str = ""

    @property
    def path(self) -> str:
        """Relative to the listing's root; of several files the first."""
        if self.whole:
            return self.base
        name = self.files[0].path
        return f"{self.base}/{name}" if self.base else name

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(one.size for one in self.files)

    @property
    def modified(self) -> float:
        """When the last of its files was changed."""
        return max((one.modified for one in self.files), default=0.0)

    def named(self) -> dict[str, Entry]:
        """Its files by path."""
        return {one.path: one for one in self.files}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read of one file.

    Attributes:
        path: Relative to the place's base.
        keys: Of a JSON document at its top, or of what torch.save has written, there also `args.world_size`: the values
            that are wanted.
    """

    path: str
    how: How
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong with a checkpoint, or not known of it.

    Attributes:
        path: The file, relative to the place's base; empty for the whole.
        message: What it is, to stand behind the path: `is 0 bytes`.
    """

    path: str
    message: str
    kind: FlawKind = "damaged"

    def __str__(self) -> str:
        return f"{self.path} {self.message}" if self.path else self.message


@dataclass(frozen=True, slots=True)
class Content:
    """What was read of one file.

    Attributes:
        flaw: What is wrong with the file by itself.
        values: `text`; `keys` (of JSON and torch); `name` (the archive's own, of torch); `tensors` (safetensors: the
            names); `files` (dcp: by name, the bytes that it must have).
    """

    path: str
    how: How
    flaw: Flaw | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> Mapping[str, Any]:
        """The values that were wanted, as far as they are there."""
        found = self.values.get("keys")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read of one place.

    Attributes:
        found: By path.
        manifest: The text of its manifest; None where it has none or was not asked for.
        digests: SHA-256 by path, or the flaw in its place; empty below level `MANIFEST`.
    """

    found: Mapping[str, Content]
    manifest: str | None = None
    digests: Mapping[str, str | Flaw] = field(default_factory=dict)

    def flaws(self) -> tuple[Flaw, ...]:
        """What is wrong with the files, each by itself."""
        return tuple(one.flaw for one in self.found.values() if one.flaw is not None)

    def keys(self, path: str) -> Mapping[str, Any]:
        """`Content.keys` of a file; empty where it was not read."""
        one = self.found.get(path)
        return {} if one is None else one.keys


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be read of one place.

    Attributes:
        base: As of the place.
        readings: Of its files.
        digests: Files whose SHA-256 is wanted.
        checksums: Whether the checksums of archives are compared, which reads all of them.
        size: Bytes that may have to be read.
    """

    base: str
    readings: Sequence[Reading]
    digests: Sequence[str] = ()
    checksums: bool = True
    size: int = 0
