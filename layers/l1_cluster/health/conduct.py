"""What `aiops health --act` does about what was found: a pure decision, and the rules that hold it back.

Only what is critical and the node's own drains it, never what is unknown, never what the network or a job has done. At
most so many nodes are drained within so many minutes; when more would be, a breaker opens, and nothing is drained until
a person has closed it. A node is given back only when we have drained it for its health, and after several looks in a
row at which nothing was critical and nothing unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from aiops.layers.l0_nodes.node import Node
from aiops.layers.l1_cluster.draining import Standing

from .attempt import CUT_OFF
from .episode import Episode
from .finding import Finding
from .hold_reason import POLICY
from .node_state import IN_SERVICE, UNDERWAY, NodeState, StateChange
from .remedy import Case, remedy_of
from .repairable import holder_of, of_policy
from .site import Policy
from .verdict import Verdict


@dataclass(frozen=True, slots=True)
class Ward:
    """All that is known when a decision is made.

    Attributes:
        at: When this is.
        findings: Of the round, settled.
        verdicts: By node that was looked at.
        states: By node, of all nodes; one that is not in it is `new`.
        standings: By node, with whoever runs work there; a node that is not in it is given no work by anybody.
        clean: By node, how many looks in a row nothing was critical and nothing unknown, this one included.
        changes: The changes of state within `attempt.WINDOW`, oldest first.
        total: How many nodes the cluster has that may be given work.
        breaker: Why the breaker is open; None while it is closed.
        last: The last change of each node, by name.
        live: The runs that go on now: what they are at is left to them.
        episodes: By node, what goes on there; only of nodes that are out of service.
        workers: The nodes that do nothing but work: no head, no storage, no login serves others there.
    """

    at: datetime
    findings: Sequence[Finding]
    verdicts: Mapping[str, Verdict]
    states: Mapping[str, NodeState]
    standings: Mapping[str, Standing]
    clean: Mapping[str, int]
    changes: Sequence[StateChange] = ()
    total: int = 0
    breaker: str | None = None
    last: Mapping[str, StateChange] = field(default_factory=dict)
    live: frozenset[str] = frozenset()
    episodes: Mapping[str, Sequence[Episode]] = field(default_factory=dict)
    workers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Conduct:
    """What is to be done.

    Attributes:
        drain: By node, the finding that it is drained for.
        resume: Nodes that are given back.
        became: Changes of state that only follow what was seen: nothing is done for them.
        breaker: Why the breaker opens now; None where it does not.
        held: Nodes that would have been drained, and why they are not, by node.
        repair: Nodes that are repaired.
        left: By node, why a person is to repair it, and by which command.
    """

    drain: Mapping[str, Finding] = field(default_factory=dict)
    resume: tuple[str, ...] = ()
    became: tuple[StateChange, ...] = ()
    breaker: str | None = None
    held: Mapping[str, str] = field(default_factory=dict)
    repair: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)


def limit(policy: Policy, total: int) -> int:
    """How many nodes may be drained within the policy's minutes: its share of `total`, and one at least."""
    return max(1, int(total * policy.most_percent // 100))


def mere_workers(nodes: Iterable[Node]) -> frozenset[str]:
    """The names of those of `nodes` that do nothing but work."""
    return frozenset(node.name for node in nodes if node.roles == {"workers"})


def is_serving(state: NodeState, standing: Standing | None) -> bool:
    """Whether a node is in service, by the register and by whoever gives it work, so that it may be drained."""
    return state in IN_SERVICE and (standing is None or standing.state == "in_service")


def is_held(state: NodeState, standing: Standing | None) -> bool:
    """Whether a node is out of service for its health alone, so that it may be given back."""
    out = standing is not None and standing.state in {"draining", "drained"}
    return out and state in {"draining", "drained"} and holder_of(standing) == "health"


def decide(ward: Ward, policy: Policy) -> Conduct:
    """What is to be done about what was found. Pure."""
    became = _followed(ward)
    states = {**ward.states, **{one.node: one.after for one in became}}
    resume = tuple(name for name in ward.verdicts if _may_return(ward, policy, name, states.get(name, "new")))
    done = replace(_drained(ward, policy, states), resume=resume, became=became)
    cut = _cut_off(ward, states)
    is_open = ward.breaker is not None or done.breaker is not None
    repair, left = ((), {}) if is_open else _repaired(ward, policy, states, cut)
    left |= {
        name: f"{name} is in a repair that was cut off: `aiops node repair {name}`"
        for name in cut
        if name not in repair
    }
    return replace(done, repair=repair, left=left)


def _drained(ward: Ward, policy: Policy, states: Mapping[str, NodeState]) -> Conduct:
    """Who is drained, who is not, and whether the breaker opens."""
    wanted = {
        name: finding
        for name, finding in _critical(ward.findings).items()
        if (
            name in ward.standings or name in ward.workers
        )  # to drain a head of work that nobody gives it means nothing
        and is_serving(states.get(name, "new"), ward.standings.get(name))
    }
    if not wanted or not policy.drain:
        return Conduct(held=dict.fromkeys(wanted, "the policy drains nothing"))
    if ward.breaker is not None:
        return Conduct(held=dict.fromkeys(wanted, f"the breaker is open: {ward.breaker}"))
    lately = _lately(ward, policy, "draining")
    most = limit(policy, ward.total)
    room = max(0, most - len(lately))
    chosen = dict(list(wanted.items())[:room])
    held = {
        name: f"{most} nodes may be drained within {policy.within_minutes:g} minutes"
        for name in wanted
        if name not in chosen
    }
    opens = None
    if held:
        count = len(lately | set(wanted))
        span = f"{policy.within_minutes:g} minutes"
        opens = f"{count} of {ward.total} nodes were critical within {span}, {most} may be drained"
    return Conduct(chosen, breaker=opens, held=held)


def _cut_off(ward: Ward, states: Mapping[str, NodeState]) -> tuple[str, ...]:
    """Who is in a repair whose run is dead; who has taken it up holds the lock, so nobody is while anything runs."""
    return tuple(name for name in ward.verdicts if states.get(name) == "repairing" and not ward.live)


def _repaired(
    ward: Ward, policy: Policy, states: Mapping[str, NodeState], cut: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Who is repaired, and who is left to a person, and why.

    What we have drained for its health is, and is critical yet, by the steps that the policy allows. What was cut off
    is ended first, well or not: what it had stopped is not started yet.

    Only workers that somebody gives work to: on what the others serve, all of the cluster may hang, so a person repairs
    them. Not more within the policy's minutes than may be drained. With a policy that repairs, what no step has cured
    is put out for service too.
    """
    if not policy.repair:
        return (), {}
    wanted, left = [], {}
    for name in dict.fromkeys((*cut, *_critical(ward.findings))):
        standing = ward.standings.get(name)
        own = [one for one in ward.changes if one.node == name]
        if name not in ward.workers or standing is None:
            continue
        state = states.get(name, "new")
        if (state != "drained" and name not in cut) or not of_policy(standing, own):
            continue
        remedy = remedy_of(Case(name, ward.at, state, standing, ward.episodes.get(name, ()), own))
        if remedy.step == "service" or remedy.step in policy.repair:
            wanted.append(name)
        elif remedy.held:
            left[name] = f"{name} is not repaired: {remedy.why}; {remedy.hint}"
    lately = _lately(ward, policy, "repairing", "validating", "rma") - set(cut)
    return tuple(wanted[: max(0, limit(policy, ward.total) - len(lately))]), left


def _lately(ward: Ward, policy: Policy, *after: NodeState) -> set[str]:
    """The nodes that the policy has made one of `after` within its minutes."""
    since = ward.at - timedelta(minutes=policy.within_minutes)
    return {one.node for one in ward.changes if one.after in after and one.at > since and one.actor == POLICY}


def _critical(findings: Sequence[Finding]) -> dict[str, Finding]:
    """By node, the first finding that drains it."""
    found: dict[str, Finding] = {}
    for one in findings:
        if one.counts and one.verdict == "critical" and one.owner == "node":
            found.setdefault(one.node, one)
    return found


def _may_return(ward: Ward, policy: Policy, name: str, state: NodeState) -> bool:
    return (
        is_held(state, ward.standings.get(name))
        and ward.clean.get(name, 0) >= policy.clean_runs
        and not any(
            one.node == name and one.standing == "recovering" and one.verdict == "critical" for one in ward.findings
        )
        and not _unseen(ward, name)
    )


def _unseen(ward: Ward, name: str) -> bool:
    """Whether something critical goes on there by a check that the round has not made, a deep test.

    What the round has seen is judged by its findings, and what it has looked for and not seen is over.
    """
    seen = {one.key for one in ward.findings if one.node == name}
    return any(
        one.key not in seen and one.ended is None and one.counted and (one.owner, one.verdict) == ("node", "critical")
        for one in ward.episodes.get(name, ())
    )


def _followed(ward: Ward) -> tuple[StateChange, ...]:
    """Changes that only follow what was seen: well or not, drained by now, or given back by somebody else."""
    found = []
    for name, verdict in ward.verdicts.items():
        before = ward.states.get(name, "new")
        stranded = _stranded(ward, name, before)
        after, cause = stranded or _now(before, verdict, ward.standings.get(name))
        if after != before:
            first = next((one for one in ward.findings if one.node == name and one.counts), None)
            found.append(StateChange(name, ward.at, before, after, cause, "" if first is None else first.check))
    return tuple(found)


def _stranded(ward: Ward, name: str, before: NodeState) -> tuple[NodeState, str] | None:
    """What becomes of a node whose repair was cut off.

    One that was looked at is drained as before. One on which a step was taken stays as it is until that is taken up:
    what the step had stopped is not started yet, so the node must not be given back.
    """
    change = ward.last.get(name)
    if before not in UNDERWAY or change is None or change.run in ward.live:
        return None
    standing = ward.standings.get(name)
    serves = standing is not None and standing.state == "in_service"
    if before == "validating" and serves:
        return _served(ward.verdicts[name]), "given back by somebody"
    if before == "repairing" and not serves:
        return None
    return "drained", f"{CUT_OFF}: run {change.run or 'unknown'} has ended, and it had not"


def _now(before: NodeState, verdict: Verdict, standing: Standing | None) -> tuple[NodeState, str]:
    if standing is not None and before in IN_SERVICE and standing.state in {"draining", "drained"}:
        return "draining", f"drained by somebody: {standing.reason}"
    if before == "draining" and standing is not None:
        if standing.state == "drained":
            return "drained", "nothing runs there any more"
        if standing.state == "in_service":
            return _served(verdict), "given back by somebody"
    if before == "drained" and standing is not None and standing.state == "in_service":
        return _served(verdict), "given back by somebody"
    if before in IN_SERVICE and verdict != "unknown":
        after = _served(verdict)
        return after, "nothing is found" if after == "ready" else f"something is {verdict}"
    return before, ""


def _served(verdict: Verdict) -> NodeState:
    return "ready" if verdict == "ok" else "degraded"
