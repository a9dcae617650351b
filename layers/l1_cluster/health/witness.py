"""Asking Prometheus beside the probe: at most a few seconds, and never a reason for a round to fail or to wait."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiops.layers.core.clock import Clock
from aiops.layers.core.errors import AiopsError, FailedError, InputError, UnreachableError
from aiops.layers.l0_nodes.fleet import Fleet
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.metrics import PORT, Sample, prometheus, query, running_for

from .series import NodeMetrics, Series, combined, named, not_told, refused, told, watched
from .settling import GRACE

SECONDS = 5.0
"""After so long a round goes on without Prometheus."""

_DIRECT_SECONDS = 1.5
"""To find out whether there is a route to it; the relay takes the rest."""

_ANSWER_SECONDS = 3.0

_START_SECONDS = GRACE.total_seconds()
"""For so long one that was started need not have watched a node."""


@dataclass(frozen=True, slots=True)
class Witness:
    """The Prometheus of a cluster.

    Attributes:
        head: The node that it runs on.
        cluster: The label `cluster` of its targets.
        port: Where it listens.
    """

    fleet: Fleet
    head: Node
    cluster: str
    clock: Clock
    port: int = PORT

    def ask(self, series: Sequence[Series]) -> "Testimony":
        """Begin to ask, in a thread of its own."""
        return Testimony(self, tuple(series))

    def hear(self, series: Sequence[Series]) -> dict[str, NodeMetrics]:
        """What it tells of each node; nothing while it has only just started and has watched none yet.

        Raises:
            AiopsError: It cannot be asked.
        """
        transport = self.fleet.transport(self.head)
        address = self.head.connection.address
        with prometheus(transport, address, port=self.port, timeout=_DIRECT_SECONDS) as url:
            unread: dict[str, str] = {}
            try:
                samples = query(url, combined(series), timeout=_ANSWER_SECONDS)
            except InputError:  # one of them is wrong, perhaps a plugin's: it must not cost the others
                samples, unread = _one_by_one(url, series)
            if not watched(samples, self.cluster) and _has_just_started(url):
                return {}
        return told(samples, self.cluster, self.head.name, unread)


class Testimony:
    """An answer of Prometheus that is under way."""

    def __init__(self, witness: Witness, series: tuple[Series, ...]) -> None:
        self._witness = witness
        self._series = series
        self._begun = witness.clock.monotonic()
        self._found: Mapping[str, NodeMetrics] | None = None
        self._thread = threading.Thread(target=self._hear, name="witness", daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        try:
            self._found = self._witness.hear(self._series)
        except AiopsError as error:
            self._found = not_told(self._witness.head.name, error)
        except Exception as error:  # noqa: BLE001 - a defect of ours here must not cost the round
            self._found = not_told(
                self._witness.head.name, FailedError(f"asking it failed: {error!r}", code="metrics.not_prometheus")
            )

    def taken(self) -> Mapping[str, NodeMetrics]:
        """What is told by node, once it is there or the time is over."""
        self._thread.join(max(0.0, SECONDS - (self._witness.clock.monotonic() - self._begun)))
        if self._found is None:
            late = UnreachableError(f"it did not answer within {SECONDS:g} s", code="metrics.unreachable")
            self._found = not_told(self._witness.head.name, late)
        return self._found


def _has_just_started(url: str) -> bool:
    """Whether it has; one that does not say has not."""
    try:
        return running_for(url, timeout=_ANSWER_SECONDS) < _START_SECONDS
    except AiopsError:
        return False


def _one_by_one(url: str, series: Sequence[Series]) -> tuple[tuple[Sample, ...], dict[str, str]]:
    samples: list[Sample] = []
    unread: dict[str, str] = {}
    for one in series:
        try:
            samples += named(one, query(url, one.promql, timeout=_ANSWER_SECONDS))
        except InputError as error:
            unread |= refused((one,), error)
    return tuple(samples), unread
