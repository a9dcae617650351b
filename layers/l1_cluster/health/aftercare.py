"""The aftercare: nodes that were repaired are looked at afresh, and the well ones are given back."""

from collections.abc import Collection, Mapping, Sequence

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.draining import standings
from aiops.layers.l1_cluster.patience import PatientLock
from aiops.layers.l1_cluster.reboot import RETURN_SECONDS

from .attempt import PLAYED
from .casebook import Casebook, Look, Treated
from .episode import Episode
from .node_state import NodeState
from .remedy import Remedy, told_of
from .verdict import Action
from .withdrawal import Withdrawal

VALIDATE_SECONDS = 120.0
"""How long it may be unknown after a repair how a node is, before it is given up: services start within less."""

_STEP_SECONDS = 5.0


class Aftercare:
    """Looks after nodes, in one run."""

    def __init__(self, book: Casebook, lock: PatientLock) -> None:
        self._book = book
        self._lock = lock
        self.rebooted: set[str] = set()
        """Nodes that were rebooted: whoever gives them work must have heard of them since."""

    def look_after(self, nodes: Sequence[Node], remedies: Mapping[str, Remedy]) -> None:
        """Look at nodes afresh until it is known how they are; the well ones are given back."""
        book, room = self._book, self._book.room
        for node in nodes:
            remedy = remedies[node.name]
            book.enter(node.name, "validating", f"{remedy.step}: looked at afresh", remedy.finding)
        repaired = {node.name: room.clock.now() for node in nodes if remedies[node.name].step in PLAYED}
        deadline = room.clock.monotonic() + VALIDATE_SECONDS
        pending, well = list(nodes), []
        while pending:
            self._lock.guard()
            look = room.look(pending, repaired)
            late = room.clock.monotonic() >= deadline
            unsure = [node for node in pending if self._unsure(node.name, look)]
            known = [node for node in pending if late or node not in unsure]
            well += [node for node in known if self._is_well(node, remedies[node.name], look)]
            pending = [] if late else unsure
            if pending:
                room.clock.sleep(_STEP_SECONDS)
        self._release(well, remedies)

    def _unsure(self, name: str, look: Look) -> bool:
        """Whether a later look may tell more: not all could be read, or what is still there only starts yet."""
        verdict = look.verdicts.get(name, "unknown")
        return verdict == "unknown" or (verdict != "critical" and bool(_critical(name, look)))

    def _is_well(self, node: Node, remedy: Remedy, look: Look) -> bool:
        """Whether a node is; one that is not is given up."""
        name, step, verdict = node.name, remedy.step or "none", look.verdicts.get(node.name, "unknown")
        left = _critical(name, look)
        if not left and verdict in {"ok", "warn"}:
            return True
        episodes = [one for one in look.episodes.get(name, ()) if one.counted]
        worst = next(iter(left or [one for one in episodes if one.verdict == "unknown"]), None)
        told = "" if worst is None else f": {told_of(worst)}"
        why = "something is critical" if verdict == "critical" else "it is not known how it is"
        self._book.give_up(name, step, f"after {step} {why}{told}", episodes)
        return False

    def _release(self, nodes: Sequence[Node], remedies: Mapping[str, Remedy]) -> None:
        """Give nodes back that are well, those that were drained for their health; they are all waited for at once."""
        book, room = self._book, self._book.room
        steps: dict[str, Action] = {node.name: remedies[node.name].step or "none" for node in nodes}
        late = self._unheard([node for node in nodes if node.name in self.rebooted])
        found = standings(room.workloads, nodes) if nodes else {}
        for node in nodes:
            book.see(node.name, book.states[node.name], found.get(node.name))  # somebody may have taken it over
        kept = [node for node in nodes if not book.is_of_policy(node.name)]
        for node in kept:
            book.enter(node.name, "drained", "it is well; a person has drained it and gives it back")
            hint = f"give it back: `aiops node resume {node.name}`"
            book.end(Treated(node.name, steps[node.name], "kept", "it is well", hint))
        ours = [node for node in nodes if node not in kept]
        self._fail([node for node in ours if node in late], steps, "whoever gives it work has not heard of it since")
        self._resume([node for node in ours if node not in late], steps, found)

    def _resume(self, nodes: Sequence[Node], steps: Mapping[str, Action], served: Collection[str]) -> None:
        if not nodes:
            return
        room = self._book.room
        withdrawal = Withdrawal(
            room.register, room.workloads, room.events, lock=room.lock, clock=room.clock, actor=room.actor
        )
        was: dict[str, NodeState] = {node.name: "validating" for node in nodes}
        try:
            withdrawal.resume(nodes, "well again after its repair", was, served)
        except AiopsError as error:
            self._fail(nodes, steps, f"could not be given back: {error.message}")
            return
        for node in nodes:
            self._book.states[node.name] = "ready"
            self._book.end(Treated(node.name, steps[node.name], "well", "it is well, and is given work again"))

    def _fail(self, nodes: Sequence[Node], steps: Mapping[str, Action], why: str) -> None:
        for node in nodes:
            self._book.give_up(node.name, steps[node.name], f"{steps[node.name]}: it is well, and {why}", ())

    def _unheard(self, nodes: Sequence[Node]) -> list[Node]:
        """Those of `nodes` of whose reboot whoever gives them work has not heard in time."""
        clock, workloads = self._book.room.clock, self._book.room.workloads
        before = {node.name: one.session for node in nodes if (one := self._book.cases[node.name].standing) is not None}
        waiting = [node for node in nodes if node.name in before]
        deadline = clock.monotonic() + RETURN_SECONDS
        while waiting:
            now = standings(workloads, waiting)
            waiting = [
                node for node in waiting if node.name in now and now[node.name].session in {None, before[node.name]}
            ]
            if clock.monotonic() >= deadline:
                break
            if waiting:
                clock.sleep(_STEP_SECONDS)
        return waiting


def _critical(name: str, look: Look) -> list[Episode]:
    return [one for one in look.episodes.get(name, ()) if one.counted and one.verdict == "critical"]
