"""Values that need more than a look at their cell, alike in document and table."""

from aiops.layers.l0_nodes import cell
from aiops.layers.l0_nodes.telling import Telling


def ecc_enabled(value: str) -> bool | None:
    """Whether the memory corrects itself: `On-die, EDC` is what devices say that always do."""
    return True if "on-die" in value.lower() else cell.flag(value)


def credible(subject: str, used: int | None, total: int | None, telling: Telling) -> int | None:
    """The memory in use, unless it is more than there is: so the tool says where the IOMMU is not set up."""
    if used is not None and total is not None and used > total:
        telling.unknown[subject] = f"{used} MiB are said to be in use of {total} MiB"
        return None
    return used


def partitioned(kind: str) -> bool | None:
    """Whether a device is divided, by its type: `Physical`, or `MPC Parent` of virtual ones."""
    return {"physical": False, "mpc parent": True}.get(kind.lower())
