"""No secret is found anywhere but at home: planted values, looked for in files, the store, processes, and on hosts.

First the scanner and its own tests, which need no lab.
"""

import base64
import json
import shlex
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import pytest

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.event import EventStream
from aiops.layers.core.store import Store

_SHORTEST = 8


@dataclass(frozen=True)
class Canary:
    """A value that must be found nowhere but at home."""

    name: str
    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) < _SHORTEST:
            raise ValueError("too short: it would be found by chance")

    @property
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
        while not self._ended.wait(self._seconds):
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    self._read(process)

    def _read(self, process: Path) -> None:
        try:
            words = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            return  # it has ended, or is not ours to read
        program = words.partition(b"\0")[0].decode(errors="replace")
        self._seen.setdefault(words, f"cmdline of {program}")
        self._seen.setdefault(environment, f"environ of {program}")


VALUE = b"p\"a'ss w\xc3\xb6rd-0123456789"


@pytest.mark.parametrize(
    "shape",
    [
        VALUE,
        base64.b64encode(VALUE),
        base64.b64encode(b"x" + VALUE + b"tail"),
        base64.b64encode(b"xy" + VALUE + b"tail"),
        VALUE.hex().encode(),
        VALUE.hex().upper().encode(),
        json.dumps(VALUE.decode()).encode(),
        json.dumps(VALUE.decode(), ensure_ascii=False).encode(),
        repr(VALUE.decode()).encode(),
        quote(VALUE.decode()).encode(),
        shlex.quote(VALUE.decode()).encode(),
    ],
)
def test_every_shape_of_a_secret_is_seen(shape: bytes, tmp_path: Path) -> None:
    canary = Canary("password", VALUE)
    assert canary.within(b"before " + shape + b" after")
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/log").write_bytes(b"x" * 70_000 + shape)
    assert find_in_tree(tmp_path, [canary]) == [f"password in {tmp_path}/a/b/log"]


def test_nothing_is_seen_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"password=0123456789")
    (tmp_path / "link").symlink_to("/etc")
    assert find_in_tree(tmp_path, [Canary("password", VALUE)]) == []


def test_a_place_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_bytes(VALUE)
    assert find_in_tree(tmp_path, [Canary("key", VALUE)], but=[tmp_path / "secrets"]) == []


def test_a_canary_too_short_to_mean_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="short"):
        Canary("pin", b"1234")


def test_a_value_in_an_event_is_seen_in_the_store(tmp_path: Path) -> None:
    with Store.open(tmp_path, {}) as store:
        stream = EventStream("r-1", SystemClock())
        stream.subscribe(lambda event: store.append([event]))
        stream.emit("task_failed", "x" * 9_000, tail=[VALUE.decode()])
    assert find_in_database(tmp_path / "aiops.db", [Canary("password", VALUE)])
    assert find_in_database(tmp_path / "aiops.db", [Canary("password", b"something else")]) == []


def test_a_value_in_an_argument_or_environment_is_seen() -> None:
    with ProcessWatch() as watch:
        for nap, words in (("time.sleep(31)", [VALUE.decode()]), ("time.sleep(32)", [])):
            command = [sys.executable, "-c", f"import time; {nap}", *words]
            with subprocess.Popen(command, env={"SECRET": VALUE.decode()}) as process:
                wait_for(lambda nap=nap: watch.has_seen(nap.encode()))  # type: ignore[misc]
                process.kill()
    found = watch.find([Canary("password", VALUE)])
    assert any("cmdline" in one for one in found)
    assert any("environ" in one for one in found)
    assert watch.find([Canary("password", b"something else")]) == []


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
