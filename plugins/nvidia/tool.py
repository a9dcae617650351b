"""How `nvidia-smi` ends, in words."""

from collections.abc import Mapping

from aiops.layers.l0_nodes import trouble as ending
from aiops.layers.l0_nodes.ask import Answer

BAD_INFOROM = 14
"""It ends with this, and all devices are told nonetheless."""

_EXITS: Mapping[int, str] = {
    2: "it did not understand the query",
    3: "the query is not available on this device",
    4: "no permission",
    6: "no devices were found",
    8: "a power cable is not attached",
    9: "the driver is not loaded",
    10: "the kernel sees an interrupt problem of a device",
    12: "the NVML library was not found",
    13: "this NVML library does not know the query",
    BAD_INFOROM: "an infoROM is corrupted",
    15: "a device has fallen off the bus",
    18: "driver and library are of different versions",
}


def trouble(answer: Answer) -> str | None:
    """Why `nvidia-smi` has no good answer here, in one line; None when it has one."""
    return ending.trouble(answer, "nvidia-smi", _EXITS, absent="no driver is installed")
