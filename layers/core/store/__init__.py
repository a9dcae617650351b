"""The one database of what happened: SQLite by default, PostgreSQL by URL.

Events are append-only; what a layer derives from them stands in that layer's own tables, which it declares as a
`Schema` and asks for with `Store.require`. Importing this package is cheap: SQLAlchemy is loaded when a store is
opened, alembic only when a schema's number differs from the database's.
"""

from .database import Store
from .engine import check_file, place_of
from .schema import Schema

__all__ = ["Schema", "Store", "check_file", "place_of"]
