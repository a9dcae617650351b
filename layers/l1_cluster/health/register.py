"""The register of node states: every change is written down before anything is done for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiops.layers.core.store import Store
from aiops.layers.core.store.timestamp import from_text, to_text

from .attempt import repaired_at
from .node_state import NodeState, StateChange


@dataclass(frozen=True, slots=True)
class Breaker:
    """That too many nodes were critical, and nothing is drained until a person says so."""

    opened: datetime
    why: str


class Register:
    """The node states of one cluster."""

    def __init__(self, store: Store, cluster: str) -> None:
        """Make sure that the tables are there.

        Raises:
            ConflictError: A newer aiops has written the store.
            FailedError: The store cannot be written.
        """
        from aiops.layers.l1_cluster.tables.health import L1_HEALTH

        store.require(L1_HEALTH)
        self._store = store
        self._cluster = cluster

    def states(self) -> dict[str, NodeState]:
        """What each node is, by name; one that never changed is not in it and `new`."""
        return {name: change.after for name, change in self.last().items()}

    def last(self) -> dict[str, StateChange]:
        """The last change of each node, by name."""
        from aiops.layers.l1_cluster.tables import health as tables

        with self._store.read() as connection:
            found = [_change(row) for row in tables.select_last_changes(connection, self._cluster)]
        return {one.node: one for one in found}

    def changes(self, since: datetime, nodes: Sequence[str] | None = None) -> tuple[StateChange, ...]:
        """The changes since then, oldest first."""
        from aiops.layers.l1_cluster.tables import health as tables

        with self._store.read() as connection:
            return tuple(_change(row) for row in tables.select_changes(connection, self._cluster, since, nodes))

    def repaired(self, since: datetime) -> dict[str, datetime]:
        """When each node was last repaired since then: when it was first looked at afterwards, by name."""
        return repaired_at(self.changes(since))

    def enter(self, changes: Iterable[StateChange]) -> None:
        """Write changes down, all or none."""
        from aiops.layers.l1_cluster.tables import health as tables

        rows = [
            {
                "cluster": self._cluster,
                "node": one.node,
                "at": to_text(one.at),
                "before": one.before,
                "after": one.after,
                "cause": one.cause,
                "finding": one.finding,
                "actor": one.actor,
                "run": one.run,
            }
            for one in changes
        ]
        if rows:
            with self._store.begin() as connection:
                tables.insert_changes(connection, rows)

    @property
    def breaker(self) -> Breaker | None:
        """The breaker, while it is open."""
        from aiops.layers.l1_cluster.tables import health as tables

        with self._store.read() as connection:
            row = tables.select_open_breaker(connection, self._cluster)
        return None if row is None else Breaker(from_text(row.opened), row.why)

    def open_breaker(self, at: datetime, why: str) -> None:
        """Write down that the breaker opens."""
        from aiops.layers.l1_cluster.tables import health as tables

        with self._store.begin() as connection:
            if tables.select_open_breaker(connection, self._cluster) is None:
                tables.insert_breaker(connection, self._cluster, at, why)

    def close_breaker(self, at: datetime, by: str) -> bool:
        """Write down who has closed it; whether it was open."""
        from aiops.layers.l1_cluster.tables import health as tables

        with self._store.begin() as connection:
            return tables.close_breakers(connection, self._cluster, at, by) > 0


def _change(row: Any) -> StateChange:
    return StateChange(row.node, from_text(row.at), row.before, row.after, row.cause, row.finding, row.actor, row.run)
