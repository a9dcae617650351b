"""Keeper: whose thread has the store backed up, whenever something has changed and at least each minute."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiops.layers.core.clock import Clock, rfc3339
from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node

from .backup import has_jobs, keep, names

if TYPE_CHECKING:
    from aiops.layers.core.store import Store

SECONDS = 60.0
"""The longest that a head without changes goes without a backup."""

LEAST_SECONDS = 5.0
"""From the end of one to the next: a store that changes all the time is not copied all the time."""


class Keeper:
    """Makes backups in a thread of its own whenever it is wanted, one at a time."""

    seconds = SECONDS
    least = LEAST_SECONDS

    def __init__(
        self,
        store: "Store",
        fleet: Fleet,
        nodes: Sequence[Node],
        cluster: str,
        *,
        clock: Clock,
        warn: Callable[[str], None],
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._nodes = tuple(nodes)
        self._cluster = cluster
        self._clock = clock
        self._warn = warn
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._last: datetime | None = None
        self._on: tuple[str, ...] = ()
        self._trouble = ""
        self._begun = False
        self._looked: datetime | None = None
        threading.Thread(target=self._work, name="backup", daemon=True).start()

    def want(self) -> None:
        """Have one made soon."""
        self._wanted.set()

    def close(self) -> None:
        """Make no more."""
        self._closed.set()
        self._wanted.set()

    def document(self) -> dict[str, Any]:
        """When the last one was made, and where it is."""
        return {
            "at": None if self._last is None else rfc3339(self._last),
            "nodes": list(self._on),
            "trouble": self._trouble or None,
        }

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            if self._closed.wait(self.least if self._begun else 0.0):
                return
            self._begun = True
            self._wanted.clear()
            try:
                if not has_jobs(self._store):
                    self._trouble = self._to_restore()
                    continue  # see `keep`: a new head has nothing to say before it is restored
                self._on = keep(self._store, self._fleet, self._nodes, self._cluster, at=self._clock.now())
                self._last, self._trouble = self._clock.now(), ""
            except Exception as error:  # noqa: BLE001 - a full disk, or a defect: jobs go on without a backup
                told = error.message if isinstance(error, AiopsError) else f"{type(error).__name__}: {error}"
                if not self._trouble:
                    self._warn(f"the store could not be backed up, and is tried again: {told}")
                self._trouble = told

    def _to_restore(self) -> str:
        """What is to be said of an empty store, while nodes have backups of another one; empty where none has."""
        if self._looked is not None and self._looked > self._clock.now() - timedelta(seconds=SECONDS):
            return self._trouble
        self._looked = self._clock.now()
        told = [
            outcome.node.name
            for outcome in self._fleet.each(self._nodes, lambda transport: names(transport, self._cluster))
            if outcome.value
        ]
        if not told:
            return ""
        words = f"this store is empty, and there are backups on {', '.join(sorted(told))}: `aiops controller restore`"
        if words != self._trouble:
            self._warn(words)
        return words
