"""Restoration: a backup is found, and becomes the store of this machine; cut off anywhere, it can be done again."""

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from aiops.layers.core.errors import AiopsError, InputError, NotFoundError
from aiops.layers.core.file import sync_folder, write_atomic
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Connection, Node

from .backup import RESTORED, Backup, fetch, names, newest_first, others, store_of
from .ledger import Failpoint, nothing

_SIDES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Copies:
    """The backups of a cluster that were found.

    Attributes:
        places: The nodes that have one, by its name.
        silent: Nodes that did not say, with why.
    """

    places: Mapping[str, tuple[Node, ...]]
    silent: tuple[AiopsError, ...] = ()

    def of(self, store: str | None) -> list[str]:
        """The names of one store's backups, in the order in which they are to be tried. Pure.

        Args:
            store: How the store's name begins; None where only one has backups.

        Raises:
            InputError: Several stores have backups and none was named (`backup.several`), or none is called so
                (`backup.store`).
        """
        newest = {store_of(name): name for name in reversed(newest_first(self.places))}
        meant = [one for one in newest if store is None or one.startswith(store)]
        told = tuple(
            f"`aiops controller restore --store {one[:12]}`: its newest is {name}, on "
            + ", ".join(node.name for node in self.places[name])
            for one, name in sorted(newest.items(), key=lambda pair: pair[1], reverse=True)
        )
        if len(meant) > 1:
            raise InputError(
                f"{len(meant)} stores have backups here: a new head that was not restored has begun one of its own",
                code="backup.several",
                hints=told,
            )
        if newest and not meant:
            raise InputError(f"no store that begins with `{store}` has backups", code="backup.store", hints=told)
        return newest_first(name for name in self.places if store_of(name) in meant)


def copies(fleet: Fleet, inventory: Inventory) -> Copies:
    """All backups of a cluster, on other nodes and on this machine: the new head may be one that kept them."""
    here = Node("this machine", connection=Connection("local"))
    found: dict[str, tuple[Node, ...]] = {}
    silent: list[AiopsError] = []
    for outcome in fleet.each((*others(inventory), here), lambda transport: names(transport, inventory.cluster)):
        if outcome.error is not None:
            silent.append(outcome.error)
        for name in outcome.value or ():
            found[name] = (*found.get(name, ()), outcome.node)
    return Copies(found, tuple(silent))


def newest(fleet: Fleet, cluster: str, found: Copies, store: str | None) -> tuple[Backup, str]:
    """The newest backup of a store that is whole on any node, and where it was.

    Raises:
        NotFoundError: There is none (`backup.none`).
        InputError: It is not clear which store is meant.
    """
    troubles = list(found.silent)
    for name in found.of(store):
        for node in found.places[name]:
            try:
                return fetch(fleet.transport(node), cluster, name), f"{node.name} ({name})"
            except AiopsError as error:  # another copy, or an older one
                troubles.append(error)
    why = f": {troubles[0].message}" if troubles else ""
    raise NotFoundError(
        f"no node of {cluster} has a backup that is whole{why}",
        code="backup.none",
        hints=["name a file that you have: `aiops controller restore --from FILE`"],
    )


def replace_store(path: Path, database: bytes, mark: str, aside: Path, failpoint: Failpoint = nothing) -> bool:
    """Put a database in the place of the store at `path`; whether one was there, which is at `aside` then.

    At no moment is there no store: a controller that is started after this was ended somewhere has the old one or the
    new one, whole, and asks the nodes what runs before it decides, since the mark is there first.

    Args:
        path: The SQLite file; nobody writes to it meanwhile.
        database: The new content.
        mark: What is written into the mark: the time of the backup.
        aside: Where the old one is kept.
        failpoint: Called between any two steps; tests end it there.

    Raises:
        OSError: It cannot be written; the old store is untouched.
    """
    write_atomic(path.with_name(RESTORED), mark.encode())
    failpoint("marked")
    fresh = path.with_name(f"{path.name}.fresh")
    write_atomic(fresh, database, 0o600)
    failpoint("written")
    there = path.exists()
    if there:
        # A log of the old one must not be taken for the new one's: what is in it goes into the old file first.
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        failpoint("folded in")
        _keep(path, aside)
        failpoint("kept")
    for side in _SIDES:
        log = path.with_name(path.name + side)
        if log.exists():  # what could not be folded in, of a store that is damaged
            _keep(log, aside.with_name(aside.name + side))
            log.unlink()
        failpoint("log gone")
    _rename(fresh, path)
    failpoint("renamed")
    return there


def _keep(path: Path, aside: Path) -> None:
    """Have the file under another name too."""
    try:
        aside.hardlink_to(path)
    except FileExistsError:
        return
    except OSError:  # a file system without such links
        shutil.copy2(path, aside)


def _rename(fresh: Path, path: Path) -> None:
    fresh.replace(path)
    sync_folder(path.parent)
