"""Engines: how each kind of database is opened, and how its troubles are told."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiops.layers.core.errors import AiopsError, ConflictError, FailedError, InputError, UnreachableError
from aiops.layers.core.home import ensure_folder

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.exc import DBAPIError

BUSY_SECONDS = 15
"""How long a writer waits for another before it is told that the database is busy."""

_URL_HINT = "write it as `AIOPS_DB=postgresql://user:password@host/aiops`; unset it for SQLite in AIOPS_HOME"

_BACKUP_PAGES = -1
"""All pages in one step: in the log mode that we use readers hold up nobody, and the copy is of one moment."""

WRITES = "aiops_writes"
"""Execution option: this transaction takes the write lock when it begins."""


def sqlite_engine(path: Path) -> "Engine":
    """The engine of the SQLite file at `path`, which is made (0600, in a 0700 folder) when absent.

    Every commit is on the disk when it returns (WAL, synchronous=FULL).

    Raises:
        FailedError: The file cannot be made or opened.
    """
    from sqlalchemy import URL, create_engine, event

    try:
        ensure_folder(path.parent)
        _make(path)
    except OSError as error:
        raise FailedError(
            f"the database {path} cannot be opened: {error.strerror}",
            code="store.unwritable",
            hints=["choose a folder that you may write: `export AIOPS_HOME=~/.local/share/aiops`"],
        ) from error
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make(path: Path) -> None:
    """Make the file where there is none, for its owner alone; SQLite gives its -wal and -shm files the same mode.

    A file that is there is never opened here: closing it would take away every lock that this process holds on it
    through SQLite (POSIX locks are the process's, not the descriptor's), and with them what keeps others from removing
    the log that we still write to.

    Raises:
        OSError: It cannot be made, or not be read and written.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        path.chmod(0o600)
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver must not begin transactions of its own: it would leave DDL outside of them.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: "Connection") -> None:
    # A transaction that reads first and writes later can deadlock; writers therefore lock at once.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def sqlite_snapshot(engine: "Engine") -> bytes:
    """All of an SQLite database as one file, by SQLite's own online backup.

    Raises:
        InputError: It is another kind of database.
    """
    if engine.dialect.name != "sqlite":
        raise InputError(
            "the database is PostgreSQL's, which aiops does not back up",
            code="store.backup",
            hints=["use its own tools: `pg_basebackup`, or `pg_dump`"],
        )
    copy = sqlite3.connect(":memory:")
    try:
        with engine.connect() as connection:
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)  # noqa: S101 - the driver of this dialect
            connection.rollback()
            source.backup(copy, pages=_BACKUP_PAGES)
        # A copy in memory has no log of its own: what is written of it is whole.
        copy.execute("PRAGMA journal_mode=DELETE")
        return copy.serialize()
    finally:
        copy.close()


def check_file(path: Path) -> None:
    """Return only if `path` is a whole SQLite database.

    Raises:
        FailedError: It is none, or damaged (`store.damaged`).
    """
    try:
        connection = sqlite3.connect(path)
        try:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise FailedError(f"{path} is no whole database: {found}", code="store.damaged")


def place_of(url: str) -> str:
    """`url` without its password.

    Raises:
        InputError: It is not a URL, or names another kind of database than PostgreSQL.
    """
    return _parsed(url).render_as_string(hide_password=True)


def _parsed(url: str) -> "URL":
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Neither the URL nor the error is shown: both may hold a password.
        raise InputError("AIOPS_DB is not a database URL", code="store.url", hints=[_URL_HINT]) from None
    if parsed.get_backend_name() != "postgresql":
        raise InputError(
            f"AIOPS_DB names `{parsed.get_backend_name()}`, and only PostgreSQL is known",
            code="store.url",
            hints=[_URL_HINT],
        )
    return parsed


def url_engine(url: str) -> "Engine":
    """The engine of the PostgreSQL database at `url`.

    Raises:
        InputError: The URL is not one, names another kind of database, or the driver is not installed.
    """
    from sqlalchemy import create_engine

    try:
        return create_engine(
            _parsed(url).set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10},
        )
    except ModuleNotFoundError as error:
        raise InputError(
            "AIOPS_DB names PostgreSQL, whose driver is not installed",
            code="store.driver",
            hints=["install it beside aiops: `pip install 'aiops[postgresql]'`"],
        ) from error


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turn what the driver raises into errors that name the database and what to do.

    Raises:
        ConflictError: Another process writes for too long, or an append-only or unique rule was broken.
        UnreachableError: The PostgreSQL server does not answer.
        FailedError: The database is damaged, full or read-only.
    """
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise _error(error, place) from error


def _error(error: "DBAPIError", place: str) -> AiopsError:
    from sqlalchemy.exc import IntegrityError, OperationalError

    said = str(error.orig).splitlines()[0] if error.orig else str(error)
    lowered = said.lower()
    if isinstance(error, IntegrityError) or "append-only" in lowered:
        return ConflictError(f"the database {place} refused a row: {said}", code="store.refused")
    if "locked" in lowered or "busy" in lowered:
        return ConflictError(
            f"the database {place} is busy: another aiops has been writing for {BUSY_SECONDS} s",
            code="store.busy",
            hints=["wait for it and try again; see who it is with `fuser -v` on that file"],
        )
    if "malformed" in lowered or "not a database" in lowered:
        return FailedError(
            f"the database {place} is damaged: {said}",
            code="store.damaged",
            hints=[
                f"save what can be read: `sqlite3 {place} .recover | sqlite3 {place}.recovered`",
                f"or begin anew, losing the journal of past runs: `mv {place} {place}.damaged`",
            ],
        )
    if "full" in lowered:
        return FailedError(
            f"the database {place} cannot be written: {said}", code="store.full", hints=[f"make room: `df -h {place}`"]
        )
    if isinstance(error, OperationalError) and place.startswith("postgresql"):
        return UnreachableError(f"the database {place} does not answer: {said}", code="store.unreachable")
    return FailedError(f"the database {place} failed: {said}", code="store.failed")
