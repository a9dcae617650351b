"""Taking nodes out of service and giving them back: first written down, then done, under the cluster's lock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aiops.layers.core.clock import Clock
from aiops.layers.core.event import EventStream
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.doors import HeldLock
from aiops.layers.l1_cluster.draining import Workload

from .node_state import NodeState, StateChange
from .register import Register

_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a node is drained.

    Attributes:
        reason: As whoever runs work there keeps it; it begins with `draining.PREFIX`.
        words: The same for people.
        finding: The check behind it; empty where there is none.
    """

    reason: str
    words: str
    finding: str = ""


class Withdrawal:
    """Takes out of service and gives back, for one actor in one run."""

    def __init__(
        self,
        register: Register,
        workloads: Sequence[Workload],
        events: EventStream,
        *,
        lock: HeldLock,
        clock: Clock,
        actor: str,
    ) -> None:
        self._register = register
        self._workloads = workloads
        self._events = events
        self._lock = lock
        self._clock = clock
        self._actor = actor

    def drain(
        self,
        nodes: Sequence[Node],
        causes: Mapping[str, Cause],
        states: Mapping[str, NodeState],
        served: Collection[str],
    ) -> None:
        """Give `nodes` no new work.

        Args:
            nodes: The nodes.
            causes: Why, by node.
            states: What each is now.
            served: Names of those that somebody gives work to; the others are drained with the word.

        Raises:
            ConflictError: The cluster lock is another's by now.
            UnreachableError: Whoever runs work there cannot be reached.
            FailedError: They refuse.
        """
        self._enter(nodes, states, "draining", {name: (cause.words, cause.finding) for name, cause in causes.items()})
        idle = [node for node in nodes if node.name not in served]
        self._enter(
            idle, dict.fromkeys(causes, "draining"), "drained", dict.fromkeys(causes, ("nobody gives it work", ""))
        )
        by_reason: dict[str, list[Node]] = {}
        for node in nodes:
            reason = causes[node.name].reason[:_REASON_LENGTH]
            self._events.emit("node_draining", causes[node.name].words, node=node.name, phase="health", reason=reason)
            if node.name in served:
                by_reason.setdefault(reason, []).append(node)
        for reason, several in by_reason.items():
            for workload in self._workloads:
                self._lock.guard()
                workload.drain(several, reason, self._lock.epoch)

    def readmit(self, nodes: Sequence[Node], cause: str, states: Mapping[str, NodeState]) -> None:
        """Write down of those of `nodes` that are out for service that they are back, drained as before."""
        back = [node for node in nodes if states.get(node.name) == "rma"]
        self._enter(back, states, "drained", {node.name: (cause, "") for node in back})

    def resume(
        self, nodes: Sequence[Node], cause: str, states: Mapping[str, NodeState], served: Collection[str]
    ) -> None:
        """Give `nodes` work again.

        Args:
            nodes: The nodes.
            cause: Why, for the register.
            states: What each is now.
            served: Names of those that somebody gives work to.

        Raises:
            ConflictError: The cluster lock is another's by now.
            UnreachableError: Whoever runs work there cannot be reached.
            FailedError: They refuse.
        """
        ours = [node for node in nodes if node.name in served]
        for workload in self._workloads if ours else ():
            self._lock.guard()
            workload.resume(ours, self._lock.epoch)
        self._enter(nodes, states, "ready", {node.name: (cause, "") for node in nodes})
        for node in nodes:
            self._events.emit("node_resumed", cause, node=node.name)

    def _enter(
        self,
        nodes: Sequence[Node],
        states: Mapping[str, NodeState],
        after: NodeState,
        causes: Mapping[str, tuple[str, str]],
    ) -> None:
        at = self._clock.now()
        self._register.enter(
            StateChange(
                node.name,
                at,
                states.get(node.name, "new"),
                after,
                *causes[node.name],
                self._actor,
                self._events.run,
            )
            for node in nodes
            if states.get(node.name, "new") != after
        )
