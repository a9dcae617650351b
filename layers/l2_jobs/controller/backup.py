"""Backups: the store as it is at one moment, kept on other nodes, so that a head that is lost loses no job.

A backup is the SQLite file, compressed, with a line of JSON before it: when, of which cluster, and its digest. It holds
the secrets of attempts, so it is root's alone there too.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from aiops.layers.core.clock import rfc3339
from aiops.layers.core.command import Command
from aiops.layers.core.errors import AiopsError, FailedError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.transport import Transport
from aiops.layers.l2_jobs.term import Term

if TYPE_CHECKING:
    from aiops.layers.core.store import Store

FOLDER = "/var/lib/aiops-backup"
RESTORED = "restored"
"""A file in AIOPS_HOME: the store is a backup's, and may not know what was begun after it."""

KEPT = 3
COPIES = 2
"""Nodes that a backup goes to: the head and one more may be lost at once."""

_FORMAT = 1
_COMMAND_SECONDS = 60.0
_NONE = Term("", 0)


@dataclass(frozen=True, slots=True)
class Backup:
    """One that was made.

    Attributes:
        database: The SQLite file.
        term: Of the controller on it.
    """

    cluster: str
    at: datetime
    database: bytes
    term: Term = _NONE

    @property
    def name(self) -> str:
        """Of its file: by it the newest is known, see `newest_first`."""
        return f"{self.at:%Y%m%dT%H%M%S%fZ}-{self.term.lineage}-{self.term.number}.backup"

    def packed(self) -> bytes:
        """As it is kept."""
        head = {
            "aiops": _FORMAT,
            "cluster": self.cluster,
            "at": rfc3339(self.at),
            "sha256": hashlib.sha256(self.database).hexdigest(),
        }
        return json.dumps(head).encode() + b"\n" + gzip.compress(self.database, 1)


def unpacked(content: bytes, place: str) -> Backup:
    """The backup in a file.

    Args:
        content: Of the file.
        place: What it is called, for words about it.

    Raises:
        FailedError: It is none, or damaged (`backup.damaged`).
    """
    line, _, rest = content.partition(b"\n")
    try:
        head = json.loads(line)
        database = gzip.decompress(rest)
        whole = head["aiops"] == _FORMAT and hashlib.sha256(database).hexdigest() == head["sha256"]
        found = Backup(str(head["cluster"]), datetime.fromisoformat(head["at"]), database)
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        raise _damaged(place, str(error)) from error
    if not whole:
        raise _damaged(place, "its digest does not fit")
    return found


def newest_first(names: Iterable[str]) -> list[str]:
    """Names of backups in the order in which they are to be restored. Pure.

    First all of the store that was backed up last; of one store the higher term before the later time: a head that was
    lost, and comes back until it hears of its successor, may write a backup that is later and knows less.
    """
    found = [(name, *_parts(name)) for name in names]
    last: dict[str, str] = {}
    for _, at, lineage, _ in found:
        last[lineage] = max(last.get(lineage, ""), at)
    return [one[0] for one in sorted(found, key=lambda one: (last[one[2]], one[2], one[3], one[1]), reverse=True)]


def store_of(name: str) -> str:
    """The lineage of the store whose backup is called so. Pure."""
    return _parts(name)[1]


def _parts(name: str) -> tuple[str, str, int]:
    """When, of which lineage and term a backup was made, by its name."""
    at, _, rest = name.removesuffix(".backup").partition("-")
    lineage, _, number = rest.partition("-")
    return at, lineage, int(number) if number.isdecimal() else 0


def _damaged(place: str, why: str) -> FailedError:
    return FailedError(
        f"{place} is no whole backup: {why}",
        code="backup.damaged",
        hints=["take an older one, or that of another node: `aiops controller restore`"],
    )


def others(inventory: Inventory) -> tuple[Node, ...]:
    """The nodes that backups may go to: all but the head and this machine, storage first."""
    head = inventory.head
    found = [node for node in inventory.nodes if node.connection.kind != "local" and (head is None or node != head)]
    return tuple(sorted(found, key=lambda node: ("storage" not in node.roles, node.name)))


def put(transport: Transport, backup: Backup) -> None:
    """Keep a backup on a node, root's alone, and only the newest `KEPT` of its store there.

    Raises:
        UnreachableError: The node does not answer.
        FailedError: It could not be written.
    """
    folder = _folder(backup.cluster)
    made = transport.run(Command(("install", "-d", "-m", "0700", FOLDER, folder), timeout=_COMMAND_SECONDS, root=True))
    if not made.ok:
        raise FailedError(
            f"{transport.node.name}: {folder} cannot be made: {made.error_text or 'no answer in time'}",
            code="backup.folder",
        )
    transport.put(backup.packed(), f"{folder}/{backup.name}", mode=0o600, root=True)
    known = newest_first(names(transport, backup.cluster))
    old = [name for name in known if store_of(name) == backup.term.lineage][KEPT:]
    if old:
        paths = [f"{folder}/{name}" for name in old]
        transport.run(Command(("rm", "-f", "--", *paths), timeout=_COMMAND_SECONDS, root=True))


def names(transport: Transport, cluster: str) -> list[str]:
    """The backups of a cluster on a node, in no order that means anything.

    Raises:
        UnreachableError: The node does not answer.
    """
    listed = transport.run(Command(("ls", "-1", _folder(cluster)), timeout=_COMMAND_SECONDS, root=True))
    return [name for name in listed.text.splitlines() if name.endswith(".backup")] if listed.ok else []


def fetch(transport: Transport, cluster: str, name: str) -> Backup:
    """A backup from a node.

    Raises:
        UnreachableError: The node does not answer.
        FailedError: It cannot be read, or is damaged.
    """
    path = f"{_folder(cluster)}/{name}"
    # As text: what a shell of the node's prints on its own account would otherwise be a part of it.
    read = transport.run(Command(("cat", "--", path), timeout=_COMMAND_SECONDS, root=True))
    place = f"{transport.node.name}:{path}"
    if not read.ok:
        raise FailedError(f"{place} cannot be read: {read.error_text}", code="backup.unreadable")
    return unpacked(read.stdout, place)


def _folder(cluster: str) -> str:
    return f"{FOLDER}/{cluster}"


def has_jobs(store: "Store") -> bool:
    """Whether the store knows of any job, also one that has ended."""
    from .ledger import Ledger

    return bool(Ledger(store).list(last=1))


def keep(
    store: "Store", fleet: Fleet, nodes: Sequence[Node], cluster: str, *, at: datetime, copies: int = COPIES
) -> tuple[str, ...]:
    """Make a backup and keep it on the first `copies` of `nodes` that take it; their names.

    Raises:
        InputError: The store is PostgreSQL's, whose own tools do this (`store.backup`).
        FailedError: No node took it, or the store knows of no job (`backup.empty`): as the newest such a backup would
            be restored in the place of one that does, and three of them would displace all others.
    """
    from .ledger import Ledger

    if not has_jobs(store):
        raise FailedError(
            "this store knows of no job, so there is nothing to keep; the backups on the nodes stay as they are",
            code="backup.empty",
            hints=["on a new head bring the jobs back first: `aiops controller restore`"],
        )
    backup = Backup(cluster, at, store.snapshot(), Ledger(store).term())
    taken: list[str] = []
    trouble: list[str] = []
    for node in nodes:
        try:
            put(fleet.transport(node), backup)
        except AiopsError as error:
            trouble.append(error.message)
            continue
        taken.append(node.name)
        if len(taken) == copies:
            break
    if not taken:
        raise FailedError(
            f"no other node has taken a backup: {trouble[0] if trouble else 'there is none'}",
            code="backup.nowhere",
            hints=["see who answers: `aiops node list`"],
        )
    return tuple(taken)
