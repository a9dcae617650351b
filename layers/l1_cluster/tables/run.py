"""The tables of L1: runs, and what each phase did to each node. All of it follows from events and can be made again."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
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

from aiops.layers.core.event import Event
from aiops.layers.core.store import Schema
from aiops.layers.core.store.tables import EVENT_TABLE, insert_events
from aiops.layers.core.store.timestamp import from_text, to_text

_METADATA = MetaData()

RUN = Table(
    "run",
    _METADATA,
    Column("id", String(64), primary_key=True),
    Column("cluster", String(255), nullable=False),
    Column("command", Text, nullable=False),
    Column("aiops", String(32), nullable=False),
    Column("user", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_start", Integer, nullable=False),
    Column("started", String(32), nullable=False),
    Column("ended", String(32)),
    Column("status", String(16), nullable=False),
    Column("exit", Integer),
    Column("reason", Text),
    Index("run_cluster_started", "cluster", "started"),
)

RESULT = Table(
    "run_phase_node",
    _METADATA,
    Column("run", String(64), ForeignKey("run.id"), primary_key=True),
    Column("phase", String(64), primary_key=True),
    Column("node", String(255), primary_key=True),
    Column("outcome", String(16), nullable=False),
    Column("seconds", Float),
    Column("reason", Text),
    Column("at", String(32), nullable=False),
)

L1 = Schema("l1_cluster", 1, _METADATA)


def write_event(connection: Connection, event: Event) -> None:
    """Append `event`, and what follows from it, in the same transaction."""
    insert_events(connection, [event])
    data = event.data
    match event.kind:
        case "run_started":
            owner = data["owner"]
            connection.execute(
                insert(RUN).values(
                    id=event.run,
                    cluster=data["cluster"],
                    command=data["command"],
                    aiops=data["aiops"],
                    started=to_text(event.at),
                    status="running",
                    **{name: owner[name] for name in ("user", "host", "boot_id", "namespace", "pid", "process_start")},
                )
            )
        case "run_finished" | "run_interrupted":
            connection.execute(
                update(RUN)
                .where(RUN.c.id == event.run)
                .values(
                    ended=to_text(event.at),
                    status=data["status"],
                    exit=data.get("exit"),
                    reason=event.message or None,
                )
            )
        case "node_finished":
            key = {"run": event.run, "phase": data["phase"], "node": event.node}
            connection.execute(delete(RESULT).filter_by(**key))
            connection.execute(
                insert(RESULT).values(
                    **key,
                    outcome=data["outcome"],
                    seconds=data.get("seconds"),
                    reason=data.get("reason"),
                    at=to_text(event.at),
                )
            )


def select_runs(
    connection: Connection, *, cluster: str | None = None, status: str | None = None, limit: int | None = None
) -> Iterator[Any]:
    """Rows of runs, newest first."""
    query = select(RUN).order_by(RUN.c.started.desc(), RUN.c.id.desc()).limit(limit)
    if cluster is not None:
        query = query.where(RUN.c.cluster == cluster)
    if status is not None:
        query = query.where(RUN.c.status == status)
    yield from connection.execute(query)


def select_machines(connection: Connection, runs: Iterable[str]) -> Iterator[Any]:
    """What the preflights of `runs` were about: rows of a run and the data of its event."""
    query = select(EVENT_TABLE.c.run, EVENT_TABLE.c.data)
    yield from connection.execute(
        query.where(EVENT_TABLE.c.run.in_(list(runs)), EVENT_TABLE.c.kind == "preflight_finished")
    )


def select_runs_of(connection: Connection, cluster: str, also: Iterable[str]) -> Iterator[Any]:
    """Rows of the runs on `cluster`, and of those whose ids are in `also` whatever their cluster was called."""
    query = select(RUN).where(or_(RUN.c.cluster == cluster, RUN.c.id.in_(list(also))))
    yield from connection.execute(query.order_by(RUN.c.started, RUN.c.id))


def select_told(
    connection: Connection, cluster: str, also: Iterable[str], kinds: Iterable[str], since: datetime | None
) -> Iterator[Event]:
    """The events of some kinds in those runs, since a moment, in the order they were told."""
    query = select(EVENT_TABLE).join(RUN, RUN.c.id == EVENT_TABLE.c.run)
    query = query.where(or_(RUN.c.cluster == cluster, RUN.c.id.in_(list(also))), EVENT_TABLE.c.kind.in_(list(kinds)))
    if since is not None:
        query = query.where(EVENT_TABLE.c.at >= to_text(since))
    for row in connection.execute(query.order_by(EVENT_TABLE.c.at, EVENT_TABLE.c.id)):
        yield Event(from_text(row.at), row.run, row.seq, row.kind, row.node, row.message, row.data, row.v)


def select_recent(connection: Connection, cluster: str, since: datetime) -> list[str]:
    """Ids of the runs on a cluster that have told anything since a moment; no event of another one is read."""
    events = EVENT_TABLE.c
    last = select(events.at).where(events.run == RUN.c.id).order_by(events.seq.desc()).limit(1).scalar_subquery()
    return list(connection.scalars(select(RUN.c.id).where(RUN.c.cluster == cluster, last >= to_text(since))))


def select_told_by(
    connection: Connection, runs: Iterable[str], kinds: Iterable[str], since: datetime | None, *, whole: bool
) -> Iterator[Event]:
    """The events of some kinds in some runs, since a moment, in order; `whole`: those of no single node."""
    events = EVENT_TABLE.c
    query = select(EVENT_TABLE).where(events.run.in_(list(runs)), events.kind.in_(list(kinds)))
    if since is not None:
        query = query.where(events.at >= to_text(since))
    if whole:
        query = query.where(events.node.is_(None))
    for row in connection.execute(query.order_by(events.at, events.id)):
        yield Event(from_text(row.at), row.run, row.seq, row.kind, row.node, row.message, row.data, row.v)


def select_clusters(connection: Connection) -> list[str]:
    """The clusters that something was run on, by name."""
    return list(connection.scalars(select(RUN.c.cluster).distinct().order_by(RUN.c.cluster)))


def select_run_ids(connection: Connection, prefix: str) -> list[str]:
    """Ids of the runs that start with `prefix`, newest first."""
    query = select(RUN.c.id).where(RUN.c.id.startswith(prefix, autoescape=True)).order_by(RUN.c.started.desc())
    return [row.id for row in connection.execute(query)]


def select_run(connection: Connection, run: str) -> Any | None:
    """The row of one run."""
    return connection.execute(select(RUN).where(RUN.c.id == run)).one_or_none()


def select_results(connection: Connection, run: str) -> Iterator[Any]:
    """What each phase did to each node in one run, in the order it ended."""
    query = select(RESULT).where(RESULT.c.run == run).order_by(RESULT.c.at, RESULT.c.phase, RESULT.c.node)
    yield from connection.execute(query)


def select_latest_results(connection: Connection, cluster: str) -> Iterator[Any]:
    """For each phase and node of a cluster, the row of the last time that phase did anything there."""
    ranked = (
        select(
            RESULT,
            func.row_number()
            .over(partition_by=(RESULT.c.phase, RESULT.c.node), order_by=(RESULT.c.at.desc(), RESULT.c.run.desc()))
            .label("place"),
        )
        .join(RUN, RUN.c.id == RESULT.c.run)
        .where(RUN.c.cluster == cluster)
        .subquery()
    )
    yield from connection.execute(select(ranked).where(ranked.c.place == 1).order_by(ranked.c.at, ranked.c.phase))
