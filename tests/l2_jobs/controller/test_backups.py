"""Backups on nodes: whose they are, which go, and how one becomes the store again, cut off anywhere."""

import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.l2_jobs.controller.rig import Killed, job
from tests.support.fake_transport import FakeTransport

from aiops.layers.core.clock import SystemClock
from aiops.layers.core.command import Command
from aiops.layers.core.errors import FailedError, InputError, NotFoundError
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l2_jobs.action import Decided
from aiops.layers.l2_jobs.controller.backup import FOLDER, KEPT, RESTORED, keep
from aiops.layers.l2_jobs.controller.keeper import Keeper
from aiops.layers.l2_jobs.controller.ledger import Ledger
from aiops.layers.l2_jobs.controller.restoration import copies, newest, replace_store
from aiops.layers.l2_jobs.controller.rows import Entry
from aiops.layers.l2_jobs.record import JobRecord

WORKERS = (Node("n1"), Node("n2"))
HEAD = Node("head", roles=frozenset({"head"}))
INVENTORY = Inventory(Path("i.yml"), "c", (HEAD, *WORKERS), {})
AT = datetime(2026, 11, 28, tzinfo=UTC)


class Cluster:
    """Nodes that keep files in memory."""

    def __init__(self) -> None:
        self.nodes: dict[str, FakeTransport] = {}
        self.fleet = Fleet(self.transport)

    def transport(self, node: Node) -> FakeTransport:
        if node.name not in self.nodes:
            made = FakeTransport(node)

            def ls(command: Command) -> tuple[int, bytes, bytes]:
                found = [path.rpartition("/")[2] for path in made.files if path.startswith(f"{command.argv[2]}/")]
                return 0, "".join(f"{name}\n" for name in sorted(found)).encode(), b""

            def rm(command: Command) -> tuple[int, bytes, bytes]:
                for path in command.argv[3:]:
                    del made.files[path]
                return 0, b"", b""

            def cat(command: Command) -> tuple[int, bytes, bytes]:
                return 0, made.files[command.argv[2]][0], b""

            made.programs |= {"install": lambda _: (0, b"", b""), "ls": ls, "rm": rm, "cat": cat}
            self.nodes[node.name] = made
        return self.nodes[node.name]

    def names(self, node: str) -> list[str]:
        return sorted(path.rpartition("/")[2] for path in self.nodes[node].files)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def store_with(home: Path, *numbers: int) -> Store:
    store = Store.open(home, {})
    records = tuple(JobRecord(job(number), "queued", 1.0) for number in numbers)
    Ledger(store).commit(Decided(records), Entry(1.0), {})
    return store


def kept(cluster: Cluster, store: Store, minute: int) -> None:
    keep(store, cluster.fleet, WORKERS, "c", at=AT + timedelta(minutes=minute))


def test_a_new_head_displaces_no_backup_of_the_one_that_was_lost(cluster: Cluster, tmp_path: Path) -> None:
    lost, fresh = store_with(tmp_path / "lost", 1, 2), store_with(tmp_path / "fresh", 9)
    for minute in range(5):
        kept(cluster, lost, minute)
    before = cluster.names("n1")
    assert len(before) == KEPT
    for minute in range(10, 20):
        kept(cluster, fresh, minute)
    assert set(before) < set(cluster.names("n1"))
    assert len(cluster.names("n1")) == 2 * KEPT
    found = copies(cluster.fleet, INVENTORY)
    with pytest.raises(InputError, match="2 stores have backups") as caught:
        newest(cluster.fleet, "c", found, None)
    lineage = Ledger(lost).term().lineage
    assert any(f"--store {lineage[:12]}`" in hint and "n1, n2" in hint for hint in caught.value.hints)
    with pytest.raises(InputError, match="no store that begins with `zz`"):
        newest(cluster.fleet, "c", found, "zz")
    backup, place = newest(cluster.fleet, "c", found, lineage[:6])
    assert (backup.at, place) == (AT + timedelta(minutes=4), f"n1 ({before[-1]})")


def test_an_empty_store_is_not_kept_and_says_what_there_is_to_restore(cluster: Cluster, tmp_path: Path) -> None:
    kept(cluster, store_with(tmp_path / "lost", 1), 0)
    before = cluster.names("n1")
    warned: list[str] = []
    with Store.open(tmp_path / "fresh", {}) as fresh:
        keeper = Keeper(fresh, cluster.fleet, WORKERS, "c", clock=SystemClock(), warn=warned.append)
        deadline = time.monotonic() + 30
        while keeper.document()["trouble"] is None:
            keeper.want()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        words = "this store is empty, and there are backups on n1, n2: `aiops controller restore`"
        assert keeper.document() == {"at": None, "nodes": [], "trouble": words}
        assert warned == [words]
        keeper.close()
        with pytest.raises(FailedError, match="nothing to keep"):
            kept(cluster, fresh, 9)
    assert cluster.names("n1") == before


def test_a_keeper_that_meets_a_defect_goes_on(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, warned = store_with(tmp_path, 1), list[str]()
    failing = threading.Event()
    failing.set()
    snapshot = store.snapshot

    def broken() -> bytes:
        if failing.is_set():
            raise OSError(28, "No space left on device")
        return snapshot()

    monkeypatch.setattr(store, "snapshot", broken)
    monkeypatch.setattr(Keeper, "least", 0.0)
    keeper = Keeper(store, cluster.fleet, WORKERS, "c", clock=SystemClock(), warn=warned.append)
    deadline = time.monotonic() + 30
    while keeper.document()["at"] is None:
        keeper.want()
        if keeper.document()["trouble"] is not None:
            failing.clear()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    keeper.close()
    assert len(warned) == 1
    assert "No space left on device" in warned[0]


def test_the_new_head_may_have_kept_them_itself(cluster: Cluster, tmp_path: Path) -> None:
    store = store_with(tmp_path, 1)
    with pytest.raises(NotFoundError, match="no node of c has a backup"):
        newest(cluster.fleet, "c", copies(cluster.fleet, INVENTORY), None)
    here = cluster.nodes["this machine"]
    keep(store, Fleet(lambda _: here), (here.node,), "c", at=AT)
    assert all(path.startswith(f"{FOLDER}/c/") for path in here.files)
    backup, place = newest(cluster.fleet, "c", copies(cluster.fleet, INVENTORY), None)
    assert backup.at == AT
    assert place.startswith("this machine (")


def of_a_killed_controller(home: Path) -> Path:
    """A store whose last words are in its log, as after `kill -9`."""
    with store_with(home.with_name(f"{home.name}-open"), 7):
        shutil.copytree(home.with_name(f"{home.name}-open"), home)
    assert (home / "aiops.db-wal").stat().st_size > 0
    aside = home.with_name(f"aside-{home.name}")
    aside.mkdir()
    return home / "aiops.db"


def jobs_of(home: Path) -> set[str]:
    with Store.open(home, {}) as store:
        return set(Ledger(store).alive())


def test_cut_off_anywhere_there_is_one_whole_store(tmp_path: Path) -> None:
    database = store_with(tmp_path / "backup", 1, 2, 3).snapshot()
    new, places = {"sleep-1", "sleep-2", "sleep-3"}, list[str]()
    path = of_a_killed_controller(tmp_path / "whole")
    assert replace_store(path, database, "then", tmp_path / "aside-whole" / "aiops.db", places.append) is True
    assert jobs_of(path.parent) == new
    assert jobs_of(tmp_path / "aside-whole") == {"sleep-7"}
    assert {"marked", "kept", "renamed"} <= set(places)
    for number in range(1, len(places) + 1):
        path = of_a_killed_controller(tmp_path / str(number))
        left = number

        def failpoint(place: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed(place)

        with pytest.raises(Killed):
            replace_store(path, database, "then", tmp_path / f"aside-{number}" / "aiops.db", failpoint)
        assert (path.parent / RESTORED).exists(), "the nodes are asked before anything is decided"
        assert jobs_of(path.parent) in ({"sleep-7"}, new)
        assert replace_store(path, database, "then", tmp_path / f"aside-{number}" / "again.db")
        assert jobs_of(path.parent) == new


def test_where_there_was_no_store_there_is_one(tmp_path: Path) -> None:
    database = store_with(tmp_path / "backup", 1).snapshot()
    home = tmp_path / "home"
    home.mkdir()
    assert not replace_store(home / "aiops.db", database, "then", home / "aside")
    with Store.open(home, {}) as store:
        assert set(Ledger(store).alive()) == {"sleep-1"}
    assert sorted(path.name for path in home.iterdir() if path.name.startswith("aside")) == []
