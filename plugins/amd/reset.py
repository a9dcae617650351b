"""How AMD's devices are reset."""

import re
from collections.abc import Sequence

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.vendor import Reset

_INSTINCT = re.compile(r"\bMI\d{2,3}", re.IGNORECASE)


def reset(devices: Sequence[Accelerator]) -> Reset | None:
    """How `devices` are reset, by `amd-smi`. Pure.

    Only Instinct: of graphics cards it is told that a reset by the tool hangs the whole machine. One that is divided
    is left to a reboot, and so is one without a number.
    """
    if not devices or any(
        device.index is None or device.partitioned or not _INSTINCT.search(device.model or "") for device in devices
    ):
        return None
    commands = tuple(("amd-smi", "reset", "--gpureset", "--gpu", str(device.index)) for device in devices)
    return Reset(commands, tuple(devices))
