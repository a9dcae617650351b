"""How one invocation looks at nodes: a round, remembered, and what is done about it."""

import shlex
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiops.cli.app import App
from aiops.cli.changing import changing
from aiops.cli.duration import spell
from aiops.cli.examining import round_of
from aiops.cli.exit import Exit
from aiops.cli.repairing import Repairs
from aiops.cli.screen import Screen

from . import acting

if TYPE_CHECKING:
    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.health.check import Check
    from aiops.layers.l1_cluster.health.notifier import Notifier
    from aiops.layers.l1_cluster.health.round import Report
    from aiops.layers.l1_cluster.health.site import Site
    from aiops.layers.l1_cluster.health.witness import Witness


@contextmanager
def kept_idle(
    aiops: App, screen: Screen, inventory: "Inventory", fleet: "Fleet", nodes: "Sequence[Node]", *, words: Sequence[str]
) -> Iterator[None]:
    """Hold the cluster's lock for deep tests, so that nobody gives the nodes back while they are loaded.

    Raises:
        ConflictError: Some of `nodes` are in service, or it is not known; or another holds the lock.
        FailedError: The head, which keeps it, does not answer.
    """
    from aiops.layers.l1_cluster.draining import standings
    from aiops.layers.l1_cluster.health.admission import require_out_of_service

    with changing(aiops, screen, inventory, words, fleet) as change:
        require_out_of_service(nodes, standings(change.workloads, nodes), shlex.join(words))
        yield
        change.journal.end(Exit.DONE)


@dataclass(frozen=True)
class Looking:
    """How nodes are looked at in one invocation.

    Attributes:
        words: The command, where it is to be acted; None where it is only looked.
        notifiers: Who is told of changes after a look from cron.
    """

    aiops: App
    screen: Screen
    inventory: "Inventory"
    nodes: "tuple[Node, ...]"
    checks: "tuple[Check, ...]"
    site: "Site"
    level: str
    forks: int | None
    words: list[str] | None
    notifiers: "tuple[Notifier, ...]" = ()

    def out(self) -> frozenset[str]:
        """The nodes that are out of service, as far as we know."""
        from aiops.layers.l1_cluster.health.node_state import IN_SERVICE
        from aiops.layers.l1_cluster.health.register import Register

        with self.aiops.store() as store:
            states = Register(store, self.inventory.cluster).states()
        return frozenset(name for name, state in states.items() if state not in IN_SERVICE)

    def look(self) -> "tuple[Report, acting.Acted]":
        """One round, remembered in the store, and acted on where that is wanted."""
        (report, acted), *later = self.steps()
        for _, more in later:
            acted = acted.then(more)
        return report, acted

    def steps(self) -> "Generator[tuple[Report, acting.Acted], None, None]":
        """The same in two steps, each with what it has come to: first all but repairs; then these, where any are due.

        Repairs take minutes: whoever is to be told is told of the first step before the second is made.
        """
        from aiops.layers.l1_cluster.health.catalogue import checks_of
        from aiops.layers.l1_cluster.health.conduct import decide

        aiops, inventory, nodes = self.aiops, self.inventory, self.nodes
        with (
            aiops.store() as store,
            aiops.fleet(inventory, width=self.forks or inventory.settings.forks) as fleet,
        ):
            round_ = round_of(
                aiops,
                store,
                fleet,
                inventory,
                nodes=nodes,
                checks=self.checks,
                site=self.site,
                level=self.level,  # type: ignore[arg-type]  # one of the three, by its enumeration
                witness=_witness(aiops, store, fleet, inventory),
            )
            with ExitStack() as stack:
                if self.level == "deep":
                    words = ("aiops", "health", "--level", "deep")
                    stack.enter_context(kept_idle(aiops, self.screen, inventory, fleet, nodes, words=words))
                    self.screen.note(f"deep tests take up to {spell(round_.seconds)} of each node")
                step = stack.enter_context(self.screen.step("health", nodes=[node.name for node in nodes]))
                report = round_.make(nodes, lambda node, failed: step.done(node, failed=failed))
            if self.words is None:
                yield report, acting.Acted()
                return
            ward = acting.ward_of(aiops, store, fleet, inventory=inventory, nodes=nodes, report=report)
            conduct = decide(ward, self.site.policy)
            acting.follow(store, inventory, conduct, ward)
            turns = acting.in_turn(
                aiops,
                self.screen,
                fleet,
                inventory=inventory,
                ward=ward,
                conduct=conduct,
                words=self.words,
                repairs=Repairs(aiops, self.screen, inventory, checks_of(aiops.plugins), self.site),
            )
            for acted in turns:
                yield report, acted


def _witness(aiops: App, store: "Store", fleet: "Fleet", inventory: "Inventory") -> "Witness | None":
    """The Prometheus that we have deployed on the head; None where we have not, or have taken it back."""
    from aiops.layers.l1_cluster.health.witness import Witness
    from aiops.layers.l1_cluster.phase import providers
    from aiops.layers.l1_cluster.run import Runs
    from aiops.layers.l1_cluster.status import in_place

    head = inventory.head
    if head is None or not in_place(Runs(store).latest_results(inventory.cluster), providers("metrics"), head.name):
        return None
    return Witness(fleet, head, inventory.cluster, aiops.clock)
