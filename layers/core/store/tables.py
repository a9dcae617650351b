"""The sill's own tables: which schemas are here, and the events."""

from collections.abc import Iterable, Iterator

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
    UniqueConstraint,
)

from aiops.layers.core.event import Event

from .append_only import append_only
from .schema import Schema
from .timestamp import from_text, to_text

_BOOKKEEPING = MetaData()

SCHEMA_TABLE = Table(
    "aiops_schema",
    _BOOKKEEPING,
    Column("name", String(64), primary_key=True),
    Column("number", Integer, nullable=False),
)

_METADATA = MetaData()

EVENT_TABLE = Table(
    "event",
    _METADATA,
    # SQLite numbers rows by itself only in a column of the exact type INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("v", Integer, nullable=False),
    Column("run", String(64), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", String(32), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("node", String(255)),
    Column("message", Text, nullable=False),
    Column("data", JSON, nullable=False),
    UniqueConstraint("run", "seq", name="event_run_seq"),
    Index("event_run_node", "run", "node"),
)

append_only(EVENT_TABLE, "events")

CORE = Schema("core", 1, _METADATA)


def insert_events(connection: Connection, events: Iterable[Event]) -> None:
    """Append `events`."""
    rows = [
        {
            "v": one.v,
            "run": one.run,
            "seq": one.seq,
            "at": to_text(one.at),
            "kind": one.kind,
            "node": one.node,
            "message": one.message,
            "data": dict(one.data),
        }
        for one in events
    ]
    if rows:
        connection.execute(EVENT_TABLE.insert(), rows)


def select_events(connection: Connection, run: str, after: int, node: str | None) -> Iterator[Event]:
    """The events of `run` with a number above `after`, in order; those of `node` when given."""
    table = EVENT_TABLE
    query = table.select().where(table.c.run == run, table.c.seq > after).order_by(table.c.seq)
    if node is not None:
        query = query.where(table.c.node == node)
    for row in connection.execute(query):
        yield Event(from_text(row.at), row.run, row.seq, row.kind, row.node, row.message, row.data, row.v)
