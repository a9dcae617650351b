"""The aftercare: nodes that were repaired are looked at afresh, and the well ones are given back."""

from collections.abc import Mapping, Sequence

from aiops.layers.core.errors import AiopsError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.draining import Standing, standings
from aiops.layers.l1_cluster.patience import PatientLock
from aiops.layers.l1_cluster.reboot import RETURN_SECONDS

from .attempt import PLAYED
from .casebook import Casebook, Look, Treated
from .episode import Episode
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
        pending = list(nodes)
        while pending:
            self._lock.guard()
            look = room.look(pending, repaired)
            late = room.clock.monotonic() >= deadline
            unsure = [node for node in pending if self._unsure(node.name, look)]
            for node in pending:
                if node not in unsure or late:
                    self._judge(node, remedies[node.name], look)
            pending = [] if late else unsure
            if pending:
                room.clock.sleep(_STEP_SECONDS)

    def _unsure(self, name: str, look: Look) -> bool:
        """Whether a later look may tell more: not all could be read, or what is still there only starts yet."""
        verdict = look.verdicts.get(name, "unknown")
        return verdict == "unknown" or (verdict != "critical" and bool(_critical(name, look)))

    def _judge(self, node: Node, remedy: Remedy, look: Look) -> None:
        name, step, verdict = node.name, remedy.step or "none", look.verdicts.get(node.name, "unknown")
        left = _critical(name, look)
        if not left and verdict in {"ok", "warn"}:
            self._release(node, step)
            return
        episodes = [one for one in look.episodes.get(name, ()) if one.counted]
        worst = next(iter(left or [one for one in episodes if one.verdict == "unknown"]), None)
        told = "" if worst is None else f": {told_of(worst)}"
        why = "something is critical" if verdict == "critical" else "it is not known how it is"
        self._book.give_up(name, step, f"after {step} {why}{told}", episodes)

    def _release(self, node: Node, step: Action) -> None:
        """Give a node back that is well, where it was drained for its health."""
        name, case = node.name, self._book.cases[node.name]
        if not self._book.is_of_policy(name):
            self._book.enter(name, "drained", "it is well; a person has drained it and gives it back")
            self._book.end(Treated(name, step, "kept", "it is well", f"give it back: `aiops node resume {name}`"))
            return
        withdrawal = Withdrawal(
            self._book.room.register,
            self._book.room.workloads,
            self._book.room.events,
            lock=self._book.room.lock,
            clock=self._book.room.clock,
            actor=self._book.room.actor,
        )
        served = {} if case.standing is None else {name: case.standing}
        try:
            if name in self.rebooted and case.standing is not None and not self._is_back(node, case.standing):
                why = f"{step}: it is well, and whoever gives it work has not heard of it since"
                self._book.give_up(name, step, why, ())
                return
            withdrawal.resume([node], f"well again after {step}", {name: "validating"}, served)
        except AiopsError as error:
            self._book.give_up(name, step, f"{step}: it is well, and could not be given back: {error.message}", ())
            return
        self._book.states[name] = "ready"
        self._book.end(Treated(name, step, "well", "it is well, and is given work again"))

    def _is_back(self, node: Node, before: Standing) -> bool:
        """Whether whoever gives a node work has heard of it since its reboot; some time is given for that."""
        clock = self._book.room.clock
        deadline = clock.monotonic() + RETURN_SECONDS
        while True:
            now = standings(self._book.room.workloads, [node]).get(node.name)
            if now is None or now.session not in {None, before.session}:
                return True
            if clock.monotonic() >= deadline:
                return False
            clock.sleep(_STEP_SECONDS)


def _critical(name: str, look: Look) -> list[Episode]:
    return [one for one in look.episodes.get(name, ()) if one.counted and one.verdict == "critical"]
