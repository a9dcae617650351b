"""A run and its journal: what one command did to a cluster, kept so that it outlives the process that did it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self

from aiops import __version__
from aiops.layers.core.clock import rfc3339
from aiops.layers.core.errors import AiopsError, InputError, NotFoundError
from aiops.layers.core.event import Event, EventStream
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.nodeset import expand, fold

from .owner import Owner

RUNNING = "running"
DONE = "done"
FAILED = "failed"
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Run:
    """One command on one cluster.

    Attributes:
        command: What was typed, as words on one line.
        aiops: The version that ran it.
        status: `running`, `done`, `failed` or `interrupted`; the latter also when its process is gone.
        exit: The exit code, once it ended by itself.
        reason: Why it ended, in one line, when there is something to say.
    """

    id: str
    cluster: str
    command: str
    aiops: str
    owner: Owner
    started: datetime
    ended: datetime | None
    status: str
    exit: int | None
    reason: str | None

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "id": self.id,
            "cluster": self.cluster,
            "command": self.command,
            "aiops": self.aiops,
            "user": self.owner.user,
            "host": self.owner.host,
            "pid": self.owner.pid,
            "started": rfc3339(self.started),
            "ended": rfc3339(self.ended) if self.ended else None,
            "status": self.status,
            "exit": self.exit,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What one phase did to one node.

    Attributes:
        outcome: `ok` (nothing to do), `changed`, `failed`, `blocked` (an earlier phase failed there), or `interrupted`
            (the run ended before the phase did).
        seconds: How long that took; None when it was not measured.
        reason: Why it failed, in one line.
    """

    run: str
    phase: str
    node: str
    outcome: str
    seconds: float | None
    reason: str | None
    at: datetime

    def document(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "at": rfc3339(self.at)}


class Journal:
    """The writer of one run: a listener of its event stream, and the two ends of the run.

    Each event is on the disk, together with what follows from it, before the next thing happens; a `kill -9` at any
    point leaves a readable journal.
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
        from .tables import L1

        store.require(L1)
        journal = cls(store, stream, exit_of)
        stream.subscribe(journal.record)
        stream.emit("run_started", command, cluster=cluster, command=command, aiops=__version__, owner=asdict(owner))
        return journal

    def record(self, event: Event) -> None:
        """Write one event, and what follows from it."""
        from .tables import write_event

        with self._store.begin() as connection:
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


class Runs:
    """The reader of all journals in one store."""

    def __init__(self, store: Store) -> None:
        """Make sure that the tables are here.

        Raises:
            ConflictError: A newer aiops has written the store.
        """
        from .tables import L1

        store.require(L1)
        self._store = store

    def newest(self, *, cluster: str | None = None, limit: int | None = None) -> tuple[Run, ...]:
        """Runs, newest first; of one cluster when it is given."""
        from .tables import select_runs

        with self._store.read() as connection:
            return tuple(_run(row._mapping) for row in select_runs(connection, cluster=cluster, limit=limit))  # noqa: SLF001

    def running(self, cluster: str) -> tuple[Run, ...]:
        """Runs on `cluster` that go on now, newest first."""
        from .tables import select_runs

        with self._store.read() as connection:
            rows = list(select_runs(connection, cluster=cluster, status=RUNNING))
        return tuple(run for row in rows if (run := _run(row._mapping)).status == RUNNING)  # noqa: SLF001

    def clusters(self) -> list[str]:
        """The clusters that something was run on, by name."""
        from .tables import select_clusters

        with self._store.read() as connection:
            return select_clusters(connection)

    def find(self, text: str) -> Run:
        """The run called `text`, or the only one whose id starts so (`r-` may be left out).

        Raises:
            NotFoundError: There is none; the nearest is named.
            InputError: Several start so.
        """
        from .tables import select_run, select_run_ids

        prefix = text if text.startswith("r-") else f"r-{text}"
        with self._store.read() as connection:
            found = select_run_ids(connection, prefix)
            if prefix not in found and len(found) != 1:
                raise _several(text, found) if found else _none(text, select_run_ids(connection, ""))
            row = select_run(connection, prefix if prefix in found else found[0])
        assert row is not None  # noqa: S101 - read in the same view
        return _run(row._mapping)  # noqa: SLF001

    def nodes(self, run: str, on: str | None = None) -> tuple[str, ...]:
        """The nodes that `run` concerned, or those of them that the node set `on` names.

        Raises:
            NotFoundError: The run did not concern a node of `on`.
            InputError: `on` is not a node set.
        """
        events = self.events(run)
        begun = {name for event in events if event.kind == "phase_started" for name in event.data.get("nodes", ())}
        known = tuple(sorted(begun | {event.node for event in events if event.node is not None}))
        if on is None:
            return known
        wanted = expand(on)
        for name in wanted:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"its nodes: {fold(known) or 'none'}"
                raise NotFoundError(f"run {run} did not concern `{name}`", code="run.unknown_node", hints=[hint])
        return wanted

    def results(self, run: str) -> tuple[Result, ...]:
        """What each phase did to each node in `run`, in the order it ended."""
        from .tables import select_results

        with self._store.read() as connection:
            return tuple(_result(row._mapping) for row in select_results(connection, run))  # noqa: SLF001

    def cut_off(self, run: str) -> tuple[Result, ...]:
        """The nodes whose phase had begun in `run` and never ended, as `interrupted`, in the order they began."""
        begun: dict[tuple[str, str], datetime] = {}
        for event in self.events(run):
            if event.kind == "phase_started":
                begun |= {(event.data["phase"], node): event.at for node in event.data["nodes"]}
            elif event.kind == "node_finished" and event.node is not None:
                begun.pop((event.data["phase"], event.node), None)
        return tuple(Result(run, phase, node, INTERRUPTED, None, None, at) for (phase, node), at in begun.items())

    def latest_results(self, cluster: str) -> tuple[Result, ...]:
        """For each phase and node of `cluster`, the last result in any run."""
        from .tables import select_latest_results

        with self._store.read() as connection:
            return tuple(_result(row._mapping) for row in select_latest_results(connection, cluster))  # noqa: SLF001

    def machines(self, results: Iterable[Result]) -> dict[tuple[str, str], str]:
        """The machine-id that each node had in the runs that `results` are of, by run and node, where it was told."""
        from .tables import select_machines

        with self._store.read() as connection:
            rows = list(select_machines(connection, {one.run for one in results}))
        return {(row.run, node): machine for row in rows for node, machine in row.data.get("machines", {}).items()}

    def events(self, run: str, *, after: int = 0) -> list[Event]:
        """The events of `run` numbered above `after`, in order."""
        return self._store.events(run, after)


def _run(row: Mapping[str, Any]) -> Run:
    names = ("user", "host", "boot_id", "namespace", "pid", "process_start")
    owner = Owner(run=row["id"], **{name: row[name] for name in names})
    status = row["status"]
    if status == RUNNING and owner.ended():
        status = INTERRUPTED
    return Run(
        row["id"],
        row["cluster"],
        row["command"],
        row["aiops"],
        owner,
        datetime.fromisoformat(row["started"]),
        datetime.fromisoformat(row["ended"]) if row["ended"] else None,
        status,
        row["exit"],
        row["reason"],
    )


def _result(row: Mapping[str, Any]) -> Result:
    return Result(
        row["run"],
        row["phase"],
        row["node"],
        row["outcome"],
        row["seconds"],
        row["reason"],
        datetime.fromisoformat(row["at"]),
    )


def _none(text: str, ids: list[str]) -> NotFoundError:
    near = get_close_matches(text, ids, n=1)
    if near:
        hint = f"did you mean `aiops run show {near[0]}`?"
    else:
        hint = "`aiops run list` shows all runs" if ids else "nothing was deployed from this machine yet"
    return NotFoundError(f"there is no run `{text}`", code="run.not_found", hints=[hint])


def _several(text: str, ids: list[str]) -> InputError:
    shown = ", ".join(ids[:4]) + (f" and {len(ids) - 4} more" if len(ids) > 4 else "")  # noqa: PLR2004
    return InputError(
        f"`{text}` is the start of {len(ids)} runs: {shown}",
        code="run.ambiguous",
        hints=[f"type more of it: `aiops run show {ids[0]}`"],
    )
