"""`aiops health --act`: what the policy does about what was found, and what is told of it."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from aiops.cli.app import App
from aiops.cli.changing import changing
from aiops.cli.exit import Exit
from aiops.cli.screen import Screen
from aiops.layers.core.errors import AiopsError, ConflictError

if TYPE_CHECKING:
    from aiops.cli.repairing import Course, Repairs
    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.health.conduct import Conduct, Ward
    from aiops.layers.l1_cluster.health.round import Report

LOCK = "lock"
"""The key of what waits because another changes the cluster."""

REPAIRS = "repairs"
"""The key of what waits because repairs could not be made."""

_BACK = timedelta(days=1)
"""So far is looked back for looks in a row at which a node was well."""


@dataclass(frozen=True)
class Acted:
    """What has come of a decision.

    Attributes:
        done: What was done, a line each.
        waiting: Why something is not done yet, by a key that stays the same while that lasts.
        more: Whether repairs come after it.
    """

    done: tuple[str, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)
    more: bool = False

    def then(self, other: "Acted") -> "Acted":
        """This, and what came after it."""
        return Acted((*self.done, *other.done), {**self.waiting, **other.waiting}, other.more)


def ward_of(
    aiops: App, store: "Store", fleet: "Fleet", *, inventory: "Inventory", nodes: "Sequence[Node]", report: "Report"
) -> "Ward":
    """All that is known when it is decided what to do about a report."""
    from aiops.layers.l1_cluster.draining import standings, workloads_of
    from aiops.layers.l1_cluster.health.attempt import WINDOW
    from aiops.layers.l1_cluster.health.conduct import Ward, mere_workers
    from aiops.layers.l1_cluster.health.history import HealthHistory
    from aiops.layers.l1_cluster.health.node_state import IN_SERVICE
    from aiops.layers.l1_cluster.health.register import Register
    from aiops.layers.l1_cluster.health.stretch import clean_looks
    from aiops.layers.l1_cluster.run import Runs

    register = Register(store, inventory.cluster)
    history = HealthHistory(store, inventory.cluster)
    since = report.at - _BACK
    last = register.last()
    found = standings(workloads_of(aiops.plugins, inventory, fleet), nodes)
    left = {name for name, change in last.items() if change.after not in IN_SERVICE} | {
        name for name, one in found.items() if one.state != "in_service"
    }
    out = [node.name for node in nodes if node.name in left]
    episodes = history.recall(out, report.at).open.values() if out else ()
    breaker = register.breaker
    workers = inventory.role("workers")
    return Ward(
        report.at,
        report.findings,
        report.verdicts,
        {name: change.after for name, change in last.items()},
        found,
        clean_looks(history.stretches(since, nodes=[node.name for node in nodes])),
        register.changes(report.at - WINDOW),
        len(workers or inventory.nodes),
        None if breaker is None else breaker.why,
        last,
        frozenset(run.id for run in Runs(store).running(inventory.cluster)) if out else frozenset(),
        {name: [one for one in episodes if one.node == name] for name in out},
        mere_workers(inventory.nodes),
    )


def follow(store: "Store", inventory: "Inventory", conduct: "Conduct", ward: "Ward") -> None:
    """Write down what nodes have become by themselves, and that the breaker opens."""
    from aiops.layers.l1_cluster.health.register import Register

    register = Register(store, inventory.cluster)
    register.enter(conduct.became)
    if conduct.breaker is not None:
        register.open_breaker(ward.at, conduct.breaker)


def in_turn(
    aiops: App,
    screen: Screen,
    fleet: "Fleet",
    *,
    inventory: "Inventory",
    ward: "Ward",
    conduct: "Conduct",
    words: Sequence[str],
    repairs: "Repairs",
) -> "Generator[Acted, None, None]":
    """Do what was decided, the quick things first: what has come of them, then of repairs, where any are due."""
    acted = act(aiops, screen, fleet, inventory=inventory, ward=ward, conduct=conduct, words=words)
    by_name = {node.name: node for node in inventory.nodes}
    patients = [by_name[name] for name in conduct.repair]
    if patients:  # asked before a run is begun, for some are then left to a person
        with aiops.store() as store:
            due = due_of(repairs, store, fleet, patients)
        patients = list(due.course.nodes)
        acted = acted.then(Acted((), due.waiting, bool(patients)))
    yield acted
    if patients:
        yield repair(aiops, fleet, patients, words, repairs)


def act(
    aiops: App,
    screen: Screen,
    fleet: "Fleet",
    *,
    inventory: "Inventory",
    ward: "Ward",
    conduct: "Conduct",
    words: Sequence[str],
) -> Acted:
    """Drain and give back as it was decided, where that still holds once the cluster is locked.

    While another changes the cluster nothing is done, and that is told: the next run comes.
    """
    from aiops.layers.l1_cluster.draining import standings
    from aiops.layers.l1_cluster.health.conduct import is_held, is_serving
    from aiops.layers.l1_cluster.health.hold_reason import POLICY, REASON
    from aiops.layers.l1_cluster.health.register import Register
    from aiops.layers.l1_cluster.health.withdrawal import Cause, Withdrawal

    by_name = {node.name: node for node in inventory.nodes}
    waiting = held(ward, conduct)
    if not conduct.drain and not conduct.resume:
        return Acted(waiting=waiting)
    done: list[str] = []
    try:
        with changing(aiops, screen, inventory, words, fleet, only_if_free=True) as change:
            register = Register(change.store, inventory.cluster)
            withdrawal = Withdrawal(
                register, change.workloads, change.events, lock=change.lock, clock=aiops.clock, actor=POLICY
            )
            # It was decided before the lock was ours: somebody may have drained or given back since.
            served = standings(change.workloads, [by_name[name] for name in (*conduct.drain, *conduct.resume)])
            states = register.states()
            run = change.events.run
            causes = {
                name: Cause(f"{REASON} {one.check}, run {run}: {one.words}", f"{one.check}: {one.words}", one.check)
                for name, one in conduct.drain.items()
                if is_serving(states.get(name, "new"), served.get(name))
            }
            withdrawal.drain([by_name[name] for name in causes], causes, states, served)
            done += [f"drained {name}: {cause.words}" for name, cause in causes.items()]
            back = [by_name[name] for name in conduct.resume if is_held(states.get(name, "new"), served.get(name))]
            if back:
                withdrawal.resume(back, "nothing critical is found any more", states, served)
                done += [f"gave {node.name} work again: nothing critical is found any more" for node in back]
            change.journal.end(Exit.DONE)
    except ConflictError as error:
        waiting[LOCK] = f"nothing is changed for now: {error.message}"
    except AiopsError as error:
        waiting[error.code] = f"what was decided could not be done: {error.message}"
    return Acted(tuple(done), waiting)


def repair(aiops: App, fleet: "Fleet", patients: "Sequence[Node]", words: Sequence[str], repairs: "Repairs") -> Acted:
    """Repair what the policy may repair of `patients`, which takes minutes; else as `act`."""
    from aiops.layers.l1_cluster.health.hold_reason import POLICY

    done: list[str] = []
    try:
        with changing(aiops, repairs.screen, repairs.inventory, words, fleet, only_if_free=True) as change:
            course = due_of(repairs, change.store, fleet, patients).course
            treated = repairs.treat(change, course, wished=False, actor=POLICY) if course.nodes else {}
            for name, one in treated.items():
                done.append(f"{'not repaired' if one.failed else 'repaired'} {name} ({one.step}): {one.words}")
            change.journal.end(Exit.FAILED if any(one.failed for one in treated.values()) else Exit.DONE)
    except ConflictError as error:
        return Acted(tuple(done), {LOCK: f"nothing is changed for now: {error.message}"})
    except AiopsError as error:
        return Acted(tuple(done), {REPAIRS: f"what was to be repaired could not be: {error.message}"})
    return Acted(tuple(done))


@dataclass(frozen=True)
class Due:
    """What the policy may repair.

    Attributes:
        course: Of the nodes whose next step it allows.
        waiting: Why others are left to a person, by a key that stays the same while that lasts.
    """

    course: "Course"
    waiting: Mapping[str, str]


def due_of(repairs: "Repairs", store: "Store", fleet: "Fleet", nodes: "Sequence[Node]") -> Due:
    """What the policy may repair of `nodes`: they are asked, for what a vendor's devices allow is known only then."""
    from aiops.cli.repairing import only

    course = repairs.course(store, fleet, nodes)
    due = only(course, {*repairs.site.policy.repair, "service"})
    waiting = {}
    for node in nodes:
        remedy = course.remedies[node.name]
        if node not in due.nodes:
            what = f"the next step is {remedy.step}, which the policy does not take" if remedy.step else remedy.why
            waiting[f"repair: {node.name}"] = f"not repaired: {node.name}: {what}: `aiops node repair {node.name}`"
    return Due(due, waiting)


def held(ward: "Ward", conduct: "Conduct") -> dict[str, str]:
    """Why nodes that are critical are not drained, who waits for a person, and that the breaker is open."""
    from aiops.layers.l0_nodes.nodeset import fold

    left = {f"repair: {name}": why for name, why in conduct.left.items()}
    breaker = conduct.breaker or ward.breaker
    if breaker is not None:
        who = f"; not drained: {fold(conduct.held)}" if conduct.held else ""
        why = f"the breaker is open: {breaker}{who}; close it with `aiops health rearm` once that is understood"
        return {"breaker": why, **left}
    reasons: dict[str, list[str]] = {}
    for name, reason in conduct.held.items():
        reasons.setdefault(reason, []).append(name)
    told = {f"held: {reason}": f"not drained: {fold(names)}: {reason}" for reason, names in reasons.items()}
    return {**told, **left}
