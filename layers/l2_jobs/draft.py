"""Draft: what a tick has come to so far."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from .action import Action, Decided, Decision, Drain, Notify, SetAside
from .cascade import cascades, limit
from .checkpoint.checkpoint import Checkpoint
from .record import JobRecord
from .world import World


class Draft:
    """Collects what one tick decides. It belongs to one call of `decide`."""

    def __init__(self, world: World, now: float) -> None:
        self.world = world
        self.now = now
        self.records: dict[str, JobRecord] = {}
        self._decisions: list[Decision] = []
        self._actions: list[Action] = []
        self._drains: list[tuple[int, Drain]] = []
        """What is to be drained, with the place of its decision."""

    @cached_property
    def cascade(self) -> frozenset[str]:
        """Nodes that are silent together with many others."""
        return cascades(self.world.watch.nodes)

    def record(self, job: str) -> JobRecord | None:
        """A job as it stands by now."""
        return self.records.get(job) or self.world.roster.jobs.get(job)

    def put(self, record: JobRecord) -> JobRecord:
        """Have a job be as it is in `record`; one that has not changed is not written."""
        if record != self.record(record.job.id):
            self.records[record.job.id] = record
        return record

    def say(self, record: JobRecord, kind: str, message: str, evidence: Mapping[str, Any] | None = None) -> None:
        """Write down what was decided for a job, and why."""
        number = record.attempt.key.number if record.attempt is not None else None
        self._decisions.append(Decision(record.job.id, self.now, kind, message, dict(evidence or {}), number))

    def do(self, *actions: Action) -> None:
        """Have something done."""
        self._actions += [one for one in actions if one not in self._actions[-8:]]

    def drain(self, record: JobRecord, node: str, why: str) -> None:
        """Have a node taken out of service; none is where one tick would take out many: that is no node's fault."""
        self._drains.append((len(self._decisions), Drain(node, why)))
        self.do(Drain(node, why))
        self.say(record, "node_drained", f"{node} is to be taken out of service: {why}", {"node": node})

    def set_aside(self, record: JobRecord, one: Checkpoint, why: str, *, verifies: bool) -> None:
        """Have a checkpoint renamed, so that nobody goes on from it; one that verifies, if nobody has changed it."""
        self.do(SetAside(record.job.id, one.path, why, one.written if verifies else None))
        self.say(record, "checkpoint_rejected", f"{one.path}: {why}", {"path": one.path, "step": one.step})

    def turn(self, record: JobRecord, **changes: Any) -> JobRecord:
        """Bring a job into another state, now."""
        return self.put(replace(record, since=self.now, **changes))

    def decided(self) -> Decided:
        """All of it."""
        decisions, actions = list(self._decisions), list(self._actions)
        many = len({drain.node for _, drain in self._drains})
        if many > 1 and many >= limit(len(self.world.places)):
            actions = [one for one in actions if not isinstance(one, Drain)]
            for at, drain in self._drains:
                words = f"{drain.node} stays in service, as {many} nodes at once have one cause: {drain.reason}"
                decisions[at] = replace(decisions[at], kind="node_kept", message=words)
                actions.append(Notify(decisions[at].job, words))
        return Decided(tuple(self.records.values()), tuple(decisions), tuple(actions))
