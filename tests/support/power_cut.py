"""What a power cut may leave of a recorded sequence of changes to files, by the weakest promise that POSIX makes.

What was not synced may be on the disk or not, piece by piece and in any order:

- content after a file's last fsync: all of it, none, cut anywhere, some blocks old, some new, some of zeros;
- names (create, rename, unlink, mkdir) since the last fsync of one of the folders concerned: any of them kept and any
  lost, also a rename without the content of what was renamed. One rename by itself is done or not, never half.

Real file systems leave fewer states; which ones depends on their kind and options. It is an abstract model of what
persists as Pillai et al. use one (All File Systems Are Not Created Equal, OSDI 2014), and no file system's own.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = 512
"""Bytes that a disk writes whole."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes went into a file."""

    file: int
    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A file was cut, or grew by zeros."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Name:
    """Entries of folders were set in one step: (folder, name, what it names now; None for nothing)."""

    entries: tuple[tuple[int, str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Sync:
    """A file, or a folder's entries, are on the disk when it returns."""

    what: int


Change = Write | Resize | Name | Sync
Tree = dict[str, bytes | None]
"""Relative names of files with their content, and of folders with None."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What was there and on the disk, and what was done then.

    Attributes:
        root: The folder that is looked at; folders and files have numbers.
        folders: Their entries, before the first change; those that come later are in it with none.
        contents: Of files, before the first change.
    """

    root: int
    folders: Mapping[int, Mapping[str, int]]
    contents: Mapping[int, bytes]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of all that a power cut may take.

    Attributes:
        names: Of a number of changes of names that may be lost, those that are kept.
        content: Of a file's content on the disk, its newest one, and the shortest that it had in between, what is found
            later. What is the same in the first two before the end of the shortest is never lost.
    """

    label: str
    names: Callable[[int], Sequence[bool]]
    content: Callable[[bytes, bytes, int], bytes]


@dataclass(slots=True)
class _Moment:
    """A recording up to some change."""

    names: list[tuple[Name, bool]] = field(default_factory=list)  # and whether it is on the disk for sure
    durable: dict[int, bytes] = field(default_factory=dict)
    newest: dict[int, bytes] = field(default_factory=dict)
    shortest: dict[int, int] = field(default_factory=dict)


def applied(content: bytes, change: Write | Resize) -> bytes:
    """A file's content after a change of it."""
    if isinstance(change, Resize):
        return content[: change.size].ljust(change.size, b"\0")
    return content[: change.at].ljust(change.at, b"\0") + change.data + content[change.at + len(change.data) :]


def _moment(recording: Recording, done: int) -> _Moment:
    moment = _Moment(durable=dict(recording.contents), newest=dict(recording.contents))
    for change in recording.changes[:done]:
        match change:
            case Name():
                moment.names.append((change, False))
            case Sync(what):
                if what in moment.newest:
                    moment.durable[what] = moment.newest[what]
                    moment.shortest.pop(what, None)
                moment.names = [
                    (name, sure or any(folder == what for folder, _, _ in name.entries)) for name, sure in moment.names
                ]
            case _:
                file, durable = change.file, moment.durable.get(change.file, b"")
                moment.newest[file] = applied(moment.newest.get(file, b""), change)
                moment.shortest[file] = min(moment.shortest.get(file, len(durable)), len(moment.newest[file]))
    return moment


def _tree(recording: Recording, moment: _Moment, fate: Fate) -> Tree:
    kept = iter(fate.names(sum(not sure for _, sure in moment.names)))
    folders = {number: dict(entries) for number, entries in recording.folders.items()}
    for name, sure in moment.names:
        if sure or next(kept):
            for folder, entry, target in name.entries:
                folders[folder].pop(entry, None)
                if target is not None:
                    folders[folder][entry] = target
    tree: Tree = {}
    contents: dict[int, bytes] = {}

    def walk(folder: int, above: str, parents: frozenset[int]) -> None:
        for entry, target in sorted(folders[folder].items()):
            path = f"{above}{entry}"
            if target not in folders:
                if target not in contents:
                    durable, newest = moment.durable.get(target, b""), moment.newest.get(target, b"")
                    shortest = moment.shortest.get(target)
                    contents[target] = newest if shortest is None else fate.content(durable, newest, shortest)
                tree[path] = contents[target]
            elif target not in parents:
                tree[path] = None
                walk(target, f"{path}/", parents | {target})

    walk(recording.root, "", frozenset({recording.root}))
    return tree


def _all(count: int) -> list[bool]:
    return [True] * count


def _none(count: int) -> list[bool]:
    return [False] * count


def _newest(_durable: bytes, newest: bytes, _shortest: int) -> bytes:
    return newest


def _durable(durable: bytes, _newest: bytes, _shortest: int) -> bytes:
    return durable


def _zeros(durable: bytes, newest: bytes, shortest: int) -> bytes:
    return durable[:shortest].ljust(len(newest), b"\0")


def _cut(dice: random.Random, newest: bytes, shortest: int) -> bytes:
    return newest[: dice.randint(shortest, max(shortest, len(newest)))]


def _mixed(dice: random.Random, durable: bytes, newest: bytes, shortest: int) -> bytes:
    """Each block by itself as it is on the disk, as it was written last, or of zeros where it is new."""
    most = max(len(newest), len(durable))
    size = dice.choice((len(newest), len(durable), shortest, dice.randint(shortest, most)))
    kinds = (newest.ljust(most, b"\0"), durable.ljust(most, b"\0"), durable[:shortest].ljust(most, b"\0"))
    return b"".join(dice.choice(kinds)[at : at + BLOCK] for at in range(0, most, BLOCK))[:size]


KILLED = Fate("killed", _all, _newest)
"""What a process leaves that is killed: the machine runs on, so nothing is lost."""

_PLAIN = (
    KILLED,
    Fate("all lost", _none, _durable),
    Fate("content lost", _all, _durable),
    Fate("zeros", _all, _zeros),
    Fate("names lost", _none, _newest),
)


def _drawn(dice: random.Random) -> Fate:
    """Any fate."""

    def names(count: int) -> Sequence[bool]:
        match dice.randrange(3):
            case 0:
                return _all(count)
            case 1:  # as a journal loses them: the last ones
                cut = dice.randint(0, count)
                return [number < cut for number in range(count)]
        return [bool(dice.getrandbits(1)) for _ in range(count)]

    def content(durable: bytes, newest: bytes, shortest: int) -> bytes:
        match dice.randrange(6):
            case 0:
                return newest
            case 1:
                return durable
            case 2:
                return _zeros(durable, newest, shortest)
            case 3:
                return _cut(dice, newest, shortest)
        return _mixed(dice, durable, newest, shortest)

    return Fate("drawn", names, content)


def killed(recording: Recording, done: int) -> Tree:
    """What is there when the process is killed after `done` changes."""
    return _tree(recording, _moment(recording, done), KILLED)


def states(recording: Recording, seed: int, count: int) -> Iterator[tuple[int, str, Tree]]:
    """At most `count` different states, each after so many changes and with its fate's label.

    The plain fates of every moment come first; the others are drawn by `seed`, more of moments at which more may be
    lost. It ends early where so many different ones are not found.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret
    moments = [_moment(recording, done) for done in range(len(recording.changes) + 1)]
    seen = set[int]()

    def news(done: int, fate: Fate) -> Tree | None:
        tree = _tree(recording, moments[done], fate)
        mark = hash(tuple(tree.items()))
        if mark in seen:
            return None
        seen.add(mark)
        return tree

    for done in range(len(moments)):
        for fate in _PLAIN:
            if len(seen) < count and (tree := news(done, fate)) is not None:
                yield done, fate.label, tree
    weights = [1 + 8 * len(one.shortest) + sum(not sure for _, sure in one.names) for one in moments]
    for _ in range(100 * count):
        if len(seen) >= count:
            return
        done = dice.choices(range(len(moments)), weights)[0]
        if (tree := news(done, _drawn(dice))) is not None:
            yield done, "drawn", tree


def build(tree: Tree, folder: Path) -> None:
    """Write a state as files below `folder`, which is there and empty."""
    for name, content in tree.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
