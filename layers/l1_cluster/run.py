"""Runs: what was done to a cluster, read from the journals in the store. The writer is `journal`."""

from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches

from aiops.layers.core.errors import InputError, NotFoundError
from aiops.layers.core.event import Event
from aiops.layers.core.store import Store
from aiops.layers.l0_nodes.nodeset import expand, fold

from .journal import Journal
from .run_record import DONE, FAILED, INTERRUPTED, RUNNING, Reach, Result, Run, result_of, run_of

__all__ = ["DONE", "FAILED", "INTERRUPTED", "RUNNING", "Journal", "Reach", "Result", "Run", "Runs"]


class Runs:
    """The reader of all journals in one store."""

    def __init__(self, store: Store) -> None:
        """Make sure that the tables are here.

        Raises:
            ConflictError: A newer aiops has written the store.
        """
        from .tables.run import L1

        store.require(L1)
        self._store = store

    def newest(self, *, cluster: str | None = None, limit: int | None = None) -> tuple[Run, ...]:
        """Runs, newest first; of one cluster when it is given."""
        from .tables.run import select_runs

        with self._store.read() as connection:
            return tuple(run_of(row._mapping) for row in select_runs(connection, cluster=cluster, limit=limit))  # noqa: SLF001

    def of(self, cluster: str, also: Iterable[str] = ()) -> tuple[Run, ...]:
        """The runs on `cluster`, and those whose ids are in `also` though it was called otherwise, oldest first."""
        from .tables.run import select_runs_of

        with self._store.read() as connection:
            return tuple(run_of(row._mapping) for row in select_runs_of(connection, cluster, also))  # noqa: SLF001

    def told(
        self, cluster: str, kinds: Iterable[str], *, also: Iterable[str] = (), since: datetime | None = None
    ) -> list[Event]:
        """The events of some kinds in the runs that `of` gives, since a moment, oldest first."""
        from .tables.run import select_told

        with self._store.read() as connection:
            return list(select_told(connection, cluster, also, kinds, since))

    def recently_told(self, cluster: str, kinds: Iterable[str], since: datetime, *, but: Iterable[str]) -> list[Event]:
        """The events of some kinds on `cluster` since a moment, oldest first, not those of the runs `but`.

        What runs that had ended by then have told is not read, however many they are.
        """
        from .tables.run import select_recent, select_told_by

        with self._store.read() as connection:
            recent = set(select_recent(connection, cluster, since)).difference(but)
            return list(select_told_by(connection, recent, kinds, since, whole=False))

    def begun(self, runs: Iterable[str]) -> list[Event]:
        """What `runs` have planned (`plan_made`) and begun (`phase_started`), oldest first."""
        from .tables.run import select_told_by

        with self._store.read() as connection:
            return list(select_told_by(connection, runs, ("plan_made", "phase_started"), None, whole=True))

    def running(self, cluster: str) -> tuple[Run, ...]:
        """Runs on `cluster` that go on now, newest first."""
        from .tables.run import select_runs

        with self._store.read() as connection:
            rows = list(select_runs(connection, cluster=cluster, status=RUNNING))
        return tuple(run for row in rows if (run := run_of(row._mapping)).status == RUNNING)  # noqa: SLF001

    def clusters(self) -> list[str]:
        """The clusters that something was run on, by name."""
        from .tables.run import select_clusters

        with self._store.read() as connection:
            return select_clusters(connection)

    def find(self, text: str) -> Run:
        """The run called `text`, or the only one whose id starts so (`r-` may be left out).

        Raises:
            NotFoundError: There is none; the nearest is named.
            InputError: Several start so.
        """
        from .tables.run import select_run, select_run_ids

        prefix = text if text.startswith("r-") else f"r-{text}"
        with self._store.read() as connection:
            found = select_run_ids(connection, prefix)
            if prefix not in found and len(found) != 1:
                raise _several(text, found) if found else _none(text, select_run_ids(connection, ""))
            row = select_run(connection, prefix if prefix in found else found[0])
        assert row is not None  # noqa: S101 - read in the same view
        return run_of(row._mapping)  # noqa: SLF001

    def nodes(self, run: str, on: str | None = None) -> tuple[str, ...]:
        """The nodes that `run` concerned, or those of them that the node set `on` names.

        Raises:
            InputError: `on` is not a node set, or the run did not concern a node of it.
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
                raise InputError(f"run {run} did not concern `{name}`", code="run.unknown_node", hints=[hint])
        return wanted

    def results(self, run: str) -> tuple[Result, ...]:
        """What each phase did to each node in `run`, in the order it ended."""
        from .tables.run import select_results

        with self._store.read() as connection:
            return tuple(result_of(row._mapping) for row in select_results(connection, run))  # noqa: SLF001

    def cut_off(self, run: str) -> tuple[Result, ...]:
        """The nodes whose phase had begun in `run` and never ended, as `interrupted`, in the order they began."""
        begun: dict[tuple[str, str], datetime] = {}
        for event in self.events(run):
            if event.kind == "phase_started":
                begun |= {(event.data["phase"], node): event.at for node in event.data["nodes"]}
            elif event.kind == "node_finished" and event.node is not None:
                begun.pop((event.data["phase"], event.node), None)
        return tuple(Result(run, phase, node, INTERRUPTED, None, None, at) for (phase, node), at in begun.items())

    def reach(self, run: str) -> Reach:
        """How far `run`, which was cut off, came."""
        events = self.events(run)
        begun = [event.data["phase"] for event in events if event.kind == "phase_started"]
        phase = begun[-1] if begun else None
        nodes = tuple(one.node for one in self.cut_off(run) if one.phase == phase)
        return Reach(phase, nodes, events[-1].at)

    def latest_results(self, cluster: str) -> tuple[Result, ...]:
        """For each phase and node of `cluster`, the last result in any run."""
        from .tables.run import select_latest_results

        with self._store.read() as connection:
            return tuple(result_of(row._mapping) for row in select_latest_results(connection, cluster))  # noqa: SLF001

    def machines(self, results: Iterable[Result]) -> dict[tuple[str, str], str]:
        """The machine-id that each node had in the runs that `results` are of, by run and node, where it was told."""
        from .tables.run import select_machines

        with self._store.read() as connection:
            rows = list(select_machines(connection, {one.run for one in results}))
        return {(row.run, node): machine for row in rows for node, machine in row.data.get("machines", {}).items()}

    def events(self, run: str, *, after: int = 0) -> list[Event]:
        """The events of `run` numbered above `after`, in order."""
        return self._store.events(run, after)


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
