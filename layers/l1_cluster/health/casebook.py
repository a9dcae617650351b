"""The casebook: what a treatment reaches the world through, and how it writes down what becomes of each node."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from aiops.layers.core.clock import Clock
from aiops.layers.core.event import Event, EventStream
from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.doors import Applier, HeldLock
from aiops.layers.l1_cluster.draining import Standing, Workload
from aiops.layers.l1_cluster.gate import Gate
from aiops.layers.l1_cluster.returning import REBOOT_STARTED

from .attempt import WINDOW
from .episode import Episode
from .node_state import NodeState, StateChange
from .register import Register
from .remedy import Case, remedy_of
from .repairable import of_policy, way_to_drained
from .verdict import Action, Verdict

PHASE = "repair"
"""What events of repairs call it."""


@dataclass(frozen=True, slots=True)
class Look:
    """How nodes are, seen after their repair.

    Attributes:
        verdicts: By node.
        episodes: By node, those that go on.
    """

    verdicts: Mapping[str, Verdict]
    episodes: Mapping[str, Sequence[Episode]]


@dataclass(frozen=True, slots=True)
class Room:
    """What a treatment reaches the world through; tests give it others.

    Attributes:
        playbook: Who runs the playbook of a step.
        private: A private directory.
        facts: Asks nodes anew; one that does not answer is not in it.
        look: Makes an examination of nodes that were repaired at the given times, and remembers it.
        booted: By node, the boot before a reboot that a run before this one has begun.
        on_done: Told of each node that has come to its end, and whether it failed.
    """

    register: Register
    workloads: Sequence[Workload]
    events: EventStream
    lock: HeldLock
    gate: Gate
    clock: Clock
    actor: str
    private: Path
    playbook: Callable[[Action], Applier]
    facts: Callable[[Sequence[Node]], Mapping[str, Facts]]
    look: Callable[[Sequence[Node], Mapping[str, datetime]], Look]
    booted: Mapping[str, str | None] = field(default_factory=dict)
    on_done: Callable[[str, bool], None] | None = None


@dataclass(frozen=True, slots=True)
class Treated:
    """What has become of a node.

    Attributes:
        outcome: `well`: it works again; `kept`: it is well and stays drained, for a person has drained it; `rma`: it is
            for service; `failed`: it stays drained.
        words: What happened, in a line.
        hint: What to type next; empty for nothing.
        asked: Whether a person asked for service, so that nothing has failed.
    """

    node: str
    step: Action
    outcome: Literal["well", "kept", "rma", "failed"]
    words: str
    hint: str = ""
    asked: bool = False

    @property
    def failed(self) -> bool:
        """Whether the node is not as it was to become."""
        return self.outcome == "failed" or (self.outcome == "rma" and not self.asked)


class Casebook:
    """Writes down, for one run, what becomes of nodes: every change before anything is done for it."""

    def __init__(self, room: Room, cases: Mapping[str, Case]) -> None:
        self.room = room
        self.cases = dict(cases)
        self.states: dict[str, NodeState] = {name: case.state for name, case in cases.items()}
        self.ended: dict[str, Treated] = {}

    def see(self, name: str, state: NodeState, standing: Standing | None) -> None:
        """Remember how a node stands now; it was drained by hand or given back since its case was read."""
        self.states[name] = state
        self.cases[name] = replace(self.cases[name], state=state, standing=standing)

    def is_of_policy(self, name: str) -> bool:
        """Whether a node was drained for its health, so that the policy works on it and gives it back."""
        return of_policy(self.cases[name].standing, self.cases[name].changes)

    def enter(self, name: str, after: NodeState, cause: str, finding: str = "") -> None:
        """Write down that a node becomes `after`, by way of what it has become by itself since; or is so already."""
        at, before, changes = self.room.clock.now(), self.states[name], []
        way = () if before == after else (*way_to_drained(before), after)
        for state in dict.fromkeys(way):
            change = StateChange(name, at, before, state, cause, finding, self.room.actor, self.room.events.run)
            changes.append(change)
            before = state
        self.room.register.enter(changes)
        self.states[name] = before

    def give_up(self, name: str, step: Action, words: str, episodes: Sequence[Episode] | None = None) -> None:
        """Put a node back to drained, and tell what comes next.

        Args:
            name: The node's.
            step: What was tried.
            words: Why it is given up.
            episodes: What goes on there; None: what was known before.
        """
        self.enter(name, "drained", words)
        case, now = self.cases[name], self.room.clock.now()
        changes = self.room.register.changes(now - WINDOW, [name])
        known = case.episodes if episodes is None else episodes
        then = remedy_of(Case(name, now, "drained", case.standing, known, changes, case.means))
        following = f"`aiops node repair {name}`"
        hint = then.hint if then.well or then.held else f"once that is mended: {following}"
        hint = f"the next step is {then.step}: {following}" if then.step else hint
        self.end(Treated(name, step, "failed", words, hint))

    def end(self, treated: Treated) -> None:
        """Remember what has become of a node, and tell it."""
        self.ended[treated.node] = treated
        data = {"phase": PHASE, "step": treated.step, "outcome": treated.outcome}
        self.room.events.emit("repair_finished", treated.words, node=treated.node, **data)
        if self.room.on_done is not None:
            self.room.on_done(treated.node, treated.failed)


def boots_before(events: Iterable[Event]) -> dict[str, str | None]:
    """By node, the boot in which a run has begun to reboot it, whether or not that came to an end. Pure."""
    return {one.node: one.data.get("boot_id") for one in events if one.kind == REBOOT_STARTED and one.node is not None}
