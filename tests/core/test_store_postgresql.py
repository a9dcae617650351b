"""The same store on PostgreSQL: a server of its own in a temporary folder, where the programs are installed."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, inspect, text

from aiops.layers.core.errors import ConflictError, UnreachableError
from aiops.layers.core.event import Event
from aiops.layers.core.store import Schema, Store

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
pytestmark = [
    pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed: apt-get install postgresql"),
    pytest.mark.skipif(
        os.geteuid() != 0, reason="PostgreSQL refuses to run as us: the test must be root to be another"
    ),
]
AT = datetime(2026, 11, 21, 19, 30, 5, 120, UTC)


def postgres(*words: str | Path, cwd: Path) -> None:
    """Run a program of the server as its own user, since it refuses to be root."""
    account = pwd.getpwnam("postgres")
    subprocess.run(
        [str(PROGRAMS / words[0]) if PROGRAMS else "", *map(str, words[1:])],
        cwd=cwd,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        capture_output=True,
        timeout=120,
        check=True,
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    folder = Path("/tmp") / f"aiops-test-postgresql-{os.getpid()}"
    folder.mkdir(mode=0o700)
    account = pwd.getpwnam("postgres")
    os.chown(folder, account.pw_uid, account.pw_gid)
    try:
        postgres("initdb", "-D", folder / "data", "-U", "aiops", "--auth=trust", "--no-sync", cwd=folder)
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        postgres("pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start", cwd=folder)
        try:
            yield f"postgresql://aiops:geheim@/postgres?host={folder}"
        finally:
            postgres("pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop", cwd=folder)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path, {"AIOPS_DB": url}) as opened:
        yield opened


def event(run: str, seq: int) -> Event:
    return Event(AT, run, seq, "phase_started", "gpu01", "a phase", {"packages": ["chrony"], "none": None})


def test_events_come_back_and_nothing_is_made_in_the_home(store: Store, tmp_path: Path) -> None:
    store.append([event("r-1", 1), event("r-1", 2)])
    assert store.events("r-1") == [event("r-1", 1), event("r-1", 2)]
    assert store.events("r-1", after=1, node="gpu01") == [event("r-1", 2)]
    assert list(tmp_path.iterdir()) == []
    assert "geheim" not in store.place


@pytest.mark.parametrize("statement", ["UPDATE event SET message = 'x'", "DELETE FROM event", "TRUNCATE event"])
def test_events_cannot_be_rewritten(store: Store, statement: str) -> None:
    with pytest.raises(ConflictError, match="append-only"), store.begin() as connection:
        connection.execute(text(statement))


def test_an_event_is_written_once(store: Store) -> None:
    store.append([event("r-2", 1)])
    with pytest.raises(ConflictError, match="refused"):
        store.append([event("r-2", 1)])


def test_schemas_are_upgraded_and_newer_ones_refused(store: Store) -> None:
    metadata = MetaData()
    Table("pear", metadata, Column("id", Integer, primary_key=True))
    store.require(Schema("pear", 1, metadata))
    newer = Schema("pear", 2, metadata, {2: lambda operations: operations.add_column("pear", Column("size", Integer))})
    store.require(newer)
    with store.read() as connection:
        assert {column["name"] for column in inspect(connection).get_columns("pear")} == {"id", "size"}
    with pytest.raises(ConflictError) as caught:
        store.require(Schema("pear", 1, metadata))
    assert caught.value.code == "store.too_new"


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        Store.open(tmp_path, {"AIOPS_DB": f"postgresql://aiops:geheim@/postgres?host={tmp_path}"})
    assert caught.value.code == "store.unreachable"
    assert "geheim" not in caught.value.message
