"""The record of one run of a command that changes a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .exit import exit_of

if TYPE_CHECKING:
    from aiops.layers.core.event import EventStream
    from aiops.layers.core.store import Store
    from aiops.layers.l1_cluster.run import Journal

    from .app import App


@contextmanager
def journal_of(aiops: "App", events: "EventStream", cluster: str, command: str) -> Iterator[tuple["Store", "Journal"]]:
    """The store and this run's journal in it, for the time of the block; how the block ends is the run's end.

    Args:
        aiops: The outside world.
        events: The run's own.
        cluster: What is changed.
        command: What was typed.

    Raises:
        FailedError: The store cannot be written.
    """
    from aiops.layers.l1_cluster.owner import Owner
    from aiops.layers.l1_cluster.run import Journal

    owner = Owner.here(events.run)
    with (
        aiops.store() as store,
        Journal.begin(store, events, owner=owner, cluster=cluster, command=command, exit_of=exit_of) as journal,
    ):
        yield store, journal
