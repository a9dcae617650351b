"""The course of a deploy: batch by batch, phase by phase, until its end or until too many nodes have failed.

What happens around each batch hooks in at `Course._go`.
"""

from collections.abc import Iterable, Sequence

from aiops.layers.core.errors import ConflictError, FailedError
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold

from .ledger import Entry, Outcome
from .loss import Loss
from .patience import PatientLock, ended_by_lock
from .rollout import Batch, Stop, batches, too_many
from .turn import Turn
from .underway import Underway

VERIFY = "verify"
RESUME = "resume"


def batches_of(under: Underway) -> tuple[Batch, ...]:
    """The batches of the nodes that have not failed; one where nothing differs from what is wanted."""
    # The first storage node serves the shared directory (phase `export`).
    needed = [node.name for node in under.request.inventory.role("storage")[:1]]
    return batches(under.living, under.request.batch if under.planned else None, needed)


class Course:
    """A deploy after its plan was agreed to."""

    def __init__(self, under: Underway, lock: PatientLock) -> None:
        self._under = under
        self._lock = lock
        self._batches = batches_of(under)
        self._nodes = {node.name for node in under.living}
        self._phases = [phase.name for phase in under.request.phases]
        self._place = ""
        """The phase that is under way."""

    def run(self) -> Stop | None:
        """Do what was planned; why it ended before its end, or None.

        A lock that was lost, or whose keeper has been away for too long, ends it with what is known of all nodes.
        """
        under = self._under
        early = {node.name for node in under.request.nodes} - self._nodes  # they failed before; the ledger tells it
        for batch in self._batches:
            if batch.of > 1:
                number, of, nodes = batch.number, batch.of, list(batch.names)
                under.events.emit("batch_started", fold(nodes), number=number, of=of, nodes=nodes)
            names = {*batch.names, *(early if batch.number == 1 else ())}
            error = None
            try:
                stopped = self._go([node for node in under.request.nodes if node.name in names])
            except (ConflictError, FailedError) as cause:
                if not ended_by_lock(cause):
                    raise
                stopped, error = True, cause
            if stopped:
                return self._stop(batch, names, error)
        return None

    def _go(self, nodes: Sequence[Node]) -> bool:
        """Take `nodes` through all phases; whether too many have failed on the way."""
        under = self._under
        touched = False
        for index, phase in enumerate(under.request.phases):
            self._place = phase.name
            self._lock.guard()
            touched |= Turn(under, phase, self._phases[index:], self._lock, stop=self._too_many).take(nodes)
            if self._too_many():
                # Later phases were not done; who was rebooted is as it was wanted so far, and served before.
                self._resume([node for node in under.living if node in nodes and node.name in under.rebooted])
                return True
        living = [node for node in nodes if under.ledger.failure(node.name) is None]
        if touched and living:
            self._place = VERIFY
            self._verify(living)
        stopped = self._too_many()
        self._resume([node for node in nodes if under.ledger.failure(node.name) is None])
        return stopped

    def _resume(self, living: Sequence[Node]) -> None:
        """Give back nodes that are as wanted and still held: late ones, and those of a deploy that was cut off."""
        under = self._under
        held = under.reboots.held(living, self._phases)
        if not held:
            return
        names = [node.name for node in held]
        place, self._place = self._place, RESUME
        with under.step(RESUME, "Give back nodes that were drained for a reboot", names) as since:
            failed = under.reboots.give_back(held, self._lock)
            for name in names:
                reason = failed.get(name, "")
                under.enter(Entry(RESUME, name, "failed" if reason else "changed", since(), reason))
        self._place = place

    def _too_many(self) -> bool:
        return too_many(len(self._failed()), len(self._nodes), self._under.request.max_fail)

    def _failed(self) -> list[str]:
        """The nodes that have failed since the rollout began."""
        return [entry.node for entry in self._under.ledger.failures if entry.node in self._nodes]

    def _verify(self, nodes: Sequence[Node]) -> None:
        """Look at everything once more, where the last phase has not: a later phase may have undone an earlier one."""
        under, survey, names = self._under, self._under.survey, [node.name for node in nodes]
        untried = {(entry.phase, entry.node) for entry in under.ledger.blocked}
        with under.step(VERIFY, "Look at everything once more", names) as since:
            unseen = [node for node in nodes if node.name not in under.seen_last]
            same = set(names) - under.driven
            errors = survey.observe(unseen, self._phases, fresh=names, same_devices=same) if unseen else {}
            with under.events.together():
                for name in names:
                    reason, item, blocked = "", "", list[str]()
                    if name in errors:
                        reason = errors[name].message
                        boot_id, at = survey.facts[name].boot_id, under.doors.clock.monotonic()
                        under.losses[name] = Loss(name, VERIFY, boot_id, silent=True, rebooting=False, at=at)
                    else:
                        blocked = [phase for phase in self._phases if (phase, name) in untried]
                        tried = [phase for phase in self._phases if phase not in blocked]
                        left = [(phase, one) for phase in tried for one in survey.differences(phase, name)]
                        if left:
                            reason, item = f"phase `{left[0][0]}` is undone: {left[0][1]}", left[0][1].key
                    outcome: Outcome = "failed" if reason else "blocked" if blocked else "ok"
                    under.enter(Entry(VERIFY, name, outcome, since(), reason or _untried(blocked), item=item))

    def _stop(self, batch: Batch, names: Iterable[str], error: ConflictError | FailedError | None) -> Stop:
        """Write down what was not tried, or cut off, and say where it ended."""
        under, limit = self._under, self._under.request.max_fail
        begun = {one for part in self._batches[: batch.number] for one in part.names} | set(names)
        done = {(entry.phase, entry.node) for entry in under.ledger}
        rest = [
            (phase.name, node.name)
            for phase in under.request.phases
            for node in under.request.nodes
            if phase.covers(node.roles) and (phase.name, node.name) not in done
        ]
        under.cut_off(self._place, error.message if error is not None else "")
        living = {node.name for node in under.living} & {name for _, name in rest}
        stop = Stop(
            self._place,
            batch,
            len(self._failed()),
            len(self._nodes),
            limit,
            halted=tuple(name for name in batch.names if name in living),
            left=tuple(node.name for node in under.request.nodes if node.name not in begun),
            error=error,
        )
        under.events.emit("rollout_stopped", str(stop), **stop.document())
        for phase, name in rest:
            failure = under.ledger.failure(name)
            if failure is None or failure.phase != phase:
                under.enter(Entry(phase, name, "blocked", 0.0, self._blocked_by(name, stop)))
        return stop

    def _blocked_by(self, node: str, stop: Stop) -> str:
        failure = self._under.ledger.failure(node)
        return f"the rollout stopped in {stop.place}" if failure is None else f"it failed in phase `{failure.phase}`"


def _untried(phases: Sequence[str]) -> str:
    """Why a node is not said to be as wanted: what else was done there is."""
    if not phases:
        return ""
    more = f" and {len(phases) - 1} more" if len(phases) > 1 else ""
    return f"phase `{phases[0]}`{more} {'were' if more else 'was'} not tried; what was done is as wanted"
