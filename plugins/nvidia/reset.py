"""How NVIDIA's devices are reset."""

from collections.abc import Sequence

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.vendor import Reset

HOLDERS = (
    "nvidia-persistenced.service",
    "nvidia-dcgm.service",
    "dcgm.service",
    "nvidia-dcgm-exporter.service",
    "dcgm-exporter.service",
)
"""What keeps devices open, so that `nvidia-smi` says `In use by another client`: the daemon of the persistence mode,
and DCGM with its exporter, under their names in NVIDIA's packages and in the distributions."""

FABRIC_MANAGER = "nvidia-fabricmanager.service"
_COMMAND = ("nvidia-smi", "--gpu-reset")


def reset(devices: Sequence[Accelerator], all_devices: Sequence[Accelerator], switches: int) -> Reset | None:
    """How `devices` are reset: one by one, or all together with their NVSwitches. Pure.

    By the manual of nvidia-smi, what NVLink joins must be reset in one command unless it is of Ampere or later and the
    fabric manager helps; the guide of the fabric manager resets all devices at once, with the manager stopped. So where
    there are NVSwitches all are reset: nothing runs on a drained node.

    A device that is divided (MIG) is left to a reboot, and so is one without a number: the tool does not see it.
    """
    if any(device.index is None or device.partitioned for device in (all_devices if switches else devices)):
        return None
    if switches:
        return Reset((_COMMAND,), tuple(all_devices), (FABRIC_MANAGER, *HOLDERS))
    commands = tuple((*_COMMAND, "-i", str(device.index)) for device in devices)
    return Reset(commands, tuple(devices), HOLDERS) if commands else None
