"""Deploy: lock, look, plan, ask, then phase by phase: apply, look again, write down.

What a phase did is judged by looking at the nodes once more, never by what Ansible says of itself. A node that fails
is left out of later phases and stops no other; nodes that are as they should be are not touched.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiops.layers.core.errors import AiopsError, InputError
from aiops.layers.core.event import EventStream
from aiops.layers.l0_nodes.node import Node
from aiops.layers.l0_nodes.nodeset import fold

from .change import Change
from .decision import needed_roles, on_the_way, shortfall, wants_reboot
from .doors import Deployed, Doors, HeldLock, Request
from .fence import fence_script
from .installers import await_installers
from .ledger import Entry, Ledger, Outcome
from .offered import require_offered
from .phase import Phase
from .plan import PhasePlan, Plan
from .playbook import TaskFailure
from .preflight import Situation, excluded, preflight, require, require_supported
from .render import keep_log, variables_of, write_by_hand, write_phase
from .secrets import Secrets
from .step import Beginning, Step
from .survey import Survey, describe
from .work import Work, work_of

CONNECT = "connect"
PREFLIGHT = "preflight"
VERIFY = "verify"
_SETTLE_SECONDS = 30.0
_SETTLE_STEP = 1.0


def deploy(request: Request, doors: Doors, secrets: Secrets, events: EventStream) -> Deployed:
    """Bring the chosen nodes to what the chosen phases want of them.

    Raises:
        InputError: A role that a phase needs is empty, a node's operating system is not supported, or a phase cannot
            be worked out for a node; nothing was changed.
        ConflictError: The cluster lock is held by another, or was lost on the way.
        UnreachableError: The head, which keeps the lock, does not answer.
        FailedError: Ansible cannot be run.
    """
    require(request.inventory, {phase.name: phase.needs for phase in request.phases})
    deployment = _Deployment(request, doors, secrets, events)
    if request.dry_run:
        return deployment.run(None)
    with doors.lock() as lock:
        return deployment.run(lock)


class _Deployment:
    """One deploy under way."""

    def __init__(self, request: Request, doors: Doors, secrets: Secrets, events: EventStream) -> None:
        self._request = request
        self._doors = doors
        self._secrets = secrets
        self._events = events
        self._survey = Survey(
            request.inventory, request.phases, doors.prober, secrets, bundle=request.bundle, memory=doors.memory
        )
        self._ledger = Ledger()
        self._planned: dict[tuple[str, str], tuple[Change, ...]] = {}
        self._refreshed: set[str] = set()
        self._rebooted: set[str] = set()

    def run(self, lock: HeldLock | None) -> Deployed:
        self._connect()
        names = [phase.name for phase in self._request.phases]
        unseen = self._survey.observe(self._living(), names)
        for error in unseen.values():
            if isinstance(error, InputError):
                raise error  # nothing was changed yet: mend the phase first
        self._fail_unseen(CONNECT, unseen)
        plan = self._plan()
        require_offered(plan, self._survey.cluster)
        self._events.emit(
            "plan_made",
            plan.summary,
            phases={phase.phase: list(phase.lines) for phase in plan.changed_phases},
            nodes=list(plan.changed_nodes),
        )
        if lock is None:
            if self._request.write is not None:
                self._write(self._request.write, plan)
            return Deployed(plan, self._ledger)
        if plan.changed_phases and not self._doors.confirm(plan):
            return Deployed(plan, self._ledger, declined=True)
        self._secrets.keep()
        touched = False
        for index, phase in enumerate(self._request.phases):
            lock.guard()
            touched |= self._phase(phase, names[index:], lock)
        if touched and self._living():
            self._verify(names)
        return Deployed(plan, self._ledger)

    def _connect(self) -> None:
        nodes = self._request.inventory.nodes
        chosen = {node.name for node in self._request.nodes}
        errors: dict[str, AiopsError] = {}
        step = self._step(CONNECT, "Reach all nodes", [node.name for node in self._request.nodes])
        with step as since:
            for node, error in self._survey.learn(nodes):
                if error is not None:
                    errors[node.name] = error
                if node.name in chosen:
                    outcome: Outcome = "ok" if error is None else "failed"
                    self._enter(Entry(CONNECT, node.name, outcome, since(), error.message if error else ""))
            if not self._request.dry_run:
                errors |= await_installers(self._survey, self._doors, self._request.nodes)
            step.summary = describe(facts for name, facts in self._survey.facts.items() if name in chosen)
        self._preflight(errors)

    def _preflight(self, errors: Mapping[str, AiopsError]) -> None:
        nodes = self._request.nodes
        require_supported(self._request.inventory.path, nodes, self._survey.facts)
        clock = next((phase.name for phase in self._request.phases if "clock" in phase.mends), None)
        findings = preflight(
            Situation(
                nodes,
                self._survey.facts,
                errors,
                self._doors.here,
                clock,
                self._doors.pair_mismatch,
                installs=not self._request.dry_run,
            )
        )
        refused = excluded(findings)
        self._events.emit(
            "preflight_finished",
            nodes=len(nodes),
            refused=sorted(refused),
            machines={name: facts.machine_id for name, facts in self._survey.facts.items() if facts.machine_id},
            findings=[{**finding.document(), "folded": fold(finding.nodes)} for finding in findings],
        )
        for node in nodes:
            if node.name in refused and self._ledger.failure(node.name) is None:
                reasons = [one.message for one in findings if one.severity == "error" and node.name in one.nodes]
                self._enter(Entry(PREFLIGHT, node.name, "failed", 0.0, "; ".join(reasons)))

    def _plan(self) -> Plan:
        phases = []
        living = self._living()
        for phase in self._request.phases:
            part = [node.name for node in living if phase.covers(node.roles)]
            changes = {name: self._survey.differences(phase.name, name) for name in part}
            phases.append(
                PhasePlan(
                    phase.name,
                    phase.title,
                    {name: found for name, found in changes.items() if found},
                    tuple(name for name, found in changes.items() if not found),
                )
            )
        self._planned = {(one.phase, node): found for one in phases for node, found in one.changes.items()}
        known = {node.name for node in living}
        nodes = tuple(node.name for node in self._request.nodes)
        return Plan(tuple(phases), nodes, tuple(name for name in nodes if name not in known))

    def _write(self, folder: Path, plan: Plan) -> None:
        """Write what Ansible would be given, as far as it can be told before the first phase is done."""
        written = {}
        for index, (phase, planned) in enumerate(zip(self._request.phases, plan.phases, strict=True)):
            remaining = [later.name for later in self._request.phases[index:]]
            nodes = [node for node in self._request.nodes if node.name in planned.changes]
            works = {}
            for node in nodes:
                changes = planned.changes[node.name]
                works[node.name] = self._work(phase, node, changes, self._reboots_now(node, changes, remaining))
            self._note_refreshed(works, ())
            if works:
                cluster = self._survey.cluster
                written[phase.name] = works, {node.name: variables_of(phase, node, cluster, None) for node in nodes}
        self._secrets.keep()
        write_by_hand(folder, written)

    def _note_refreshed(self, works: Mapping[str, Work], failed: Collection[str]) -> None:
        """Remember where apt's lists are fresh, and where their sources have changed since."""
        for name, work in works.items():
            if work.touches_sources:
                self._refreshed.discard(name)
            elif work.variables["packages"] and name not in failed:
                self._refreshed.add(name)

    def _phase(self, phase: Phase, remaining: Sequence[str], lock: HeldLock) -> bool:
        """Do one phase; whether anything was touched."""
        part = [node for node in self._request.nodes if phase.covers(node.roles)]
        with self._step(phase.name, phase.title, [node.name for node in part]) as since:
            living = self._workable(phase, self._unblocked(phase, part))
            again = self._survey.unasked(phase.name, living)
            if again:
                self._fail_unseen(phase.name, self._survey.observe(again, remaining))
                living = [node for node in living if self._ledger.failure(node.name) is None]
            before = {node.name: self._survey.differences(phase.name, node.name) for node in living}
            for node in living:
                self._tell_settled(phase.name, node.name, before[node.name])
                if not before[node.name]:
                    self._enter(Entry(phase.name, node.name, "ok", since()))
            targets = [node for node in living if before[node.name]]
            if targets:
                self._apply(phase, before, remaining, lock, since)
        return bool(targets)

    def _apply(
        self,
        phase: Phase,
        before: Mapping[str, tuple[Change, ...]],
        remaining: Sequence[str],
        lock: HeldLock,
        since: Callable[[], float],
    ) -> None:
        targets = [node for node in self._request.nodes if before.get(node.name)]
        reboots = {node.name for node in targets if self._reboots_now(node, before[node.name], remaining)}
        boot_ids = {name: self._survey.facts[name].boot_id for name in reboots}
        works = {node.name: self._work(phase, node, before[node.name], node.name in reboots) for node in targets}
        fence = fence_script(lock.epoch)
        variables = {node.name: variables_of(phase, node, self._survey.cluster, fence) for node in targets}
        hosts = write_phase(self._request.private, phase.name, works, variables)

        def failed(failure: TaskFailure) -> None:
            self._events.emit(
                "task_failed",
                failure.reason,
                node=failure.node,
                phase=phase.name,
                task=failure.task,
                reason=failure.reason,
                tail=list(failure.tail),
            )

        played = self._doors.applier.apply(
            phase.name,
            hosts,
            cancel=lock.lost.is_set,
            on_start=self._doors.on_start,
            on_task=self._doors.on_task,
            on_failure=failed,
        )
        if self._request.logs is not None:
            keep_log(self._request.logs, phase.name, played.log)
        if lock.lost.is_set():
            lock.guard()
        failures = {name: failure for name, failure in played.failures.items() if name in works}
        self._note_refreshed(works, works if played.trouble is not None else failures)
        # A node that failed is looked at too: what was changed there before it did is told.
        unseen = self._look(phase.name, targets, remaining, reboots, failures)
        for node in targets:
            name, tail = node.name, tuple[str, ...]()
            left = "" if name in unseen else self._judge(phase.name, name, before[name], boot_ids, since)
            if name in failures:
                reason, tail = failures[name].reason, failures[name].tail
            elif name in unseen:
                reason = unseen[name].message
            else:
                reason = f"{played.trouble}; {left}" if left and played.trouble else left
            self._enter(Entry(phase.name, name, "failed" if reason else "changed", since(), reason, tail))

    def _tell_settled(self, phase: str, node: str, left: Sequence[Change]) -> None:
        """Tell what was planned and has come about by an earlier phase: a package that another one has brought."""
        still = {change.key for change in left}
        for change in self._planned.get((phase, node), ()):
            if change.key not in still:
                self._events.emit("resource_changed", change.done, node=node, phase=phase, **change.document())

    def _judge(
        self,
        phase: str,
        node: str,
        before: Sequence[Change],
        boot_ids: Mapping[str, str | None],
        since: Callable[[], float],
    ) -> str:
        """Tell what changed on a node; why it is still not as it should be, or nothing."""
        left = {change.key: change for change in self._survey.differences(phase, node)}
        for change in before:
            if change.key not in left:
                self._events.emit("resource_changed", change.done, node=node, phase=phase, **change.document())
        if node in boot_ids:
            self._rebooted.add(node)
            after = self._survey.facts[node].boot_id
            if after == boot_ids[node]:
                return "it was to reboot and did not (its boot id is the same)"
            self._events.emit("reboot_finished", node=node, phase=phase, seconds=round(since(), 3))
        if "reboot" in left and node not in boot_ids:
            if self._here(node):
                return "it needs a reboot, and aiops runs on it: reboot it yourself, then deploy again"
            if node in self._rebooted:
                return "it needs a second reboot; deploy again"
            del left["reboot"]  # one reboot at the end of a later phase does for both
        return shortfall(list(left.values()))

    def _look(
        self,
        phase: str,
        nodes: Sequence[Node],
        remaining: Sequence[str],
        rebooted: set[str],
        failed: Collection[str],
    ) -> dict[str, AiopsError]:
        """Look again at nodes that were changed; on those that did not fail, wait for services still on their way."""
        errors = self._survey.observe(nodes, remaining, fresh=rebooted)
        deadline = self._doors.clock.monotonic() + _SETTLE_SECONDS
        while self._doors.clock.monotonic() < deadline:
            waiting = [
                node
                for node in nodes
                if node.name not in errors
                and node.name not in failed
                and on_the_way(self._survey.differences(phase, node.name), rebooted=node.name in rebooted)
            ]
            if not waiting:
                break
            self._doors.clock.sleep(_SETTLE_STEP)
            errors |= self._survey.observe(waiting, remaining)
        return errors

    def _verify(self, names: Sequence[str]) -> None:
        """Look at everything once more: a later phase may have undone an earlier one."""
        living = self._living()
        with self._step(VERIFY, "Look at everything once more", [node.name for node in living]) as since:
            errors = self._survey.observe(living, names, fresh=[node.name for node in living])
            for node in living:
                reason = ""
                if node.name in errors:
                    reason = errors[node.name].message
                else:
                    left = [
                        (phase.name, change)
                        for phase in self._request.phases
                        for change in self._survey.differences(phase.name, node.name)
                    ]
                    if left:
                        reason = f"phase `{left[0][0]}` is undone: {left[0][1]}"
                self._enter(Entry(VERIFY, node.name, "failed" if reason else "ok", since(), reason))

    def _work(self, phase: Phase, node: Node, changes: Sequence[Change], reboot: bool) -> Work:
        return work_of(
            phase.name,
            self._survey.resources(phase.name, node.name),
            changes,
            refresh=node.name not in self._refreshed,
            reboot=reboot,
        )

    def _reboots_now(self, node: Node, changes: Sequence[Change], remaining: Sequence[str]) -> bool:
        """One reboot per node and deploy, in the last phase that needs it; never the machine we run on."""
        if not wants_reboot(changes) or node.name in self._rebooted:
            return False
        if self._here(node.name):
            return False
        return not any(wants_reboot(self._survey.differences(later, node.name)) for later in remaining[1:])

    def _unblocked(self, phase: Phase, part: Sequence[Node]) -> list[Node]:
        """The nodes that can go on; the others are written down as blocked."""
        missing = ""
        for role in needed_roles(phase, self._request.phases):
            nodes = [node.name for node in self._request.inventory.role(role)]
            failure = self._ledger.all_failed(nodes)
            if failure is not None:
                missing = f"it needs {role}: {failure.node} failed in phase `{failure.phase}`"
        living = []
        for node in part:
            failure = self._ledger.failure(node.name)
            reason = f"it failed in phase `{failure.phase}`" if failure is not None else missing
            if reason:
                self._enter(Entry(phase.name, node.name, "blocked", 0.0, reason))
            else:
                living.append(node)
        return living

    def _workable(self, phase: Phase, nodes: Sequence[Node]) -> list[Node]:
        """The nodes whose newest facts the phase can be worked out with; the others have failed."""
        workable = []
        for node in nodes:
            try:
                self._survey.resources(phase.name, node.name)
            except InputError as error:
                self._fail_unseen(phase.name, {node.name: error})
            else:
                workable.append(node)
        return workable

    def _here(self, node: str) -> bool:
        """Whether a node is the machine that aiops runs on."""
        return self._doors.here is not None and self._survey.facts[node].boot_id == self._doors.here[1]

    def _living(self) -> list[Node]:
        return [node for node in self._request.nodes if self._ledger.failure(node.name) is None]

    def _fail_unseen(self, phase: str, errors: Mapping[str, AiopsError]) -> None:
        for name, error in errors.items():
            details = "".join(f"; {problem}" for problem in error.problems)
            self._enter(Entry(phase, name, "failed", 0.0, f"{error.message}{details}"))

    def _enter(self, entry: Entry) -> None:
        self._ledger.add(entry)
        self._events.emit("node_finished", entry.reason, node=entry.node, **_without_node(entry))

    def _step(self, phase: str, title: str, nodes: list[str]) -> Step:
        return Step(self._events, self._doors.clock, self._ledger, Beginning(phase, title, nodes))


def _without_node(entry: Entry) -> dict[str, Any]:
    return {key: value for key, value in entry.document().items() if key != "node"}
