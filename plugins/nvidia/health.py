"""The checks of what only NVIDIA tells, as a plugin of the kind `health`."""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l1_cluster.health.check import Check


@hookimpl
def health_checks() -> tuple[Check, ...]:
    """The checks of this plugin."""
    from . import copying, device_checks, diagnosis, fabric, kernel_checks

    parts = (kernel_checks, device_checks, fabric, diagnosis, copying)
    return tuple(check for part in parts for check in part.CHECKS)
