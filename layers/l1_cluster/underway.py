"""What the parts of one deploy share: who it is about, what is known, what has become of every node."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiops.layers.core.errors import AiopsError
from aiops.layers.core.event import EventStream
from aiops.layers.l0_nodes.node import Node

from .audit import SIGHT_LOST
from .change import Change
from .decision import wants_reboot
from .doors import Doors, Request
from .draining import Draining
from .holding import Reboots
from .ledger import Entry, Ledger
from .loss import Loss
from .phase import Phase
from .reboot import at_once
from .secrets import Secrets
from .step import Beginning, Step
from .survey import Survey
from .work import Work, work_of


class Underway:
    """One deploy under way.

    Attributes:
        planned: What the plan said, by phase and node.
        rebooted: Nodes that this deploy has rebooted; none is a second time.
        reboots: Those who run work on the nodes are asked before any is rebooted.
        losses: Nodes that failed after they had been reached, by name; they are asked again at the end.
        at_work: Nodes that work was begun on, and not looked at since.
        admitted: Nodes whose gate has let this deploy through.
        driven: Nodes whose driver was changed since they last told of their devices.
        seen_last: Nodes that were looked at as a whole after the last phase had changed them.
    """

    def __init__(self, request: Request, doors: Doors, secrets: Secrets, events: EventStream) -> None:
        self.request = request
        self.doors = doors
        self.secrets = secrets
        self.events = events
        self.survey = Survey(
            request.inventory, request.phases, doors.prober, secrets, bundle=request.bundle, memory=doors.memory
        )
        self.ledger = Ledger()
        self.planned: dict[tuple[str, str], tuple[Change, ...]] = {}
        self.rebooted: set[str] = set()
        self.reboots = Reboots(
            Draining(doors.workloads, events),
            doors.clock,
            request.inventory.nodes,
            drain_seconds=request.drain_seconds,
            batch=request.batch.of if request.batch is not None else at_once,
        )
        self.losses: dict[str, Loss] = {}
        self.at_work: set[str] = set()
        self.admitted: set[str] = set()
        self.driven: set[str] = set()
        self.seen_last: set[str] = set()
        self._refreshed: set[str] = set()

    @property
    def living(self) -> list[Node]:
        """The chosen nodes that have not failed."""
        return [node for node in self.request.nodes if self.ledger.failure(node.name) is None]

    def step(self, phase: str, title: str, nodes: Collection[str]) -> Step:
        """The two ends of a phase, as events."""
        return Step(self.events, self.doors.clock, self.ledger, Beginning(phase, title, list(nodes)))

    def enter(self, entry: Entry) -> None:
        """Write down what became of a node; that its name leads the reason says nothing more."""
        entry = replace(entry, reason=entry.reason.removeprefix(f"{entry.node}: "))
        self.ledger.add(entry)
        self._tell(entry)

    def amend(self, entry: Entry) -> None:
        """Write down that more is known of a node's failure now."""
        self.ledger.amend(entry)
        self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        values: dict[str, Any] = {key: value for key, value in entry.document().items() if key != "node"}
        self.events.emit("node_finished", entry.reason, node=entry.node, **values)

    def fail(self, phase: str, errors: Mapping[str, AiopsError]) -> None:
        """Write down nodes that could not be looked at, or worked out, in `phase`."""
        for name, error in errors.items():
            details = "".join(f"; {problem}" for problem in error.problems)
            self.enter(Entry(phase, name, "failed", 0.0, f"{error.message}{details}"))

    def cut_off(self, phase: str, reason: str) -> None:
        """Write down nodes that `phase` was at work on when it was ended, and why it was."""
        for name in sorted(self.at_work):
            self.tell_lost(name, phase)
            self.enter(Entry(phase, name, "failed", 0.0, f"it was cut off in its work: {reason}"))
        self.at_work.clear()

    def tell_lost(self, node: str, phase: str) -> None:
        """Write down that work was begun on a node, and that nobody could look at what came of it."""
        self.events.emit(SIGHT_LOST, "lost: what was changed by then is not known", node=node, phase=phase)

    def here(self, node: str) -> bool:
        """Whether a node is the machine that aiops runs on."""
        return self.doors.here is not None and self.survey.facts[node].boot_id == self.doors.here[1]

    def reboots_now(self, node: Node, changes: Sequence[Change], remaining: Sequence[str]) -> bool:
        """One reboot per node and deploy, in the last of `remaining` that needs it; never the machine we run on.

        Args:
            node: The node.
            changes: What differs on it in the phase at hand.
            remaining: The phases that are still to come, that one first.
        """
        if not wants_reboot(changes) or node.name in self.rebooted or self.here(node.name):
            return False
        return not any(wants_reboot(self.survey.differences(later, node.name)) for later in remaining[1:])

    def work(self, phase: Phase, node: Node, changes: Sequence[Change], *, reboot: bool) -> Work:
        """What Ansible is given to do for `phase` on `node`."""
        return work_of(
            phase.name,
            self.survey.resources(phase.name, node.name),
            changes,
            refresh=node.name not in self._refreshed,
            reboot=reboot,
        )

    def note_refreshed(self, works: Mapping[str, Work], failed: Collection[str] = ()) -> None:
        """Remember where apt's lists are fresh after `works`, and where their sources have changed since."""
        for name, work in works.items():
            if work.touches_sources:
                self._refreshed.discard(name)
            elif work.variables["packages"] and name not in failed:
                self._refreshed.add(name)


Since = Callable[[], float]
"""Tells the seconds since a step began."""
