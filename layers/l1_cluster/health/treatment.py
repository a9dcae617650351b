"""The treatment: repairs are done, a few nodes at a time, and each node is looked at afresh before it works again.

Everything is written down before it is done, under the cluster's lock: a run that is killed at any point is taken up by
the same command. One node's failure is a value, and stops no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiops.layers.l0_nodes.facts import Facts
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.admission import admit
from aiops.layers.l1_cluster.draining import standings
from aiops.layers.l1_cluster.gate import STALE
from aiops.layers.l1_cluster.patience import PatientLock
from aiops.layers.l1_cluster.returning import REBOOT_STARTED

from .aftercare import Aftercare
from .attempt import PLAYED, UNDONE
from .casebook import PHASE, Casebook, Room, Treated
from .hold_reason import POLICY
from .remedy import Case, Remedy
from .repair_playbook import write_step
from .repairable import refusal
from .verdict import Action


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a step failed on a node.

    Attributes:
        done: Whether it was done there nevertheless, or something of it may have been: then it has not helped.
    """

    reason: str
    done: bool = True


class Treatment:
    """Treats nodes, in one run."""

    def __init__(self, room: Room, cases: Mapping[str, Case], facts: Mapping[str, Facts], *, wished: bool) -> None:
        """Prepare it.

        Args:
            room: What it reaches the world through.
            cases: What is known of the nodes.
            facts: What they said before.
            wished: Whether a person has named the step.
        """
        self._room = room
        self._book = Casebook(room, cases)
        self._facts = dict(facts)
        self._wished = wished
        self._lock = PatientLock(room.lock, room.clock, room.events)
        self._aftercare = Aftercare(self._book, self._lock)

    def treat(self, nodes: Sequence[Node], remedies: Mapping[str, Remedy], at_once: int) -> dict[str, Treated]:
        """Do the remedies of `nodes`; what has become of each.

        Args:
            nodes: Those that have a step.
            remedies: By node.
            at_once: How many are worked on at the same time.

        Raises:
            ConflictError: The cluster lock was lost.
            FailedError: Its keeper does not answer, or the store cannot be written.
        """
        for start in range(0, len(nodes), at_once):
            self._lock.guard()
            self._wave(nodes[start : start + at_once], remedies)
        return {node.name: self._book.ended[node.name] for node in nodes}

    def _wave(self, wave: Sequence[Node], remedies: Mapping[str, Remedy]) -> None:
        nodes = self._still_ours(wave, remedies)
        for node in nodes:
            if remedies[node.name].step == "service":
                self._retire(remedies[node.name])
        played = [node for node in nodes if remedies[node.name].step in PLAYED]
        admitted = self._admitted(played, remedies)
        for step in PLAYED:
            several = [node for node in admitted if remedies[node.name].step == step]
            if several:
                self._play(step, several, remedies)
        left = [node for node in nodes if node.name not in self._book.ended]
        if left:
            self._aftercare.look_after(left, remedies)

    def _still_ours(self, nodes: Sequence[Node], remedies: Mapping[str, Remedy]) -> list[Node]:
        """Those of `nodes` that may still be repaired: the waves before took hours, and anybody may work on them."""
        found, states = standings(self._room.workloads, nodes), self._room.register.states()
        for node in nodes:
            name = node.name
            self._book.see(name, states.get(name, self._book.states[name]), found.get(name))
            refused = refusal(name, self._book.states[name], found.get(name))
            if refused is None and self._room.actor == POLICY and not self._book.is_of_policy(name):
                refused = "a person has taken it over", f"`aiops node repair {name}`"
            if refused is not None:
                why, hint = refused
                step = remedies[name].step or "none"
                self._book.end(Treated(name, step, "failed", f"nothing was done: {why}", hint))
        return [node for node in nodes if node.name not in self._book.ended]

    def _retire(self, remedy: Remedy) -> None:
        name = remedy.node
        self._book.enter(name, "rma", remedy.cause, remedy.finding)
        words, hint = f"it is for service: {remedy.why}", f"once it is back and in order: `aiops node resume {name}`"
        self._room.events.emit("node_retired", words, node=name, phase=PHASE, finding=remedy.finding or None)
        self._book.end(Treated(name, "service", "rma", words, hint, self._wished))

    def _admitted(self, nodes: Sequence[Node], remedies: Mapping[str, Remedy]) -> list[Node]:
        """Those of `nodes` that let our steps through."""
        if not nodes:
            return []
        errors = admit(self._room.gate, self._lock, nodes)
        if any(error.code == STALE for error in errors.values()):
            self._lock.confirm()
        for name, error in errors.items():
            step = remedies[name].step or "none"
            hint = "; ".join(error.hints) or f"once it answers: `aiops node repair {name}`"
            self._book.end(Treated(name, step, "failed", f"nothing was done: {error.message}", hint))
        return [node for node in nodes if node.name not in errors]

    def _play(self, step: Action, nodes: Sequence[Node], remedies: Mapping[str, Remedy]) -> None:
        """Take a step on nodes; those on which it fails stay drained."""
        room = self._room
        for node in nodes:
            remedy = remedies[node.name]
            self._book.enter(node.name, "repairing", remedy.cause, remedy.finding)
            told = {"step": step, "finding": remedy.finding or None, "resumed": remedy.resumed}
            room.events.emit("repair_started", remedy.cause, node=node.name, phase=PHASE, **told)
        due = [node for node in nodes if step != "reboot" or not self._has_booted(node.name)]
        failures = self._run(step, due, remedies) if due else {}
        if step == "reboot":
            failures = self._unbooted(nodes, failures)
            self._aftercare.rebooted |= {node.name for node in due}
        for name, one in failures.items():
            words = f"{step} failed: {one.reason}"
            self._book.give_up(name, step, words if one.done else f"{UNDONE}: {words}")

    def _run(self, step: Action, nodes: Sequence[Node], remedies: Mapping[str, Remedy]) -> dict[str, _Failure]:
        """Run the playbook; by node, why it failed there."""
        room = self._room
        if step == "reboot":
            for node in nodes:
                boot_id = self._facts[node.name].boot_id
                room.events.emit(REBOOT_STARTED, node=node.name, phase=PHASE, boot_id=boot_id)
        hosts = write_step(room.private, step, {node.name: remedies[node.name] for node in nodes}, self._lock.epoch)
        played = room.playbook(step).apply(f"{PHASE}-{step}", hosts, cancel=self._lock.lost.is_set)
        if self._lock.lost.is_set():
            self._lock.guard()
        failures = {node.name: _Failure(played.trouble, done=False) for node in nodes if played.trouble is not None}
        return failures | {
            name: _Failure(one.reason, done=not one.unreachable) for name, one in played.failures.items()
        }

    def _has_booted(self, name: str) -> bool:
        """Whether a reboot that a run before this one has begun is done already."""
        before, now = self._room.booted.get(name), self._facts[name].boot_id
        if before is None or now is None or before == now:
            return False
        self._facts[name] = replace(self._facts[name], boot_id=before)
        return True

    def _unbooted(self, nodes: Sequence[Node], failures: Mapping[str, _Failure]) -> dict[str, _Failure]:
        """Those of `nodes` that were to reboot and did not, or do not answer; and what has failed before on others."""
        after = self._room.facts(nodes)
        found = dict(failures)
        for node in nodes:
            name, before = node.name, self._facts[node.name].boot_id
            boot_id = after[name].boot_id if name in after else None
            if name in failures:
                known = boot_id is not None and before is not None
                found[name] = replace(failures[name], done=boot_id != before if known else failures[name].done)
            elif name not in after:
                found[name] = _Failure("it does not answer since")
            elif boot_id in {None, before}:
                reason = "it was to reboot and did not (its boot id is the same)"
                found[name] = _Failure(reason, done=boot_id is None)
            else:
                self._room.events.emit("reboot_finished", node=name, phase=PHASE)
        return found
