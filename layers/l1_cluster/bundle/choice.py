"""Which bundle an inventory names: one for the whole cluster, for the head serves one. Pure."""

from pathlib import PurePath

from aiops.layers.core.errors import InputError, Problem
from aiops.layers.l0_nodes.inventory import Inventory
from aiops.layers.l0_nodes.nodeset import fold
from aiops.layers.l0_nodes.variables import variables_of


def named_bundle(inventory: Inventory) -> str | None:
    """The path that `aiops_bundle` says, of the head and of all nodes that install from the bundle.

    It is the same one whichever nodes are chosen: a deploy of some must not change what the head serves to the others.

    Returns:
        None where nobody says one.

    Raises:
        InputError: `bundle.several`: they say different ones; each is told with its nodes.
    """
    named: dict[PurePath, list[str]] = {}
    for node in inventory.nodes:
        variables = variables_of(node)
        if variables.aiops_bundle and (variables.aiops_repository == "bundle" or node == inventory.head):
            named.setdefault(PurePath(variables.aiops_bundle), []).append(node.name)
    if len(named) > 1:
        raise InputError(
            f"cluster {inventory.cluster} names {len(named)} bundles, and its head serves one",
            code="bundle.several",
            problems=[Problem(f"`aiops_bundle: {path}`, for {fold(nodes)}") for path, nodes in named.items()],
            hints=["say `aiops_bundle` once, for all nodes: one bundle serves all releases that it is built for"],
        )
    return str(next(iter(named))) if named else None
