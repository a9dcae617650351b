import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, inspect, text
from sqlalchemy.exc import OperationalError

from aiops.layers.core.errors import ConflictError, FailedError, InputError, UnreachableError
from aiops.layers.core.event import Event
from aiops.layers.core.store import Schema, Store

if TYPE_CHECKING:
    from alembic.operations import Operations

AT = datetime(2026, 11, 21, 19, 30, 5, 120, UTC)


def event(seq: int, *, run: str = "r-1", node: str | None = None, **data: object) -> Event:
    return Event(AT, run, seq, "phase_started", node, "a phase", data)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "home", {}) as opened:
        yield opened


def test_an_event_comes_back_as_it_was_written(store: Store) -> None:
    written = [event(1), event(2, node="gpu01", packages=["chrony"], nested={"a": None, "ü": 1.5})]
    store.append(written)
    assert store.events("r-1") == written


def test_times_are_kept_in_utc_whatever_zone_they_came_in(store: Store) -> None:
    local = AT.astimezone(timezone(timedelta(hours=2)))
    store.append([Event(local, "r-1", 1, "k", None, "", {})])
    assert store.events("r-1")[0].at == AT
    assert store.events("r-1")[0].at.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="zone"):
        store.append([Event(AT.replace(tzinfo=None), "r-1", 1, "k", None, "", {})])


def test_events_are_chosen_by_run_number_and_node(store: Store) -> None:
    store.append([event(1), event(2, node="a"), event(3, node="b"), event(1, run="r-2")])
    assert [one.seq for one in store.events("r-1", after=1)] == [2, 3]
    assert [one.seq for one in store.events("r-1", node="b")] == [3]
    assert [one.run for one in store.events("r-2")] == ["r-2"]
    assert store.events("r-3") == []


def test_nothing_to_append_is_no_trouble(store: Store) -> None:
    store.append([])
    assert store.events("r-1") == []


def test_appending_is_all_or_none(store: Store) -> None:
    store.append([event(2)])
    with pytest.raises(ConflictError, match="refused") as caught:
        store.append([event(1), event(2)])
    assert caught.value.code == "store.refused"
    assert [one.seq for one in store.events("r-1")] == [2]


@pytest.mark.parametrize("statement", ["UPDATE event SET message = 'other'", "DELETE FROM event"])
def test_events_cannot_be_rewritten(store: Store, statement: str) -> None:
    store.append([event(1)])
    with pytest.raises(ConflictError, match="append-only"), store.begin() as connection:
        connection.execute(text(statement))
    assert store.events("r-1") == [event(1)]


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    old_mask = os.umask(0)
    try:
        with Store.open(tmp_path / "home", {}) as store:
            store.append([event(1)])
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").iterdir()}
    finally:
        os.umask(old_mask)
    assert modes == {"aiops.db": 0o600, "aiops.db-wal": 0o600, "aiops.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_every_commit_is_on_the_disk(store: Store) -> None:
    with store.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    def fail_midway() -> None:
        with store.begin() as connection:
            connection.execute(text("CREATE TABLE half (id INTEGER)"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    with store.read() as connection:
        assert "half" not in inspect(connection).get_table_names()


# Schemas


def fruit(number: int) -> Schema:
    metadata = MetaData()
    table = Table("fruit", metadata, Column("id", Integer, primary_key=True), Column("name", String(20)))
    if number >= 2:
        table.append_column(Column("colour", String(20), server_default="green"))
    if number >= 3:
        Table("basket", metadata, Column("id", Integer, primary_key=True))
    upgrades = {2: _add_colour, 3: _add_basket}
    return Schema("fruit", number, metadata, {step: upgrades[step] for step in range(2, number + 1)})


def _add_colour(operations: "Operations") -> None:
    operations.add_column("fruit", Column("colour", String(20), server_default="green"))


def _add_basket(operations: "Operations") -> None:
    operations.create_table("basket", Column("id", Integer, primary_key=True))


def _columns(store: Store) -> dict[str, list[str]]:
    with store.read() as connection:
        seen = inspect(connection)
        return {
            name: sorted(column["name"] for column in seen.get_columns(name))
            for name in seen.get_table_names()
            if name in ("fruit", "basket")
        }


@pytest.mark.parametrize("older", [1, 2])
def test_an_older_database_is_upgraded_to_what_a_fresh_one_has(tmp_path: Path, older: int) -> None:
    with Store.open(tmp_path / "old", {}) as store:
        store.require(fruit(older))
        with store.begin() as connection:
            connection.execute(text("INSERT INTO fruit (name) VALUES ('apple')"))
    with Store.open(tmp_path / "old", {}) as store, Store.open(tmp_path / "new", {}) as fresh:
        store.require(fruit(3))
        fresh.require(fruit(3))
        assert _columns(store) == _columns(fresh)
        with store.read() as connection:
            assert connection.execute(text("SELECT name, colour FROM fruit")).one() == ("apple", "green")
        store.require(fruit(3))


def test_a_step_that_fails_leaves_the_older_database_whole(tmp_path: Path) -> None:
    def breaks(operations: "Operations") -> None:
        operations.create_table("basket", Column("id", Integer, primary_key=True))
        operations.execute("SELECT * FROM nowhere")

    broken = Schema("fruit", 3, fruit(3).metadata, {2: _add_colour, 3: breaks})
    with Store.open(tmp_path, {}) as store:
        store.require(fruit(1))
        before = _columns(store)
        with pytest.raises(FailedError, match="nowhere"):
            store.require(broken)
        assert _columns(store) == before
        store.require(fruit(3))


def test_a_newer_database_is_refused_and_untouched(tmp_path: Path) -> None:
    with Store.open(tmp_path, {}) as store:
        store.require(fruit(3))
        before = _columns(store)
        with pytest.raises(ConflictError, match="`fruit` schema is number 3, this aiops knows 2") as caught:
            store.require(fruit(2))
        assert caught.value.code == "store.too_new"
        assert any("upgrade aiops" in hint for hint in caught.value.hints)
        assert str(tmp_path) in caught.value.message
        assert _columns(store) == before


def test_a_database_of_a_newer_core_cannot_be_opened(tmp_path: Path) -> None:
    with Store.open(tmp_path, {}) as store, store.begin() as connection:
        connection.execute(text("UPDATE aiops_schema SET number = 99 WHERE name = 'core'"))
    with pytest.raises(ConflictError, match="newer aiops"):
        Store.open(tmp_path, {})


@pytest.mark.parametrize("upgrades", [{}, {3: _add_basket}, {2: _add_colour, 3: _add_basket, 4: _add_basket}])
def test_a_schema_names_every_step(upgrades: dict[int, object]) -> None:
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        Schema("fruit", 3, MetaData(), upgrades)  # type: ignore[arg-type]


def test_alembic_is_loaded_only_for_an_upgrade(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from sqlalchemy import Column, Integer, MetaData, Table
from aiops.layers.core.store import Schema, Store
metadata = MetaData()
Table("fruit", metadata, Column("id", Integer, primary_key=True))
with Store.open(Path({str(tmp_path)!r}), {{}}) as store:
    store.require(Schema("fruit", 1, metadata))
    store.require(Schema("fruit", 1, metadata))
    print("alembic" in sys.modules)
    store.require(Schema("fruit", 2, metadata, {{2: lambda operations: None}}))
    print("alembic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_importing_the_package_does_not_load_sqlalchemy() -> None:
    program = "import sys, aiops.layers.core.store; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


# Several writers, and sudden ends


def test_writers_in_threads_and_processes_do_not_lose_events(tmp_path: Path) -> None:
    program = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from aiops.layers.core.event import Event
from aiops.layers.core.store import Store
with Store.open(Path({str(tmp_path)!r}), {{}}) as store:
    for seq in range(1, 26):
        store.append([Event(datetime.now(UTC), sys.argv[1], seq, "k", None, "", {{}})])
"""
    processes = [subprocess.Popen([sys.executable, "-c", program, f"p-{number}"]) for number in range(2)]
    with Store.open(tmp_path, {}) as store:

        def write(run: str) -> None:
            for seq in range(1, 26):
                store.append([event(seq, run=run)])

        threads = [threading.Thread(target=write, args=(f"t-{number}",)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [process.wait(60) for process in processes] == [0, 0]
        for run in ("p-0", "p-1", "t-0", "t-1", "t-2"):
            assert [one.seq for one in store.events(run)] == list(range(1, 26)), run


def test_readers_are_not_blocked_by_a_writer(store: Store) -> None:
    store.append([event(1)])
    with store.begin() as connection:
        connection.execute(text("CREATE TABLE fruit (id INTEGER)"))
        assert len(store.events("r-1")) == 1


def test_kill_9_loses_no_event_that_was_appended(tmp_path: Path) -> None:
    program = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from aiops.layers.core.event import Event
from aiops.layers.core.store import Store
store = Store.open(Path({str(tmp_path)!r}), {{}})
seq = 0
while True:
    seq += 1
    store.append([Event(datetime.now(UTC), "r-1", seq, "k", None, "x" * 500, {{}})])
    sys.stdout.write(f"{{seq}}\\n")
    sys.stdout.flush()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 40:
            break
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.stdout.close()
    process.wait(30)
    acknowledged = int(rest[-1]) if rest else 40
    with Store.open(tmp_path, {}) as store:
        kept = [one.seq for one in store.events("r-1")]
        assert kept == list(range(1, len(kept) + 1))
        assert acknowledged <= len(kept) <= acknowledged + 1
        store.append([event(len(kept) + 1)])


def test_opening_does_not_wait_for_a_writer(store: Store, tmp_path: Path) -> None:
    with store.begin(), Store.open(tmp_path / "home", {}) as other:
        assert other.events("r-1") == []


# Trouble


def test_a_busy_database_is_a_conflict_not_a_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiops.layers.core.store.engine.BUSY_SECONDS", 0.05)
    with Store.open(tmp_path, {}) as one, Store.open(tmp_path, {}) as other, one.begin():
        with pytest.raises(ConflictError, match="busy") as caught:
            other.append([event(1)])
        assert caught.value.code == "store.busy"


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "aiops.db").write_bytes(b"this is not a database, it is a letter\n" * 100)
    with pytest.raises(FailedError, match="damaged") as caught:
        Store.open(tmp_path, {})
    assert caught.value.code == "store.damaged"
    assert str(tmp_path / "aiops.db") in caught.value.message
    assert any(hint.endswith(f"`mv {tmp_path}/aiops.db {tmp_path}/aiops.db.damaged`") for hint in caught.value.hints)


def test_damage_inside_is_told(tmp_path: Path) -> None:
    with Store.open(tmp_path, {}) as store:
        store.append([event(seq, text="x" * 4000) for seq in range(1, 50)])
    path = tmp_path / "aiops.db"
    content = bytearray(path.read_bytes())
    with sqlite3.connect(path) as connection:
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event'").fetchone()[0]
    connection.close()
    content[(root - 1) * page_size : root * page_size] = b"\xff" * page_size
    path.write_bytes(bytes(content))
    with Store.open(tmp_path, {}) as store, pytest.raises(FailedError, match="damaged"):
        store.events("r-1")


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(FailedError, match="cannot be opened") as caught:
        Store.open(tmp_path / "home", {})
    assert caught.value.code == "store.unwritable"


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://user:geheim@host/aiops", "postgresql://user:geheim@host:port/aiops"]
)
def test_a_wrong_url_is_refused_without_showing_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError) as caught:
        Store.open(tmp_path, {"AIOPS_DB": url})
    assert caught.value.code == "store.url"
    assert "geheim" not in json.dumps([caught.value.message, *caught.value.hints])


def test_a_server_that_does_not_answer_is_unreachable_and_its_password_hidden() -> None:
    from aiops.layers.core.store.engine import told

    refused = OperationalError("SELECT 1", {}, Exception("connection refused"))
    with pytest.raises(UnreachableError, match=r"\*\*\*@host") as caught, told("postgresql://user:***@host/aiops"):
        raise refused
    assert caught.value.code == "store.unreachable"


def test_opening_the_store_again_lets_go_of_no_lock_of_this_process(tmp_path: Path) -> None:
    """POSIX locks are the process's: who closes any descriptor of the file takes away what SQLite holds on it.

    Without its lock another process takes itself for the last one, and removes the log that this one writes to.
    """
    probe = (
        "import fcntl, sys\n"
        "with open(sys.argv[1], 'r+b') as file:\n"
        "    try:\n"
        "        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)\n"
        "    except OSError:\n"
        "        print('held')\n"
        "    else:\n"
        "        print('free')\n"
    )

    def state() -> str:
        words = (sys.executable, "-c", probe, str(tmp_path / "aiops.db"))
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    with Store.open(tmp_path, {}) as first:
        first.append([event(1)])
        assert state() == "held"
        with Store.open(tmp_path, {}) as second:
            assert [one.seq for one in second.events("r-1")] == [1]
            assert state() == "held"
        assert state() == "held"
        first.append([event(2)])
    assert state() == "free"


def test_two_stores_of_one_process_lose_nothing_beside_other_processes(tmp_path: Path) -> None:
    """A long-lived store, others opened and closed beside it here and elsewhere, as commands do: all events stay."""
    elsewhere = (
        "import sys\nfrom pathlib import Path\nfrom aiops.layers.core.store import Store\n"
        "for _ in range(20):\n"
        "    with Store.open(Path(sys.argv[1]), {}) as store:\n"
        "        store.events('r-1')\n"
    )
    with Store.open(tmp_path, {}) as kept:
        kept.append([event(1)])
        with subprocess.Popen((sys.executable, "-c", elsewhere, str(tmp_path))) as other:
            seq = 1
            while other.poll() is None:
                with Store.open(tmp_path, {}) as second:
                    second.events("r-1")
                seq += 1
                kept.append([event(seq)])
            assert other.returncode == 0
    with Store.open(tmp_path, {}) as later, later.read() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        assert [one.seq for one in later.events("r-1")] == list(range(1, seq + 1))
