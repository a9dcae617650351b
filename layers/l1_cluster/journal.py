"""The journal of a run while it is written: what one command does to a cluster outlives the process that does it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Self

from aiops import __version__
from aiops.layers.core.errors import AiopsError
from aiops.layers.core.event import Event, EventStream
from aiops.layers.core.store import Store

from .owner import Owner
from .run_record import DONE, FAILED, INTERRUPTED


class Journal:
    """The writer of one run: a listener of its event stream, and the two ends of the run.

    Each event is on the disk, together with what follows from it, before the next thing happens, but for those that
    only say what was found: they are written many at once. A `kill -9` at any point leaves a readable journal.
    """

    def __init__(self, store: Store, stream: EventStream, exit_of: Callable[[AiopsError], int]) -> None:
        self._store = store
        self.stream = stream
        self._exit_of = exit_of
        self._ended = False

    @classmethod
    def begin(
        cls,
        store: Store,
        stream: EventStream,
        *,
        owner: Owner,
        cluster: str,
        command: str,
        exit_of: Callable[[AiopsError], int],
    ) -> Self:
        """Begin the journal of `stream.run`: subscribe to its events and emit `run_started`.

        Use it as a context manager, so that the run is closed whatever happens.

        Args:
            store: Where it is kept.
            stream: The run's events.
            owner: `Owner.here(stream.run)`.
            cluster: The cluster's name.
            command: What was typed, without secrets.
            exit_of: Exit code of an error (`aiops.cli.exit.exit_of`): layers do not know exit codes.

        Raises:
            ConflictError: A newer aiops has written the store.
            FailedError: The store cannot be written.
        """
        from .tables.run import L1

        store.require(L1)
        journal = cls(store, stream, exit_of)
        stream.record(journal.record)
        stream.emit("run_started", command, cluster=cluster, command=command, aiops=__version__, owner=asdict(owner))
        return journal

    def record(self, events: Sequence[Event]) -> None:
        """Write events, and what follows from them, all or none."""
        from .tables.run import write_event

        with self._store.begin() as connection:
            for event in events:
                write_event(connection, event)

    def end(self, exit_code: int, reason: str = "") -> None:
        """End the run with `exit_code` (0: done, 130 and 143: interrupted, else failed); ending twice is harmless."""
        if self._ended:
            return
        self._ended = True
        status = {0: DONE, 130: INTERRUPTED, 143: INTERRUPTED}.get(exit_code, FAILED)
        kind = "run_interrupted" if status == INTERRUPTED else "run_finished"
        self.stream.emit(kind, reason, status=status, exit=exit_code)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.end(0)
        elif isinstance(error, AiopsError):
            self.end(self._exit_of(error), error.message)
        elif isinstance(error, Exception):
            self.end(70, f"a defect of aiops: {type(error).__name__}")
        else:
            self.end(130 if isinstance(error, KeyboardInterrupt) else 143)
