"""The course of a deploy: batch by batch, phase by phase, until its end or until too many nodes have failed.

What happens around each batch hooks in at `Course._go`.
"""

from collections.abc import Iterable, Sequence

from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold

from .doors import HeldLock
from .ledger import Entry
from .loss import Loss
from .rollout import Batch, Stop, batches, too_many
from .turn import Turn
from .underway import Underway

VERIFY = "verify"
RESUME = "resume"


def batches_of(under: Underway) -> tuple[Batch, ...]:
    """The batches of the nodes that have not failed; one where nothing differs from what is wanted."""
    return batches(under.living, under.request.batch if under.planned else None)


class Course:
    """A deploy after its plan was agreed to."""

    def __init__(self, under: Underway, lock: HeldLock) -> None:
        self._under = under
        self._lock = lock
        self._batches = batches_of(under)
        self._nodes = {node.name for node in under.living}
        self._phases = [phase.name for phase in under.request.phases]

    def run(self) -> Stop | None:
        """Do what was planned; why it ended before its end, or None.

        Raises:
            ConflictError: The cluster lock was lost on the way.
        """
        under = self._under
        early = {node.name for node in under.request.nodes} - self._nodes  # they failed before; the ledger tells it
        for batch in self._batches:
            if batch.of > 1:
                number, of, nodes = batch.number, batch.of, list(batch.names)
                under.events.emit("batch_started", fold(nodes), number=number, of=of, nodes=nodes)
            names = {*batch.names, *(early if batch.number == 1 else ())}
            stopped = self._go([node for node in under.request.nodes if node.name in names])
            if stopped is not None:
                return self._stop(stopped, batch, names)
        return None

    def _go(self, nodes: Sequence[Node]) -> str | None:
        """Take `nodes` through all phases; the phase in which too many have failed, or None."""
        under = self._under
        touched = False
        for index, phase in enumerate(under.request.phases):
            self._lock.guard()
            touched |= Turn(under, phase, self._phases[index:], self._lock, stop=self._too_many).take(nodes)
            if self._too_many():
                return phase.name
        living = [node for node in nodes if under.ledger.failure(node.name) is None]
        if touched and living:
            self._verify(living)
            if self._too_many():
                return VERIFY
        self._resume([node for node in nodes if under.ledger.failure(node.name) is None])
        return None

    def _resume(self, living: Sequence[Node]) -> None:
        """Give back nodes that are as wanted and still held: late ones, and those of a deploy that was cut off."""
        under = self._under
        held = under.reboots.held(living, self._phases)
        if not held:
            return
        names = [node.name for node in held]
        with under.step(RESUME, "Give back nodes that were drained for a reboot", names) as since:
            failed = under.reboots.give_back(held)
            for name in names:
                reason = failed.get(name, "")
                under.enter(Entry(RESUME, name, "failed" if reason else "changed", since(), reason))

    def _too_many(self) -> bool:
        return too_many(len(self._failed()), len(self._nodes), self._under.request.max_fail)

    def _failed(self) -> list[str]:
        """The nodes that have failed since the rollout began."""
        return [entry.node for entry in self._under.ledger.failures if entry.node in self._nodes]

    def _verify(self, nodes: Sequence[Node]) -> None:
        """Look at everything once more: a later phase may have undone an earlier one."""
        under, survey, names = self._under, self._under.survey, [node.name for node in nodes]
        untried = {(entry.phase, entry.node) for entry in under.ledger.blocked}
        with under.step(VERIFY, "Look at everything once more", names) as since:
            errors = survey.observe(nodes, self._phases, fresh=names)
            for name in names:
                reason, item = "", ""
                if name in errors:
                    reason = errors[name].message
                    boot_id, at = survey.facts[name].boot_id, under.doors.clock.monotonic()
                    under.losses[name] = Loss(name, VERIFY, boot_id, silent=True, rebooting=False, at=at)
                else:
                    tried = [phase for phase in self._phases if (phase, name) not in untried]
                    left = [(phase, one) for phase in tried for one in survey.differences(phase, name)]
                    if left:
                        reason, item = f"phase `{left[0][0]}` is undone: {left[0][1]}", left[0][1].key
                under.enter(Entry(VERIFY, name, "failed" if reason else "ok", since(), reason, item=item))

    def _stop(self, phase: str, batch: Batch, names: Iterable[str]) -> Stop:
        """Write down what was not tried, and say where it ended."""
        under, limit = self._under, self._under.request.max_fail
        assert limit is not None  # noqa: S101 - without a limit nothing is too much
        begun = {one for part in self._batches[: batch.number] for one in part.names} | set(names)
        place = self._phases.index(phase) + 1 if phase in self._phases else len(self._phases)
        rest = under.request.phases[place:]
        living = {node.name for node in under.living if any(one.covers(node.roles) for one in rest)}
        stop = Stop(
            phase,
            batch,
            len(self._failed()),
            len(self._nodes),
            limit,
            halted=tuple(name for name in batch.names if name in living),
            left=tuple(node.name for node in under.request.nodes if node.name not in begun),
        )
        under.events.emit("rollout_stopped", str(stop), **stop.document())
        for index, one in enumerate(under.request.phases):
            for node in under.request.nodes:
                comes = node.name not in begun or (index >= place and node.name in names)
                if comes and one.covers(node.roles):
                    under.enter(Entry(one.name, node.name, "blocked", 0.0, self._blocked_by(node.name, stop)))
        return stop

    def _blocked_by(self, node: str, stop: Stop) -> str:
        failure = self._under.ledger.failure(node)
        return f"the rollout stopped in {stop.place}" if failure is None else f"it failed in phase `{failure.phase}`"
