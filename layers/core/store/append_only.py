"""Append-only tables: what stands in them is never rewritten. The database itself refuses, whoever asks."""

from sqlalchemy import DDL, Table, event

_NO_UPDATE = """
CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{what} are append-only'); END
"""
_NO_DELETE = """
CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, '{what} are append-only'); END
"""
_REFUSAL = """
CREATE OR REPLACE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{what} are append-only'; END $$
"""
_NO_CHANGE = """
CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()
"""
_GUARDS = (("sqlite", _NO_UPDATE), ("sqlite", _NO_DELETE), ("postgresql", _REFUSAL), ("postgresql", _NO_CHANGE))


def append_only(table: Table, what: str) -> None:
    """Have `table` made with guards that refuse to change or remove its rows.

    Args:
        table: The table, before it is made.
        what: Its rows in the plural, for the refusal: `events`.
    """
    for dialect, statement in _GUARDS:
        guard = DDL(statement.format(table=table.name, what=what))  # type: ignore[no-untyped-call]
        event.listen(table, "after_create", guard.execute_if(dialect=dialect))
