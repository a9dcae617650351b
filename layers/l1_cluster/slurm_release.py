"""Which release of Slurm a node gets, and whether a controller understands it."""

from collections.abc import Mapping

from .bundle.offer import NotOfferedError, Offer
from .bundle.version import upstream
from .context import NodeContext

RELEASES = ("20.02", "20.11", "21.08", "22.05", "23.02", "23.11", "24.05", "24.11", "25.05", "25.11")
"""Slurm's releases in their order."""

OF_SYSTEM: Mapping[tuple[str | None, str | None], str] = {
    ("debian", "12"): "22.05",
    ("debian", "13"): "24.11",
    ("ubuntu", "22.04"): "21.08",
    ("ubuntu", "24.04"): "23.11",
}
"""What distributions bring, by id and version."""

_LONGER_REACH = RELEASES.index("24.11")


def slurm_release(node: NodeContext, bundle: Offer | None) -> str | None:
    """The release of the Slurm packages for a node: the bundle's, else its system's; None where that is unknown."""
    if node.facts is None:
        return None
    if bundle is not None and node.variables.aiops_repository == "bundle":
        try:
            version = bundle.version("slurmd", node)
        except NotOfferedError:
            version = None
        if version is not None:
            return ".".join(upstream(version).split(".")[:2])
    return OF_SYSTEM.get((node.facts.os_id, node.facts.os_version))


def reach(controller: str) -> int:
    """How many releases before its own a controller understands: two, from 24.11 on three."""
    return 3 if controller not in RELEASES or RELEASES.index(controller) >= _LONGER_REACH else 2


def understood(controller: str, node: str) -> bool | None:
    """Whether slurmctld of one release takes slurmd of another: never a newer one. None where a release is unknown."""
    if controller == node:
        return True
    if controller not in RELEASES or node not in RELEASES:
        return None
    return 0 <= RELEASES.index(controller) - RELEASES.index(node) <= reach(controller)
