"""How nodes are examined from the command line: by which checks, beside what is normal, since which repair."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from aiops.layers.core.store import Store
    from aiops.layers.l0_nodes.fleet import Fleet
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.health.check import Check
    from aiops.layers.l1_cluster.health.round import Round
    from aiops.layers.l1_cluster.health.site import Site
    from aiops.layers.l1_cluster.health.verdict import Level
    from aiops.layers.l1_cluster.health.witness import Witness

    from .app import App

_BACK = timedelta(hours=26)
"""As long as counters are remembered."""


def round_of(
    aiops: "App",
    store: "Store",
    fleet: "Fleet",
    inventory: "Inventory",
    *,
    nodes: "Sequence[Node]",
    checks: "Sequence[Check]",
    site: "Site",
    level: "Level" = "standard",
    repaired: "Mapping[str, datetime] | None" = None,
    witness: "Witness | None" = None,
) -> "Round":
    """A round that is remembered in the store.

    Args:
        aiops: The outside world.
        store: Where it is remembered.
        fleet: Reaches the nodes.
        inventory: Of the cluster.
        nodes: Those that are asked.
        checks: Those that are wanted.
        site: What the site says of health.
        level: How much is asked.
        repaired: When nodes were repaired just now, beside what the register knows.
        witness: The cluster's Prometheus. It tells of hours: after a repair it is not asked.

    Raises:
        InputError: The file of what is normal is wrong.
    """
    from aiops.layers.l1_cluster.health.history import HealthHistory
    from aiops.layers.l1_cluster.health.normal_file import normals_path, read_normals
    from aiops.layers.l1_cluster.health.register import Register
    from aiops.layers.l1_cluster.health.round import Round

    groups = {group for node in inventory.nodes for group in node.groups}
    normals = read_normals(normals_path(inventory.path), groups)
    known = Register(store, inventory.cluster).repaired(aiops.clock.now() - _BACK)
    return Round(
        fleet,
        aiops.vendors(),
        checks,
        site.rules,
        aiops.clock,
        level,
        {node.name: normals.expected(node) for node in nodes},
        HealthHistory(store, inventory.cluster),
        witness=witness,
        repaired={**known, **(repaired or {})},
    )
