"""The bundle that a command's nodes install from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiops.cli.app import App
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.bundle.offer import Offer


def offer_of(aiops: "App", inventory: "Inventory", nodes: "Sequence[Node]") -> "Offer | None":
    """The bundle that `nodes` of `inventory` install from, opened; None where none does.

    Raises:
        InputError: As `named_bundle`.
        NotFoundError, FailedError: As `Bundle.open`.
    """
    from aiops.layers.l0_nodes.variables import variables_of
    from aiops.layers.l1_cluster.bundle.choice import named_bundle
    from aiops.layers.l1_cluster.bundle.offer import open_offer

    if all(variables_of(node).aiops_repository != "bundle" for node in nodes):
        return None
    path = named_bundle(inventory)
    return open_offer(aiops.working_folder / path if path else aiops.home / "bundle", aiops.home)
