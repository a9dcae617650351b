"""The bundle that a command's nodes install from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiops.cli.app import App
    from aiops.layers.l0_nodes.node import Node
    from aiops.layers.l1_cluster.bundle.offer import Offer


def offer_of(aiops: "App", nodes: "Sequence[Node]") -> "Offer | None":
    """The bundle that `nodes` install from, opened; None where none does.

    Raises:
        NotFoundError, FailedError: As `Bundle.open`.
    """
    from aiops.layers.l0_nodes.variables import variables_of
    from aiops.layers.l1_cluster.bundle.offer import open_offer

    bundled = [one for one in map(variables_of, nodes) if one.aiops_repository == "bundle"]
    if not bundled:
        return None
    path = next((one.aiops_bundle for one in bundled if one.aiops_bundle), None)
    return open_offer(aiops.working_folder / path if path else aiops.home / "bundle", aiops.home)
