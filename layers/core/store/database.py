"""`Store`: one open database."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aiops.layers.core.event import Event

from .engine import WRITES, place_of, sqlite_engine, told, url_engine
from .schema import Schema

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

FILE = "aiops.db"


class Store:
    """The database of what happened; safe to use from several threads and several processes.

    Attributes:
        place: The database as people know it: the file, or the URL without its password.
    """

    def __init__(self, engine: "Engine", place: str) -> None:
        self._engine = engine
        self.place = place

    @classmethod
    def open(cls, home: Path, environment: Mapping[str, str]) -> Self:
        """Open the database of `AIOPS_DB`, or `aiops.db` in `home`; it is made when absent.

        Raises:
            ConflictError: A newer aiops has written it (`store.too_new`).
            InputError: `AIOPS_DB` is not a usable URL.
            UnreachableError: The PostgreSQL server does not answer.
            FailedError: The database is damaged or cannot be written.
        """
        from .tables import CORE

        url = environment.get("AIOPS_DB")
        if url:
            engine, place = url_engine(url), place_of(url)
        else:
            engine, place = sqlite_engine(home / FILE), str(home / FILE)
        store = cls(engine, place)
        store.require(CORE)
        return store

    def require(self, schema: Schema) -> None:
        """Make sure that the tables of `schema` are here, at its number.

        Raises:
            ConflictError: A newer aiops has written them (`store.too_new`); nothing was changed.
        """
        from .migration import establish, established

        with self.read() as connection:
            if established(connection, schema):
                return
        with self.begin() as connection:
            establish(connection, schema, self.place)

    @contextmanager
    def begin(self) -> Iterator["Connection"]:
        """One writing transaction: committed when the block ends, rolled back when it raises."""
        with told(self.place), self._engine.execution_options(**{WRITES: True}).begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator["Connection"]:
        """One consistent view, which neither blocks writers nor is blocked by them."""
        with told(self.place), self._engine.connect() as connection:
            yield connection

    def append(self, events: Iterable[Event]) -> None:
        """Write `events` down, all or none; they are on the disk when this returns.

        Raises:
            ConflictError: An event of that run and number is here already (`store.refused`).
        """
        from .tables import insert_events

        with self.begin() as connection:
            insert_events(connection, events)

    def events(self, run: str, after: int = 0, node: str | None = None) -> list[Event]:
        """The events of `run` numbered above `after`, in order; only those of `node` when it is given."""
        from .tables import select_events

        with self.read() as connection:
            return list(select_events(connection, run, after, node))

    def snapshot(self) -> bytes:
        """The whole database as it is at one moment, as an SQLite file; writers go on meanwhile.

        Raises:
            InputError: It is PostgreSQL's (`store.backup`).
            FailedError: The database is damaged.
        """
        from .engine import sqlite_snapshot

        with told(self.place):
            return sqlite_snapshot(self._engine)

    def close(self) -> None:
        """Let go of the database; closing twice is harmless."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
