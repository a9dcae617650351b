"""How one invocation looks at nodes: a round, remembered, and what is done about it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiops.cli.app import App
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

    def look(self) -> "tuple[Report, acting.Acted]":
        """One round, remembered in the store, and acted on where that is wanted."""
        from aiops.layers.l1_cluster.health.conduct import decide
        from aiops.layers.l1_cluster.health.history import HealthHistory
        from aiops.layers.l1_cluster.health.normal_file import normals_path, read_normals
        from aiops.layers.l1_cluster.health.round import Round

        aiops, inventory, nodes = self.aiops, self.inventory, self.nodes
        groups = {group for node in inventory.nodes for group in node.groups}
        normals = read_normals(normals_path(inventory.path), groups)
        with (
            aiops.store() as store,
            aiops.fleet(inventory, width=self.forks or inventory.settings.forks) as fleet,
        ):
            with self.screen.step("health", nodes=[node.name for node in nodes]) as step:
                round_ = Round(
                    fleet,
                    aiops.vendors(),
                    self.checks,
                    self.site.rules,
                    aiops.clock,
                    self.level,  # type: ignore[arg-type]  # one of the three, by its enumeration
                    {node.name: normals.expected(node) for node in nodes},
                    HealthHistory(store, inventory.cluster),
                    _witness(aiops, store, fleet, inventory),
                )
                report = round_.make(nodes, lambda node, failed: step.done(node, failed=failed))
            if self.words is None:
                return report, acting.Acted()
            ward = acting.ward_of(aiops, store, fleet, inventory=inventory, nodes=nodes, report=report)
            conduct = decide(ward, self.site.policy)
            acting.follow(store, inventory, conduct, ward)
            acted = acting.act(
                aiops, self.screen, fleet, inventory=inventory, ward=ward, conduct=conduct, words=self.words
            )
        return report, acted


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
