"""Bringing a database to a schema: created when absent, upgraded step by step when older, refused when newer."""

from sqlalchemy import Connection, func, inspect, select

from aiops.layers.core.errors import ConflictError

from .schema import Schema
from .tables import SCHEMA_TABLE

_ADVISORY_LOCK = 0x61696F7073
"""Of PostgreSQL, which has no write lock on the whole database: `aiops` in ASCII."""


def established(connection: Connection, schema: Schema) -> bool:
    """Whether the database has `schema` at its number; a question that waits for nobody."""
    if not inspect(connection).has_table(SCHEMA_TABLE.name):
        return False
    query = SCHEMA_TABLE.select().where(SCHEMA_TABLE.c.name == schema.name, SCHEMA_TABLE.c.number == schema.number)
    return connection.execute(query).first() is not None


def establish(connection: Connection, schema: Schema, place: str) -> None:
    """Make the database have `schema`, inside the caller's transaction.

    Args:
        connection: In a writing transaction, so that two processes never create or upgrade at once.
        schema: What is wanted.
        place: The database as people know it, for the error.

    Raises:
        ConflictError: A newer aiops has written here (`store.too_new`); nothing was changed.
    """
    table = SCHEMA_TABLE
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    table.create(connection, checkfirst=True)
    found = connection.execute(table.select().where(table.c.name == schema.name)).one_or_none()
    if found is None:
        schema.metadata.create_all(connection)
        connection.execute(table.insert().values(name=schema.name, number=schema.number))
    elif found.number > schema.number:
        raise ConflictError(
            f"the database {place} was written by a newer aiops: "
            f"its `{schema.name}` schema is number {found.number}, this aiops knows {schema.number}",
            code="store.too_new",
            hints=[
                "upgrade aiops on this machine: `pip install --upgrade aiops`",
                "or keep a separate state: `export AIOPS_HOME=~/aiops-old`",
            ],
        )
    elif found.number < schema.number:
        _upgrade(connection, schema, found.number)
        connection.execute(table.update().where(table.c.name == schema.name).values(number=schema.number))


def _upgrade(connection: Connection, schema: Schema, number: int) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    operations = Operations(MigrationContext.configure(connection))
    for step in range(number + 1, schema.number + 1):
        schema.upgrades[step](operations)
