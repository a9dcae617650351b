"""The tables of health: what was found and for how long, counters, and how long each node has been how.

Nothing is written while nothing changes but the time of the last look: an episode is one row however long it lasts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from aiops.layers.core.store import Schema
from aiops.layers.core.store.timestamp import to_text

_METADATA = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")

EPISODE = Table(
    "health_episode",
    _METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("cluster", String(255), nullable=False),
    Column("node", String(255), nullable=False),
    Column("check", String(64), nullable=False),
    Column("about", Text, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("action", String(32), nullable=False),
    Column("owner", String(32), nullable=False),
    Column("counted", Integer, nullable=False),
    Column("boot_id", String(64)),
    Column("looks", Integer, nullable=False),
    Column("started", String(32), nullable=False),
    Column("seen", String(32), nullable=False),
    Column("ended", String(32)),
    Index("health_episode_open", "cluster", "ended", "node"),
    Index("health_episode_node", "cluster", "node", "started"),
)
"""What was found, from its first to its last sighting. `counted`: whether it made its node's verdict at any time."""

STRETCH = Table(
    "health_stretch",
    _METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("cluster", String(255), nullable=False),
    Column("node", String(255), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("boot_id", String(64)),
    Column("looks", Integer, nullable=False),
    Column("began", String(32), nullable=False),
    Column("last", String(32), nullable=False),
    Index("health_stretch_node", "cluster", "node", "last"),
)
"""How a node was, look after look, for as long as it stayed so and was looked at."""

SAMPLE = Table(
    "health_sample",
    _METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("cluster", String(255), nullable=False),
    Column("node", String(255), nullable=False),
    Column("at", String(32), nullable=False),
    Column("boot_id", String(64)),
    Column("counters", JSON, nullable=False),
    Index("health_sample_node", "cluster", "node", "at"),
)
"""Counters of a node that differ from the sample before."""

NODE_CHANGE = Table(
    "health_node_change",
    _METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("cluster", String(255), nullable=False),
    Column("node", String(255), nullable=False),
    Column("at", String(32), nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("cause", Text, nullable=False),
    Column("finding", String(64), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("run", String(64), nullable=False),
    Index("health_node_change_node", "cluster", "node", "id"),
    Index("health_node_change_at", "cluster", "at"),
)
"""Every change of a node's state; the last one of a node says what it is."""

BREAKER = Table(
    "health_breaker",
    _METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("cluster", String(255), nullable=False),
    Column("opened", String(32), nullable=False),
    Column("why", Text, nullable=False),
    Column("closed", String(32)),
    Column("closed_by", String(255)),
    Index("health_breaker_open", "cluster", "closed"),
)
"""Each time that too many nodes were critical, and who has said that draining may go on."""

L1_HEALTH = Schema("l1_health", 1, _METADATA)


def select_open(connection: Connection, cluster: str, nodes: Sequence[str]) -> Iterator[Any]:
    """Episodes of `nodes` that have not ended."""
    table = EPISODE.c
    yield from connection.execute(
        select(EPISODE).where(table.cluster == cluster, table.ended.is_(None), table.node.in_(nodes))
    )


def select_episodes(
    connection: Connection,
    cluster: str,
    since: datetime,
    *,
    nodes: Sequence[str] | None = None,
    checks: Sequence[str] | None = None,
    actions: Sequence[str] | None = None,
) -> Iterator[Any]:
    """Episodes that were still going on at `since`, or began later; oldest first."""
    table = EPISODE.c
    at = to_text(since)
    query = select(EPISODE).where(table.cluster == cluster, or_(table.ended.is_(None), table.ended >= at))
    if nodes is not None:
        query = query.where(table.node.in_(nodes))
    if checks is not None:
        query = query.where(table.check.in_(checks))
    if actions is not None:
        query = query.where(table.action.in_(actions))
    yield from connection.execute(query.order_by(table.started, table.id))


def insert_episodes(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down episodes that begin."""
    if rows:
        connection.execute(insert(EPISODE), list(rows))


def update_episode(connection: Connection, number: int, values: Mapping[str, Any]) -> None:
    """Write down what has become of an episode."""
    connection.execute(update(EPISODE).where(EPISODE.c.id == number).values(**values))


def select_latest_stretches(connection: Connection, cluster: str, nodes: Sequence[str] | None = None) -> Iterator[Any]:
    """The last stretch of each node."""
    table = STRETCH.c
    other = STRETCH.alias()
    later = select(other.c.id).where(
        other.c.cluster == table.cluster, other.c.node == table.node, other.c.last > table.last
    )
    query = select(STRETCH).where(table.cluster == cluster, ~later.exists())
    if nodes is not None:
        query = query.where(table.node.in_(nodes))
    yield from connection.execute(query)


def select_stretches(
    connection: Connection, cluster: str, since: datetime, nodes: Sequence[str] | None = None
) -> Iterator[Any]:
    """Stretches that had not ended at `since`; oldest first."""
    table = STRETCH.c
    query = select(STRETCH).where(table.cluster == cluster, table.last >= to_text(since))
    if nodes is not None:
        query = query.where(table.node.in_(nodes))
    yield from connection.execute(query.order_by(table.began, table.id))


def insert_stretches(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down stretches that begin."""
    if rows:
        connection.execute(insert(STRETCH), list(rows))


def lengthen_stretches(connection: Connection, numbers: Sequence[int], last: datetime) -> None:
    """Write down that stretches go on until `last`."""
    if numbers:
        connection.execute(
            update(STRETCH).where(STRETCH.c.id.in_(list(numbers))).values(last=to_text(last), looks=STRETCH.c.looks + 1)
        )


def select_samples(connection: Connection, cluster: str, nodes: Sequence[str]) -> Iterator[Any]:
    """The samples of `nodes`, oldest first."""
    table = SAMPLE.c
    query = select(SAMPLE).where(table.cluster == cluster, table.node.in_(nodes))
    yield from connection.execute(query.order_by(table.at, table.id))


def insert_samples(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down samples."""
    if rows:
        connection.execute(insert(SAMPLE), list(rows))


def replace_samples(connection: Connection, numbers: Iterable[int], row: Mapping[str, Any]) -> None:
    """Put one sample in the place of several."""
    connection.execute(delete(SAMPLE).where(SAMPLE.c.id.in_(list(numbers))))
    connection.execute(insert(SAMPLE), [dict(row)])


def insert_changes(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down changes of nodes' states."""
    if rows:
        connection.execute(insert(NODE_CHANGE), list(rows))


def select_last_changes(connection: Connection, cluster: str) -> Iterator[Any]:
    """The last change of each node."""
    table = NODE_CHANGE.c
    last = select(func.max(table.id)).where(table.cluster == cluster).group_by(table.node)
    yield from connection.execute(select(NODE_CHANGE).where(table.id.in_(last)))


def select_changes(
    connection: Connection, cluster: str, since: datetime, nodes: Sequence[str] | None = None
) -> Iterator[Any]:
    """The changes since then, oldest first."""
    table = NODE_CHANGE.c
    query = select(NODE_CHANGE).where(table.cluster == cluster, table.at >= to_text(since))
    if nodes is not None:
        query = query.where(table.node.in_(nodes))
    yield from connection.execute(query.order_by(table.id))


def select_open_breaker(connection: Connection, cluster: str) -> Any | None:
    """The row of the breaker that is open, or None."""
    table = BREAKER.c
    query = select(BREAKER).where(table.cluster == cluster, table.closed.is_(None)).order_by(table.id).limit(1)
    return connection.execute(query).first()


def insert_breaker(connection: Connection, cluster: str, opened: datetime, why: str) -> None:
    """Write down that the breaker has opened."""
    connection.execute(insert(BREAKER).values(cluster=cluster, opened=to_text(opened), why=why))


def close_breakers(connection: Connection, cluster: str, at: datetime, by: str) -> int:
    """Write down who has closed the breaker; how many were open."""
    done = connection.execute(
        update(BREAKER)
        .where(BREAKER.c.cluster == cluster, BREAKER.c.closed.is_(None))
        .values(closed=to_text(at), closed_by=by)
    )
    return int(done.rowcount)
