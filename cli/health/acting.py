"""`aiops health --act`: what the policy does about what was found, and what is told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from aiops.cli.app import App
from aiops.cli.changing import changing
from aiops.cli.exit import Exit
from aiops.cli.screen import Screen
from aiops.layers.core.errors import AiopsError, ConflictError

if TYPE_CHECKING:
    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.health.conduct import Conduct, Ward
    from aiops.layers.l1_cluster.health.round import Report

_BACK = timedelta(days=1)


@dataclass(frozen=True)
class Acted:
    """What has come of a decision.

    Attributes:
        done: What was done, a line each.
        waiting: Why something is not done yet, by a key that stays the same while that lasts.
    """

    done: tuple[str, ...] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, a line each."""
        return (*self.done, *self.waiting.values())


def ward_of(
    aiops: App, store: "Store", fleet: "Fleet", *, inventory: "Inventory", nodes: "Sequence[Node]", report: "Report"
) -> "Ward":
    """All that is known when it is decided what to do about a report."""
    from aiops.layers.l1_cluster.draining import standings, workloads_of
    from aiops.layers.l1_cluster.health.conduct import Ward
    from aiops.layers.l1_cluster.health.history import HealthHistory
    from aiops.layers.l1_cluster.health.register import Register
    from aiops.layers.l1_cluster.health.stretch import clean_looks

    register = Register(store, inventory.cluster)
    since = report.at - _BACK
    breaker = register.breaker
    workers = [node for node in inventory.nodes if "workers" in node.roles]
    return Ward(
        report.at,
        report.findings,
        report.verdicts,
        register.states(),
        standings(workloads_of(aiops.plugins, inventory, fleet), nodes),
        clean_looks(HealthHistory(store, inventory.cluster).stretches(since, nodes=[node.name for node in nodes])),
        register.changes(since),
        len(workers or inventory.nodes),
        None if breaker is None else breaker.why,
    )


def follow(store: "Store", inventory: "Inventory", conduct: "Conduct", ward: "Ward") -> None:
    """Write down what nodes have become by themselves, and that the breaker opens."""
    from aiops.layers.l1_cluster.health.register import Register

    register = Register(store, inventory.cluster)
    register.enter(conduct.became)
    if conduct.breaker is not None:
        register.open_breaker(ward.at, conduct.breaker)


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
    """Drain and give back as it was decided.

    While another changes the cluster nothing is done, and that is told: the next run comes.
    """
    from aiops.layers.l1_cluster.draining import standings
    from aiops.layers.l1_cluster.health.conduct import POLICY, REASON
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
            run = change.events.run
            causes = {
                name: Cause(f"{REASON} {one.check}, run {run}: {one.words}", f"{one.check}: {one.words}", one.check)
                for name, one in conduct.drain.items()
            }
            named = [by_name[name] for name in (*causes, *conduct.resume)]
            served = standings(change.workloads, named)
            withdrawal.drain([by_name[name] for name in causes], causes, register.states(), served)
            done += [f"drained {name}: {cause.words}" for name, cause in causes.items()]
            back = [by_name[name] for name in conduct.resume]
            if back:
                withdrawal.resume(back, "nothing critical is found any more", register.states(), served)
                done += [f"gave {node.name} work again: nothing critical is found any more" for node in back]
            change.journal.end(Exit.DONE)
    except ConflictError as error:
        waiting["lock"] = f"nothing is changed for now: {error.message}"
    except AiopsError as error:
        waiting[error.code] = f"what was decided could not be done: {error.message}"
    return Acted(tuple(done), waiting)


def held(ward: "Ward", conduct: "Conduct") -> dict[str, str]:
    """Why nodes that are critical are not drained, and that the breaker is open."""
    from aiops.layers.l0_nodes.nodeset import fold

    breaker = conduct.breaker or ward.breaker
    if breaker is not None:
        who = f"; not drained: {fold(conduct.held)}" if conduct.held else ""
        why = f"the breaker is open: {breaker}{who}; close it with `aiops health rearm` once that is understood"
        return {"breaker": why}
    reasons: dict[str, list[str]] = {}
    for name, reason in conduct.held.items():
        reasons.setdefault(reason, []).append(name)
    return {f"held: {reason}": f"not drained: {fold(names)}: {reason}" for reason, names in reasons.items()}
