"""Values that cannot be true, whichever answer they stand in."""

from dataclasses import replace

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.telling import Telling


def checked(device: Accelerator, telling: Telling) -> Accelerator:
    """The device without a temperature of 0 °C: so a device is told that does not answer its driver."""
    if device.temperature_c != 0:
        return device
    telling.unknown[f"{device.index}.temperature"] = "it says 0 C, as for a device that does not answer its driver"
    return replace(device, temperature_c=None)
