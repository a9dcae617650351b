"""The checks of what only NVIDIA tells, as a plugin of the kind `health`."""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l1_cluster.health.check import Check


@hookimpl
def health_checks() -> tuple[Check, ...]:
    """The checks of this plugin."""
    from . import device_checks, fabric, kernel_checks

    return (*kernel_checks.CHECKS, *device_checks.CHECKS, *fabric.CHECKS)
