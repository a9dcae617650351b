"""Planted values, and where they turned up: files, the store, command lines and environments of processes."""

import base64
import json
import shlex
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

_SHORTEST = 8
_YOUNG = 20


@dataclass(frozen=True)
class Canary:
    """A value that must be found nowhere but at home."""

    name: str
    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) < _SHORTEST:
            raise ValueError("too short: it would be found by chance")

    @cached_property
    def shapes(self) -> frozenset[bytes]:
        """The value as programs write it: plain, escaped, quoted, in hex, in base64 at each of its three offsets."""
        shapes = {self.value, self.value.hex().encode(), self.value.hex().upper().encode()}
        for offset in range(3):
            # What stands beside a value changes the first and last letters of its base64; the middle stays.
            encoded = base64.b64encode(b"\0" * offset + self.value).rstrip(b"=")
            shapes.add(encoded[(0, 2, 3)[offset] : -2])
        try:
            text = self.value.decode()
        except UnicodeDecodeError:
            return frozenset(shapes)
        for ascii_only in (True, False):
            shapes.add(json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode())
        shapes |= {repr(text)[1:-1].encode(), quote(text).encode(), shlex.quote(text)[1:-1].encode()}
        return frozenset(shapes)

    def within(self, data: bytes) -> bool:
        """Whether any shape of the value is in `data`."""
        return any(shape in data for shape in self.shapes)


def find_in_tree(root: Path, canaries: Sequence[Canary], *, but: Iterable[Path] = ()) -> list[str]:
    """`NAME in FILE` for every regular file below `root` (links are not followed) that holds a canary."""
    left_out = set(but)
    found = []
    for path in _files(root, left_out):
        try:
            data = path.read_bytes()
        except OSError:
            continue  # gone meanwhile
        found += [f"{canary.name} in {path}" for canary in canaries if canary.within(data)]
    return found


def _files(folder: Path, left_out: set[Path]) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry in left_out or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _files(entry, left_out)
        elif entry.is_file():
            yield entry


def find_in_database(path: Path, canaries: Sequence[Canary]) -> list[str]:
    """`NAME in TABLE` for every row of an SQLite database; its pages may break a value that its rows do not."""
    found = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - names from the database itself
                data = b"\0".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
                found += [f"{canary.name} in {table}" for canary in canaries if canary.within(data)]
    return found


class ProcessWatch:
    """Reads the command line and environment of every process of this machine, again and again, until the block ends.

    Hosts of a lab share the machine's kernel, so that their processes are seen too.
    """

    def __init__(self, seconds: float = 0.005) -> None:
        self._seconds = seconds
        self._seen: dict[bytes, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(10)

    def has_seen(self, words: bytes) -> bool:
        """Whether a command line with these words was read."""
        return any(words in data for data in list(self._seen))

    @property
    def samples(self) -> int:
        """How many different command lines and environments were read."""
        return len(self._seen)

    def find(self, canaries: Sequence[Canary]) -> list[str]:
        """`NAME in PLACE` for every command line and environment that held a canary."""
        return [
            f"{canary.name} in {place}"
            for data, place in self._seen.items()
            for canary in canaries
            if canary.within(data)
        ]

    def _watch(self) -> None:
        """Read processes that are young at every look, for they become other programs; the others now and then."""
        looks: dict[str, int] = {}
        while not self._ended.wait(self._seconds):
            names = [folder.name for folder in Path("/proc").iterdir() if folder.name.isdigit()]
            looks = {name: looks.get(name, 0) + 1 for name in names}
            for name, count in looks.items():
                if count <= _YOUNG or count % _YOUNG == 0:
                    self._read(Path("/proc", name))

    def _read(self, process: Path) -> None:
        try:
            words = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            return  # it has ended, or is not ours to read
        program = words.partition(b"\0")[0].decode(errors="replace")
        self._seen.setdefault(words, f"cmdline of {program}")
        self._seen.setdefault(environment, f"environ of {program}")
