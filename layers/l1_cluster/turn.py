"""One phase's turn on some nodes: what differs is applied, then looked at again, and what became of each is entered.

The seams: `_round` is one run of Ansible over some nodes with the look that judges it, and enters nothing, so that a
turn may take several (reboots in batches come as later rounds); `_play` is where the work of nodes is given to Ansible.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from aiops.layers.core.errors import AiopsError, UnreachableError
from aiops.layers.l0_nodes.node import Node

from .admission import admit
from .candidates import workable
from .change import Change
from .clearance import Clearance
from .decision import on_the_way, reboot_reason, shortfall, wants_reboot
from .gate import STALE, refused
from .ledger import Entry, Outcome
from .loss import Loss
from .patience import PatientLock
from .phase import Phase
from .playbook import Played, TaskFailure
from .render import keep_log, variables_of, write_phase
from .returning import REBOOT_STARTED
from .underway import Since, Underway
from .work import Work

_SETTLE_SECONDS = 30.0
_SETTLE_STEP = 1.0

Differences = Mapping[str, tuple[Change, ...]]
"""What differs, by node."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a round has come to on one node.

    Attributes:
        reason: Why the node is not as the phase wants it, in one line; empty when it is.
        tail: The last lines of what failed.
        item: Ansible's task that failed, or the resource that is not as wanted.
        silent: Whether the connection to the node was lost.
        seen: Whether the node answered when it was looked at afterwards.
    """

    reason: str = ""
    tail: tuple[str, ...] = ()
    item: str = ""
    silent: bool = False
    seen: bool = True


class Turn:
    """One phase, and what is needed to do it."""

    def __init__(
        self, under: Underway, phase: Phase, remaining: Sequence[str], lock: PatientLock, *, stop: Callable[[], bool]
    ) -> None:
        """Prepare it.

        Args:
            under: The deploy.
            phase: The phase.
            remaining: The phases that are still to come, this one first.
            lock: The cluster's lock, held.
            stop: Whether so many nodes have failed that no more may be begun.
        """
        self._stop = stop
        self._under = under
        self._survey = under.survey
        self._ledger = under.ledger
        self._phase = phase
        self._remaining = remaining
        self._lock = lock

    def take(self, nodes: Sequence[Node]) -> bool:
        """Do the phase on those of `nodes` that have a part in it; whether anything was touched.

        Raises:
            ConflictError: The cluster lock was lost on the way.
        """
        phase = self._phase.name
        part = [node for node in nodes if self._phase.covers(node.roles)]
        with self._under.step(phase, self._phase.title, [node.name for node in part]) as since:
            living = workable(self._under, self._phase, part)
            again = self._survey.unasked(phase, living)
            if again:
                self._under.fail(phase, self._survey.observe(again, self._remaining))
                living = [node for node in living if self._ledger.failure(node.name) is None]
            before = {node.name: self._survey.differences(phase, node.name) for node in living}
            with self._under.events.together():
                for node in living:
                    self._tell_settled(node.name, before[node.name])
                    if not before[node.name]:
                        self._under.enter(Entry(phase, node.name, "ok", since()))
            targets = [node for node in living if before[node.name]]
            if targets:
                self._apply(targets, before, since)
        return bool(targets)

    def _apply(self, targets: Sequence[Node], before: Differences, since: Since) -> None:
        """Change `targets`; those in service that a reboot is needed on, a few at a time, once they are drained."""
        reboots = self._under.reboots
        due = reboots.serving([node for node in targets if wants_reboot(before[node.name])])
        if not due:
            self._change(targets, before, since)
            return
        # More than may be out together cannot be kept out until a later phase reboots them for both.
        remaining = self._remaining if len(due) <= reboots.limits.at_once else self._remaining[:1]
        why = {node.name: reboot_reason(before[node.name]) for node in due}
        last = [node.name for node in due if self._under.here(node.name)]  # we do not reboot it, so it stays drained
        clearance = Clearance(reboots, due, self._phase.name, why, lock=self._lock, last=last)
        rest = [node for node in targets if node not in due]
        for cleared in clearance.steps():
            for name, reason in cleared.refused.items():
                self._under.enter(Entry(self._phase.name, name, "failed", since(), reason, item="reboot"))
            nodes, rest = [*rest, *(node for node in due if node.name in cleared.go)], []
            for name, verdict in (self._change(nodes, before, since, remaining) if nodes else {}).items():
                clearance.finished(name, verdict.reason, rebooted=name in self._under.rebooted)
            if self._stop():
                for name in clearance.abandon():
                    reason = "too many nodes had failed before it was drained for its reboot"
                    self._under.enter(Entry(self._phase.name, name, "blocked", since(), reason))

    def _change(
        self, targets: Sequence[Node], before: Differences, since: Since, remaining: Sequence[str] | None = None
    ) -> dict[str, Verdict]:
        """Do one round and enter what it has come to."""
        later = self._remaining if remaining is None else remaining
        reboots = {node.name for node in targets if self._under.reboots_now(node, before[node.name], later)}
        boot_ids = {node.name: self._survey.facts[node.name].boot_id for node in targets}
        earlier = frozenset(self._under.rebooted)
        verdicts = self._round(targets, before, reboots, since)
        with self._under.events.together():
            for name, verdict in verdicts.items():
                outcome: Outcome = "failed" if verdict.reason else "changed"
                phase, reason = self._phase.name, verdict.reason
                self._under.enter(Entry(phase, name, outcome, since(), reason, verdict.tail, verdict.item))
                if reason:
                    at = self._under.doors.clock.monotonic()
                    ours = name in reboots or name in self._under.rebooted - earlier
                    seen = self._survey.facts[name].boot_id if verdict.seen else None
                    self._under.losses[name] = Loss(name, phase, boot_ids[name], verdict.silent, ours, at, seen)
        return verdicts

    def _round(
        self, targets: Sequence[Node], before: Differences, reboots: Collection[str], since: Since
    ) -> dict[str, Verdict]:
        """Run Ansible once, look at its nodes again and judge; those in `reboots` are rebooted on the way."""
        boot_ids = {name: self._survey.facts[name].boot_id for name in reboots}
        with self._under.events.together():
            for name, boot_id in boot_ids.items():
                self._under.events.emit(REBOOT_STARTED, node=name, phase=self._phase.name, boot_id=boot_id)
        works = self._works(targets, before, reboots)
        verdicts = self._admitted(targets, works)
        targets = [node for node in targets if node.name not in verdicts]
        played = self._play(targets, {node.name: works[node.name] for node in targets})
        # A node that failed is looked at too: what was changed there before it did is told.
        unseen = self._look(targets, reboots, played.failures)
        self._under.at_work.clear()
        with self._under.events.together():
            for node in targets:
                name = node.name
                if name in unseen:
                    self._under.tell_lost(name, self._phase.name)
                left = Verdict() if name in unseen else self._judge(name, before[name], boot_ids, since)
                if name in played.failures:
                    failure = played.failures[name]
                    silent = failure.unreachable or name in unseen
                    verdicts[name] = Verdict(failure.reason, failure.tail, failure.task, silent, name not in unseen)
                elif name in unseen:
                    verdicts[name] = Verdict(unseen[name].message, silent=True, seen=False)
                elif left.reason and played.trouble:
                    verdicts[name] = replace(left, reason=f"{played.trouble}; {left.reason}")
                else:
                    verdicts[name] = left
        return verdicts

    def _works(self, targets: Sequence[Node], before: Differences, reboots: Collection[str]) -> dict[str, Work]:
        """What is to be done on each of `targets`."""
        work = self._under.work
        return {one.name: work(self._phase, one, before[one.name], reboot=one.name in reboots) for one in targets}

    @property
    def _token(self) -> str:
        """Names this phase of this tenure of the lock; no other deploy has it."""
        return f"{self._phase.name}-{self._lock.epoch}"

    def _admitted(self, targets: Sequence[Node], works: Mapping[str, Work]) -> dict[str, Verdict]:
        """Open the gates of `targets` and have them remember what is there; verdicts of those where that fails."""

        def memories() -> dict[str, str]:
            return {name: memory for name, work in works.items() if (memory := work.memory(self._token))}

        gate, admitted = self._under.doors.gate, self._under.admitted
        errors = admit(gate, self._lock, targets, memories, before=admitted)
        admitted |= {node.name for node in targets if node.name not in errors}
        if any(error.code == STALE for error in errors.values()):
            self._lock.confirm()  # a node has seen another owner: go on only if it is still ours
        return {
            name: Verdict(error.message, item="gate", silent=isinstance(error, UnreachableError), seen=False)
            for name, error in errors.items()
        }

    def _play(self, targets: Sequence[Node], works: Mapping[str, Work]) -> Played:
        """Give Ansible the work of `targets` and wait for its end."""
        if not targets:
            return Played({})
        under, phase, lock = self._under, self._phase, self._lock
        variables = {node.name: variables_of(phase, node, self._survey.cluster, lock.epoch) for node in targets}
        under.at_work |= set(works)
        hosts = write_phase(under.request.private, phase.name, works, variables, token=self._token)
        played = under.doors.applier.apply(
            phase.name,
            hosts,
            cancel=lock.lost.is_set,
            on_start=under.doors.on_start,
            on_task=under.doors.on_task,
            on_failure=self._tell_failure,
        )
        if under.request.logs is not None:
            keep_log(under.request.logs, phase.name, played.log)
        if lock.lost.is_set():
            lock.guard()
        if any(refused(failure.reason) for failure in played.failures.values()):
            lock.confirm()
        failures = {name: failure for name, failure in played.failures.items() if name in works}
        under.note_refreshed(works, works if played.trouble is not None else failures)
        return Played(failures, played.trouble, played.log)

    def _tell_failure(self, failure: TaskFailure) -> None:
        self._under.events.emit(
            "task_failed",
            failure.reason,
            node=failure.node,
            phase=self._phase.name,
            task=failure.task,
            reason=failure.reason,
            tail=list(failure.tail),
        )

    def _tell_settled(self, node: str, left: Sequence[Change]) -> None:
        """Tell what was planned and has come about by an earlier phase: a package that another one has brought."""
        still = {change.key for change in left}
        for change in self._under.planned.get((self._phase.name, node), ()):
            if change.key not in still:
                self._tell_changed(node, change)

    def _tell_changed(self, node: str, change: Change) -> None:
        phase = self._phase.name
        self._under.events.emit("resource_changed", change.done, node=node, phase=phase, **change.document())

    def _judge(self, node: str, before: Sequence[Change], boot_ids: Mapping[str, str | None], since: Since) -> Verdict:
        """Tell what changed on a node; why it is still not as it should be, if it is not."""
        left = {change.key: change for change in self._survey.differences(self._phase.name, node)}
        for change in before:
            if change.key not in left:
                self._tell_changed(node, change)
        rebooted = self._under.rebooted
        if node in boot_ids:
            rebooted.add(node)
            after = self._survey.facts[node].boot_id
            if after == boot_ids[node]:
                return Verdict("it was to reboot and did not (its boot id is the same)", item="reboot")
            self._under.events.emit("reboot_finished", node=node, phase=self._phase.name, seconds=round(since(), 3))
        if "reboot" in left and node not in boot_ids:
            if self._under.here(node):
                reason = "it needs a reboot, and aiops runs on it: reboot it yourself, then deploy again"
                return Verdict(reason, item="reboot")
            if node in rebooted:
                return Verdict("it needs a second reboot; deploy again", item="reboot")
            del left["reboot"]  # one reboot at the end of a later phase does for both
        return Verdict(shortfall(list(left.values())), item=next(iter(left), ""))

    def _look(self, nodes: Sequence[Node], rebooted: Collection[str], failed: Collection[str]) -> dict[str, AiopsError]:
        """Look again at nodes that were changed; on those that did not fail, wait for services still on their way.

        Those that failed are asked for their facts too: whether they were rebooted by somebody meanwhile.
        """
        under, survey, clock = self._under, self._survey, self._under.doors.clock
        told = {*rebooted, *failed}
        if "driver" in self._phase.mends:
            under.driven |= {node.name for node in nodes} - told
        phases, fresh = self._remaining, told
        last = len(self._remaining) == 1
        if last:  # nothing is changed there any more: what is seen now is what `verify` judges, in the same round trip
            phases = [phase.name for phase in under.request.phases]
            fresh = {node.name for node in nodes}
        errors = survey.observe(nodes, phases, fresh=fresh, same_devices=fresh - told - under.driven)
        deadline = clock.monotonic() + _SETTLE_SECONDS
        while clock.monotonic() < deadline:
            waiting = [
                node
                for node in nodes
                if node.name not in errors
                and node.name not in failed
                and on_the_way(survey.differences(self._phase.name, node.name), rebooted=node.name in rebooted)
            ]
            if not waiting:
                break
            clock.sleep(_SETTLE_STEP)
            errors |= survey.observe(waiting, phases)
        if last:
            under.seen_last |= {node.name for node in nodes} - set(errors)
        return errors
