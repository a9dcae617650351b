"""The nodes that `--retry-failed` is about, among those that were chosen."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aiops.layers.core.errors import InputError

if TYPE_CHECKING:
    from aiops.cli.app import App
    from aiops.layers.l0_nodes.inventory import Inventory
    from aiops.layers.l0_nodes.node import Node

    from .wish import Wish


def failed_among(
    aiops: "App", inventory: "Inventory", nodes: "Sequence[Node]", phases: Sequence[str], wish: "Wish"
) -> "tuple[Node, ...]":
    """Those of `nodes` that earlier runs have left unfinished in any of `phases`.

    Raises:
        InputError: There is none (`deploy.nothing_failed`); nothing was changed.
    """
    from aiops.layers.l0_nodes.nodeset import fold
    from aiops.layers.l1_cluster.retry import failed_nodes
    from aiops.layers.l1_cluster.run import Runs

    with aiops.store() as store:
        failed = failed_nodes(Runs(store), inventory.cluster, phases)
    chosen = tuple(node for node in nodes if node.name in failed)
    if chosen:
        return chosen
    elsewhere = [node.name for node in inventory.nodes if node.name in failed]
    whole = shlex.join(replace(wish, retry_failed=False).words(inventory.path))
    raise InputError(
        f"nothing is to be retried on {fold([node.name for node in nodes])}: "
        f"no run from this machine has left a node there unfinished",
        code="deploy.nothing_failed",
        hints=[f"unfinished are {fold(elsewhere)}"] if elsewhere else [f"deploy to all: `{whole}`"],
    )
