"""What is remembered of the health of a cluster's nodes: the one door of health to the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiops.layers.core.store import Store
from aiops.layers.core.store.timestamp import from_text, to_text

from .episode import Episode
from .finding import Key
from .past import Past, Sample
from .settling import BOOTS_WINDOW, CURED_BY_BOOT, Settled
from .stretch import GAP, Stretch
from .verdict import Verdict

WINDOW = timedelta(hours=26)
"""For so long changes of counters are kept: longer than the longest window of any check, which is a day."""

FINE = timedelta(hours=3)
"""For so long every change is kept; of what is older one for each hour."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is remembered before an examination.

    Attributes:
        open: Episodes that go on.
        past: Those that a boot was to cure, and that ended within the time in which boots are counted.
        counters: By node.
        stretches: The last one of each node.
    """

    open: Mapping[Key, Episode] = field(default_factory=dict)
    past: tuple[Episode, ...] = ()
    counters: Mapping[str, Past] = field(default_factory=dict)
    stretches: Mapping[str, Stretch] = field(default_factory=dict)
    _rows: Mapping[str, tuple["_Row", ...]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class _Row:
    """A sample as it is kept: the counters that differ from the one before."""

    number: int
    at: datetime
    boot_id: str | None
    counters: Mapping[str, int]


class HealthHistory:
    """The remembered health of one cluster."""

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

    def recall(self, nodes: Sequence[str], at: datetime) -> Recalled:
        """What is remembered of `nodes`."""
        from aiops.layers.l1_cluster.tables import health as tables

        pasts: dict[str, dict[str, list[Sample]]] = {}
        rows: dict[str, list[_Row]] = {}
        with self._store.read() as connection:
            open_ = [_episode(row) for row in tables.select_open(connection, self._cluster, nodes)]
            since = at - BOOTS_WINDOW
            past = [
                _episode(row)
                for row in tables.select_episodes(
                    connection, self._cluster, since, nodes=nodes, actions=sorted(CURED_BY_BOOT)
                )
                if row.ended is not None
            ]
            for row in tables.select_samples(connection, self._cluster, nodes):
                moment = from_text(row.at)
                rows.setdefault(row.node, []).append(_Row(row.id, moment, row.boot_id, row.counters))
                for name, value in row.counters.items():
                    samples = pasts.setdefault(row.node, {}).setdefault(name, [])
                    samples.append(Sample(moment, int(value), row.boot_id))
            stretches = [_stretch(row) for row in tables.select_latest_stretches(connection, self._cluster, nodes)]
        return Recalled(
            {one.key: one for one in open_},
            tuple(past),
            {node: Past({name: tuple(samples) for name, samples in own.items()}) for node, own in pasts.items()},
            {one.node: one for one in stretches},
            {node: tuple(own) for node, own in rows.items()},
        )

    def keep(
        self,
        settled: Settled,
        recalled: Recalled,
        *,
        at: datetime,
        verdicts: Mapping[str, Verdict],
        counters: Mapping[str, Mapping[str, int]],
        boot_ids: Mapping[str, str | None],
    ) -> None:
        """Write down what an examination has come to, all or none.

        Args:
            settled: What was found.
            recalled: What was remembered before it.
            at: When it was.
            verdicts: By node.
            counters: By node that answered.
            boot_ids: Likewise.
        """
        from aiops.layers.l1_cluster.tables import health as tables

        with self._store.begin() as connection:
            tables.insert_episodes(connection, [self._row(one) for one in settled.began])
            for episode in (*settled.went_on, *settled.ended):
                if episode.number is not None:
                    tables.update_episode(connection, episode.number, _alterable(episode))
            self._keep_stretches(connection, recalled, at, verdicts, boot_ids)
            self._keep_counters(connection, recalled, at, counters, boot_ids)

    def episodes(
        self, since: datetime, *, nodes: Sequence[str] | None = None, checks: Sequence[str] | None = None
    ) -> tuple[Episode, ...]:
        """Episodes that were going on at `since` or began later, oldest first."""
        from aiops.layers.l1_cluster.tables import health as tables

        with self._store.read() as connection:
            rows = tables.select_episodes(connection, self._cluster, since, nodes=nodes, checks=checks)
            return tuple(_episode(row) for row in rows)

    def stretches(self, since: datetime, *, nodes: Sequence[str] | None = None) -> tuple[Stretch, ...]:
        """How nodes were since then, oldest first."""
        from aiops.layers.l1_cluster.tables import health as tables

        with self._store.read() as connection:
            return tuple(_stretch(row) for row in tables.select_stretches(connection, self._cluster, since, nodes))

    def latest(self, nodes: Sequence[str] | None = None) -> dict[str, Stretch]:
        """The last stretch of each node."""
        from aiops.layers.l1_cluster.tables import health as tables

        with self._store.read() as connection:
            found = [_stretch(row) for row in tables.select_latest_stretches(connection, self._cluster, nodes)]
        return {one.node: one for one in found}

    def _row(self, episode: Episode) -> dict[str, Any]:
        return {
            "cluster": self._cluster,
            "node": episode.node,
            "check": episode.check,
            "about": episode.about,
            "started": to_text(episode.started),
            "boot_id": episode.boot_id,
            **_alterable(episode),
        }

    def _keep_stretches(
        self,
        connection: Any,
        recalled: Recalled,
        at: datetime,
        verdicts: Mapping[str, Verdict],
        boot_ids: Mapping[str, str | None],
    ) -> None:
        from aiops.layers.l1_cluster.tables import health as tables

        longer: list[int] = []
        new: list[dict[str, Any]] = []
        for node, verdict in verdicts.items():
            before, boot_id = recalled.stretches.get(node), boot_ids.get(node)
            goes_on = (
                before is not None
                and before.number is not None
                and before.verdict == verdict
                and at - before.last <= GAP
                and (boot_id is None or before.boot_id in (None, boot_id))
            )
            if goes_on and before is not None and before.number is not None:
                longer.append(before.number)
                continue
            new.append(
                {
                    "cluster": self._cluster,
                    "node": node,
                    "verdict": verdict,
                    "boot_id": boot_id,
                    "looks": 1,
                    "began": to_text(at),
                    "last": to_text(at),
                }
            )
        tables.lengthen_stretches(connection, longer, at)
        tables.insert_stretches(connection, new)

    def _keep_counters(
        self,
        connection: Any,
        recalled: Recalled,
        at: datetime,
        counters: Mapping[str, Mapping[str, int]],
        boot_ids: Mapping[str, str | None],
    ) -> None:
        from aiops.layers.l1_cluster.tables import health as tables

        rows = []
        for node, found in counters.items():
            past, boot_id = recalled.counters.get(node, Past()), boot_ids.get(node)
            changed = {name: value for name, value in found.items() if past.last(name) != (value, boot_id)}
            if changed:
                rows.append(self._sample(node, at, boot_id, changed))
            self._fold(connection, recalled, node, at)
        tables.insert_samples(connection, rows)

    def _fold(self, connection: Any, recalled: Recalled, node: str, at: datetime) -> None:
        """Put one sample in the place of those of one hour, and of all that are older than any window."""
        from aiops.layers.l1_cluster.tables import health as tables

        for several in _foldable(recalled._rows.get(node, ()), at):  # noqa: SLF001 - its own
            counters = {name: value for row in several for name, value in row.counters.items()}
            last = several[-1]
            sample = self._sample(node, last.at, last.boot_id, counters)
            tables.replace_samples(connection, [row.number for row in several], sample)

    def _sample(self, node: str, at: datetime, boot_id: str | None, counters: Mapping[str, int]) -> dict[str, Any]:
        return {
            "cluster": self._cluster,
            "node": node,
            "at": to_text(at),
            "boot_id": boot_id,
            "counters": dict(counters),
        }


def _foldable(rows: Sequence[_Row], at: datetime) -> list[list[_Row]]:
    """Rows that one can stand for, oldest first. Pure.

    Rows of different boots are not put together while the window is open: a counter may have begun anew in between.
    """
    groups: dict[tuple[str, int, str | None], list[_Row]] = {}
    for row in rows:
        age = at - row.at
        if age > WINDOW:
            groups.setdefault(("base", 0, None), []).append(row)
        elif age > FINE:
            groups.setdefault(("hour", int(row.at.timestamp() // 3600), row.boot_id), []).append(row)
    return [several for several in groups.values() if len(several) > 1]


def _alterable(episode: Episode) -> dict[str, Any]:
    return {
        "verdict": episode.verdict,
        "message": episode.message,
        "evidence": dict(episode.evidence),
        "action": episode.action,
        "owner": episode.owner,
        "counted": int(episode.counted),
        "looks": episode.looks,
        "seen": to_text(episode.seen),
        "ended": None if episode.ended is None else to_text(episode.ended),
    }


def _episode(row: Any) -> Episode:
    return Episode(
        row.node,
        row.check,
        row.about,
        row.verdict,
        row.message,
        from_text(row.started),
        from_text(row.seen),
        row.evidence,
        row.action,
        row.owner,
        bool(row.counted),
        row.boot_id,
        row.looks,
        None if row.ended is None else from_text(row.ended),
        row.id,
    )


def _stretch(row: Any) -> Stretch:
    return Stretch(row.node, row.verdict, from_text(row.began), from_text(row.last), row.looks, row.boot_id, row.id)
