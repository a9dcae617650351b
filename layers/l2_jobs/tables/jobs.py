"""The tables of jobs: what each was submitted as, where it stands, its attempts, and all that was decided.

Times are seconds since the epoch by the controller's steady clock, as its records have them. Decisions are append-only:
the database itself refuses to change them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from aiops.layers.core.store import Schema
from aiops.layers.core.store.append_only import append_only

_METADATA = MetaData()
LONGEST_PATH = 1024
"""Letters of a checkpoint's path; one that is longer is used and not listed."""

_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an exact INTEGER

JOB = Table(
    "job",
    _METADATA,
    Column("number", _ID, primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("name", String(128), nullable=False),
    Column("user", String(255), nullable=False),
    Column("uid", Integer, nullable=False),
    Column("queue", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("submitted", Float, nullable=False),
    Column("job", JSON, nullable=False),
    Column("checkpoint", Text),
    Column("state", String(16), nullable=False),
    Column("over", Boolean, nullable=False),
    Column("since", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempt", Integer),
    Column("nodes", Text, nullable=False),
    Column("step", BigInteger),
    Column("record", JSON, nullable=False),
    Index("job_over", "over", "number"),
    Index("job_user", "uid", "number"),
    Index("job_name", "name", "number"),
    Index("job_saving", "checkpoint", "over"),
)
"""`job` never changes; `record` is the rest of its JobRecord. The columns beside are what lists are made of, and the
folder of its checkpoints."""

NAMING = Table(
    "job_naming", _METADATA, Column("name", String(128), primary_key=True), Column("last", Integer, nullable=False)
)
"""The last number that a name was given."""

ATTEMPT = Table(
    "job_attempt",
    _METADATA,
    Column("job", String(128), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("attempt", JSON, nullable=False),
    Column("chosen", Float, nullable=False),
    Column("ran", Float),
    Column("ended", Float),
    Column("outcome", Text),
    Column("failed_node", String(255)),
    Column("failed_rank", Integer),
    Column("failed_status", Integer),
    Index("job_attempt_chosen", "chosen"),
)
"""`ran`: since when all of it ran. `failed_*`: the first of its processes that ended badly."""

DECISION = Table(
    "job_decision",
    _METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("job", String(128), nullable=False),
    Column("attempt", Integer),
    Column("at", Float, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Index("job_decision_job", "job", "id"),
)

REQUEST = Table(
    "job_request",
    _METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("job", String(128), nullable=False),
    Column("user", String(255), nullable=False),
    Column("uid", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("request", JSON, nullable=False),
    Column("heard", Float),
    Column("checkpoint", Text),
    Index("job_request_open", "heard", "id"),
    Index("job_request_saving", "checkpoint", "heard"),
)
"""What clients have asked; `heard`: when the controller took it up, in the transaction of what it decided;
`checkpoint`: the folder of the checkpoints of a job that is submitted."""

ACTION = Table(
    "job_action",
    _METADATA,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("action", JSON, nullable=False),
    Column("done", Float),
    Index("job_action_open", "done", "id"),
)

CHECKPOINT = Table(
    "job_checkpoint",
    _METADATA,
    Column("job", String(128), primary_key=True),
    Column("path", String(LONGEST_PATH), primary_key=True),
    Column("step", BigInteger),
    Column("format", String(64), nullable=False),
    Column("verified", Boolean),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("checkpoint", JSON, nullable=False),
)
"""What was found in checkpoint folders. `verified`: null while that is not known."""

TERM = Table(
    "job_term",
    _METADATA,
    Column("lineage", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""One row: which controller this is, among those whose stores come from one; see `term.py`."""

append_only(DECISION, "decisions")


L2_JOBS = Schema("l2_jobs", 1, _METADATA)

_LISTED = (
    *(JOB.c.id, JOB.c.name, JOB.c.user, JOB.c.uid, JOB.c.queue, JOB.c.priority, JOB.c.submitted, JOB.c.state),
    *(JOB.c.since, JOB.c.reason, JOB.c.attempt, JOB.c.nodes),
    # A job's own column is written where an attempt begins; what has been saved and verified since is newer.
    func.coalesce(
        select(func.max(CHECKPOINT.c.step))
        .where(CHECKPOINT.c.job == JOB.c.id, CHECKPOINT.c.verified.is_(True))
        .scalar_subquery(),
        JOB.c.step,
    ).label("step"),
)


def select_term(connection: Connection) -> Any | None:
    """The one row of the controller's term; None in a store that has had no controller yet."""
    return connection.execute(select(TERM)).first()


def put_term(connection: Connection, lineage: str, number: int) -> None:
    """Write down the controller's term, in the place of what was."""
    connection.execute(delete(TERM))
    connection.execute(insert(TERM).values(lineage=lineage, number=number))


def next_number(connection: Connection, name: str) -> int:
    """The next number for a job of this name; it is given to nobody else."""
    row = connection.execute(select(NAMING.c.last).where(NAMING.c.name == name).with_for_update()).first()
    if row is None:
        connection.execute(insert(NAMING).values(name=name, last=1))
        return 1
    connection.execute(update(NAMING).where(NAMING.c.name == name).values(last=row.last + 1))
    return int(row.last) + 1


def insert_request(connection: Connection, values: Mapping[str, Any]) -> int:
    """Append what a client asks; its number."""
    key = connection.execute(insert(REQUEST).values(**values)).inserted_primary_key
    assert key is not None  # noqa: S101 - a row that was inserted has one
    return int(key[0])


def select_requests(connection: Connection, most: int) -> Iterator[Any]:
    """What was not heard yet, oldest first."""
    query = select(REQUEST).where(REQUEST.c.heard.is_(None)).order_by(REQUEST.c.id).limit(most)
    yield from connection.execute(query)


def hear_requests(connection: Connection, numbers: Sequence[int], at: float) -> None:
    """Write down that requests were heard."""
    if numbers:
        connection.execute(update(REQUEST).where(REQUEST.c.id.in_(list(numbers))).values(heard=at))


def select_request(connection: Connection, number: int) -> Any | None:
    """One request, heard or not."""
    return connection.execute(select(REQUEST).where(REQUEST.c.id == number)).first()


def select_submitted(connection: Connection, job: str) -> Any | None:
    """The request by which a job was submitted that the controller has not taken up yet."""
    query = select(REQUEST).where(REQUEST.c.heard.is_(None), REQUEST.c.kind == "submit", REQUEST.c.job == job)
    return connection.execute(query).first()


def insert_jobs(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down jobs that are new."""
    if rows:
        connection.execute(insert(JOB), list(rows))


def update_jobs(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down where jobs stand; each row has `key`, the job's id, and the columns that change."""
    if rows:
        names = [name for name in rows[0] if name != "key"]
        statement = update(JOB).where(JOB.c.id == bindparam("key")).values({name: bindparam(name) for name in names})
        connection.execute(statement, list(rows))


def select_alive(connection: Connection) -> Iterator[Any]:
    """The rows of all jobs that are not over, oldest first."""
    yield from connection.execute(select(JOB).where(JOB.c.over.is_(False)).order_by(JOB.c.number))


def select_job(connection: Connection, job: str) -> Any | None:
    """The row of one job."""
    return connection.execute(select(JOB).where(JOB.c.id == job)).first()


def select_writer(connection: Connection, folder: str, other_than: str) -> str | None:
    """The job that is not over and saves in `folder`, one that was only asked for included; None without one."""
    job = select(JOB.c.id).where(JOB.c.checkpoint == folder, JOB.c.over.is_(False), JOB.c.id != other_than)
    asked = select(REQUEST.c.job).where(
        REQUEST.c.checkpoint == folder, REQUEST.c.heard.is_(None), REQUEST.c.job != other_than
    )
    return connection.scalar(job.limit(1)) or connection.scalar(asked.limit(1))


def select_list(
    connection: Connection, *, last: int, over: bool | None, uid: int | None, state: str | None = None
) -> Iterator[Any]:
    """What lists show of jobs, newest first; `over`: only those that are, or are not."""
    query = select(*_LISTED).order_by(JOB.c.number.desc()).limit(last)
    if over is not None:
        query = query.where(JOB.c.over.is_(over))
    if uid is not None:
        query = query.where(JOB.c.uid == uid)
    if state is not None:
        query = query.where(JOB.c.state == state)
    yield from connection.execute(query)


def count_jobs(connection: Connection) -> dict[str, int]:
    """How many jobs that are not over are in each state."""
    query = select(JOB.c.state, func.count()).where(JOB.c.over.is_(False)).group_by(JOB.c.state)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def select_named(connection: Connection, name: str, uid: int | None, most: int = 50) -> list[str]:
    """Ids of the jobs of a name, newest first."""
    query = select(JOB.c.id).where(JOB.c.name == name).order_by(JOB.c.number.desc()).limit(most)
    if uid is not None:
        query = query.where(JOB.c.uid == uid)
    return list(connection.scalars(query))


def select_ids(connection: Connection, most: int) -> list[str]:
    """Ids of the newest jobs, for words about one that does not exist."""
    return list(connection.scalars(select(JOB.c.id).order_by(JOB.c.number.desc()).limit(most)))


def insert_attempts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down attempts that were chosen."""
    if rows:
        connection.execute(insert(ATTEMPT), list(rows))


def update_attempt(connection: Connection, job: str, number: int, values: Mapping[str, Any], *, unset: str) -> None:
    """Write down what has become of an attempt, once: only while the column `unset` is null."""
    query = update(ATTEMPT).where(ATTEMPT.c.job == job, ATTEMPT.c.number == number, ATTEMPT.c[unset].is_(None))
    connection.execute(query.values(**values))


def select_attempts(connection: Connection, job: str) -> Iterator[Any]:
    """The attempts of a job, in order."""
    yield from connection.execute(select(ATTEMPT).where(ATTEMPT.c.job == job).order_by(ATTEMPT.c.number))


def select_chosen(connection: Connection, since: float) -> Iterator[Any]:
    """The attempts that were chosen since then."""
    yield from connection.execute(select(ATTEMPT).where(ATTEMPT.c.chosen > since))


def select_current(connection: Connection) -> Iterator[Any]:
    """The last attempt of every job that is not over."""
    query = select(ATTEMPT).join(JOB, (JOB.c.id == ATTEMPT.c.job) & (JOB.c.attempt == ATTEMPT.c.number))
    yield from connection.execute(query.where(JOB.c.over.is_(False)))


def insert_decisions(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append what was decided."""
    if rows:
        connection.execute(insert(DECISION), list(rows))


def select_decisions(connection: Connection, job: str, after: int, attempt: int | None) -> Iterator[Any]:
    """What was decided for a job, in order, with numbers above `after`."""
    query = select(DECISION).where(DECISION.c.job == job, DECISION.c.id > after).order_by(DECISION.c.id)
    if attempt is not None:
        query = query.where(DECISION.c.attempt == attempt)
    yield from connection.execute(query)


def insert_actions(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Write down what is to be done; the number of each."""
    if not rows:
        return []
    return list(connection.scalars(insert(ACTION).returning(ACTION.c.id, sort_by_parameter_order=True), list(rows)))


def select_open_actions(connection: Connection) -> Iterator[Any]:
    """What is not known to be done, oldest first."""
    yield from connection.execute(select(ACTION).where(ACTION.c.done.is_(None)).order_by(ACTION.c.id))


def finish_actions(connection: Connection, numbers: Sequence[int], at: float) -> None:
    """Write down that actions are done."""
    if numbers:
        connection.execute(
            update(ACTION).where(ACTION.c.id == bindparam("key")).values(done=at), [{"key": one} for one in numbers]
        )


def delete_requests(connection: Connection, before: float, most: int) -> int:
    """Delete requests that were heard before then; how many. The newest stays: its number is given to no other."""
    return _delete(connection, REQUEST, REQUEST.c.heard, before, most)


def delete_actions(connection: Connection, before: float, most: int) -> int:
    """Delete actions that were done before then; how many. The newest stays: its number is given to no other."""
    return _delete(connection, ACTION, ACTION.c.done, before, most)


def _delete(connection: Connection, table: Table, ended: Column[Any], before: float, most: int) -> int:
    newest = select(func.max(table.c.id)).scalar_subquery()
    old = select(table.c.id).where(ended < before, table.c.id < newest).order_by(table.c.id).limit(most)
    return connection.execute(delete(table).where(table.c.id.in_(list(connection.scalars(old))))).rowcount


def replace_checkpoints(connection: Connection, job: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write down what is known of checkpoints, in the place of what was."""
    for row in rows:
        where = (CHECKPOINT.c.job == job, CHECKPOINT.c.path == row["path"])
        if connection.execute(update(CHECKPOINT).where(*where).values(**row)).rowcount == 0:
            connection.execute(insert(CHECKPOINT).values(**row))


def select_checkpoints(connection: Connection, job: str) -> Iterator[Any]:
    """What is known of a job's checkpoints, the newest step first."""
    yield from connection.execute(select(CHECKPOINT).where(CHECKPOINT.c.job == job).order_by(CHECKPOINT.c.step.desc()))
