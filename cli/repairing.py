"""Repairs from the command line and by policy: what is to be done about nodes, and doing it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aiops.layers.core.errors import AiopsError

from .changing import Changing
from .examining import round_of

if TYPE_CHECKING:
    from datetime import datetime

    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.facts import Facts
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.health.casebook import Look, Room, Treated
    from aiops.layers.l1_cluster.health.check import Check
    from aiops.layers.l1_cluster.health.episode import Episode
    from aiops.layers.l1_cluster.health.means import Means
    from aiops.layers.l1_cluster.health.remedy import Case, Remedy
    from aiops.layers.l1_cluster.health.site import Site
    from aiops.layers.l1_cluster.health.verdict import Action, Level

    from .app import App
    from .screen import Screen


@dataclass(frozen=True)
class Course:
    """What is to be done about nodes.

    Attributes:
        remedies: By node, of all that were asked about.
        cases: What that rests on.
        facts: Of those that answered.
    """

    nodes: "tuple[Node, ...]"
    remedies: "Mapping[str, Remedy]"
    cases: "Mapping[str, Case]"
    facts: "Mapping[str, Facts]"

    @property
    def due(self) -> "tuple[Node, ...]":
        """The nodes that have a step."""
        return tuple(node for node in self.nodes if self.remedies[node.name].step is not None)


@dataclass(frozen=True)
class Repairs:
    """Repairs on one cluster.

    Attributes:
        site: What the site says of health: how many nodes at once, and by what they are judged.
    """

    aiops: "App"
    screen: "Screen"
    inventory: "Inventory"
    checks: "tuple[Check, ...]"
    site: "Site"

    def course(
        self,
        store: "Store",
        fleet: "Fleet",
        nodes: "Sequence[Node]",
        wish: "Action | None" = None,
        *,
        wait: bool = False,
    ) -> Course:
        """What is to be done about `nodes`; they are asked, and nothing is changed.

        Args:
            store: Of the cluster's register and history.
            fleet: Reaches them.
            nodes: The nodes.
            wish: The step that a person wants.
            wait: Whether nodes that a run before this one was rebooting are waited for.
        """
        from aiops.layers.l1_cluster.draining import standings, workloads_of
        from aiops.layers.l1_cluster.health.attempt import WINDOW
        from aiops.layers.l1_cluster.health.history import HealthHistory
        from aiops.layers.l1_cluster.health.register import Register
        from aiops.layers.l1_cluster.health.remedy import Case, Remedy, present, remedy_of

        now, cluster = self.aiops.clock.now(), self.inventory.cluster
        names = [node.name for node in nodes]
        register = Register(store, cluster)
        if wait:
            self._await(store, fleet, nodes)
        found = standings(workloads_of(self.aiops.plugins, self.inventory, fleet), nodes)
        states, changes = register.states(), register.changes(now - WINDOW, names)
        history = HealthHistory(store, cluster)
        episodes, looks = history.recall(names, now).open.values(), history.latest(names)
        deep = {check.id for check in self.checks if check.level == "deep"}
        facts, errors = self._ask(fleet, nodes)
        cases: dict[str, Case] = {}
        remedies: dict[str, Remedy] = {}
        for name in names:
            looked = looks[name].last if name in looks else None
            own = present((one for one in episodes if one.node == name), looked, deep)
            mine = tuple(one for one in changes if one.node == name)
            means = self._means(facts[name], own) if name in facts else None
            cases[name] = Case(name, now, states.get(name, "new"), found.get(name), own, mine, means)
            remedy = remedy_of(cases[name], wish)
            if means is None and remedy.step not in {None, "service"}:
                error = errors[name]
                hint = "; ".join(error.hints) or "once it answers: the same command again"
                remedy = Remedy(name, None, error.message, hint=hint)
            remedies[name] = remedy
        return Course(tuple(nodes), remedies, cases, facts)

    def treat(self, change: Changing, course: Course, *, wished: bool, actor: str) -> "dict[str, Treated]":
        """Do what is due, a few nodes at a time, and say what has become of each.

        Raises:
            ConflictError: The cluster lock was lost.
            FailedError: Its keeper does not answer, or the store cannot be written.
        """
        from aiops.layers.l1_cluster.health.conduct import limit
        from aiops.layers.l1_cluster.health.treatment import Treatment

        due = course.due
        workers = [node for node in self.inventory.nodes if "workers" in node.roles]
        at_once = limit(self.site.policy, len(workers or self.inventory.nodes))
        with (
            self._room(change, course, actor) as own,
            self.screen.step("repair", nodes=[node.name for node in due]) as step,
        ):
            room = replace(own, on_done=lambda node, failed: step.done(node, failed=failed))
            return Treatment(room, course.cases, course.facts, wished=wished).treat(due, course.remedies, at_once)

    @contextmanager
    def _room(self, change: Changing, course: Course, actor: str) -> "Iterator[Room]":
        from aiops.layers.l1_cluster.gate import FleetGate
        from aiops.layers.l1_cluster.health.casebook import Room
        from aiops.layers.l1_cluster.health.register import Register
        from aiops.layers.l1_cluster.health.repair_playbook import playbook_of
        from aiops.layers.l1_cluster.playbook import Playbook
        from aiops.layers.l1_cluster.render import PrivateFolder

        aiops, inventory = self.aiops, self.inventory
        with PrivateFolder(aiops.environment, aiops.home) as private:
            forks = inventory.settings.forks
            playbook = Playbook(private.path, inventory.path, aiops.environment, aiops.working_folder, forks)
            try:
                yield Room(
                    Register(change.store, inventory.cluster),
                    change.workloads,
                    change.events,
                    change.lock,
                    FleetGate(change.fleet),
                    aiops.clock,
                    actor,
                    private.path,
                    lambda step: replace(playbook, playbook=playbook_of(step)),
                    lambda nodes: self._ask(change.fleet, nodes)[0],
                    lambda nodes, repaired: self._look(change, nodes, repaired),
                    self._booted(change.store, course),
                )
            finally:
                playbook.close()

    def _look(self, change: Changing, nodes: "Sequence[Node]", repaired: "Mapping[str, datetime]") -> "Look":
        from aiops.layers.l1_cluster.health.casebook import Look
        from aiops.layers.l1_cluster.health.history import HealthHistory

        store, fleet, inventory = change.store, change.fleet, self.inventory
        history, names = HealthHistory(store, inventory.cluster), [node.name for node in nodes]
        round_ = round_of(
            self.aiops,
            store,
            fleet,
            inventory,
            nodes=nodes,
            checks=self.checks,
            site=self.site,
            level=self._level(history.recall(names, self.aiops.clock.now()).open.values()),
            repaired=repaired,
        )
        report = round_.make(nodes)
        open_ = history.recall(names, report.at).open.values()
        return Look(report.verdicts, {name: [one for one in open_ if one.node == name] for name in report.nodes})

    def _level(self, episodes: "Iterable[Episode]") -> "Level":
        """The least level at which it is seen whether what was critical is over: a deep test is made again."""
        deep = {check.id for check in self.checks if check.level == "deep"}
        again = any(one.check in deep and one.counted and one.verdict == "critical" for one in episodes)
        return "deep" if again else "standard"

    def _booted(self, store: "Store", course: Course) -> "dict[str, str | None]":
        """By node whose repair was cut off, the boot that its reboot was to end."""
        from aiops.layers.l1_cluster.health.casebook import boots_before
        from aiops.layers.l1_cluster.run import Runs

        found = {}
        for name, remedy in course.remedies.items():
            changes = [one for one in course.cases[name].changes if one.after == "repairing"]
            if remedy.resumed and remedy.step == "reboot" and changes:
                found[name] = boots_before(Runs(store).events(changes[-1].run)).get(name)
        return found

    def _await(self, store: "Store", fleet: "Fleet", nodes: "Sequence[Node]") -> None:
        """Wait for nodes that a run before this one was rebooting when it was cut off."""
        from aiops.layers.l1_cluster.prober import FleetProber
        from aiops.layers.l1_cluster.returning import await_returning, returning_of
        from aiops.layers.l1_cluster.run import Runs

        away = returning_of(Runs(store), self.inventory.cluster, self.aiops.clock)
        names = [node.name for node in nodes if node.name in away]
        if names:
            prober = FleetProber(fleet, self.aiops.vendors(), self.aiops.clock)
            with self.screen.step("reboots", nodes=names) as step:
                await_returning(prober, nodes, away, self.aiops.clock, step.done)

    def _ask(self, fleet: "Fleet", nodes: "Sequence[Node]") -> "tuple[dict[str, Facts], dict[str, AiopsError]]":
        """The facts of nodes, and why some do not answer."""
        from aiops.layers.l1_cluster.prober import FleetProber

        prober = FleetProber(fleet, self.aiops.vendors(), self.aiops.clock)
        facts: dict[str, Facts] = {}
        errors: dict[str, AiopsError] = {}
        for outcome in prober.probe(nodes, prober.fact_asks):
            if outcome.value is not None:
                facts[outcome.node.name] = prober.facts(outcome.value)
            elif outcome.error is not None:
                errors[outcome.node.name] = outcome.error
        return facts, errors

    def _means(self, facts: "Facts", episodes: "Sequence[Episode]") -> "Means":
        from aiops.layers.l1_cluster.doors import this_machine
        from aiops.layers.l1_cluster.health.means import means_of

        here = this_machine()
        by_id = {check.id: check for check in self.checks}
        on_it = here is not None and facts.boot_id == here[1]
        return means_of(facts, self.aiops.vendors(), episodes, by_id, here=on_it)


def only(course: Course, steps: "Collection[Action]") -> Course:
    """The same, for nodes whose step is one of `steps`."""
    chosen = tuple(node for node in course.nodes if course.remedies[node.name].step in steps)
    return replace(course, nodes=chosen)
