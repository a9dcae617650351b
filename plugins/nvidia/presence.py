"""Whether a node has devices and switches of NVIDIA, and a reason where nobody can tell."""

from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l1_cluster.health.check import Subject
from aiops.layers.l1_cluster.health.devices import named, switches, vendors

VENDOR = "nvidia"


def has_nvidia(subject: Subject) -> bool:
    """Whether there is a device of NVIDIA that is judged here.

    Raises:
        UnreadableError: Neither the bus nor the tool tells.
    """
    if any(device.vendor == VENDOR for device in subject.facts.accelerators or ()):
        return True
    return VENDOR in vendors(subject) and VENDOR in {one.vendor for one in subject.fact("bus_accelerators")}


def has_switches(subject: Subject) -> bool:
    """Whether NVSwitches join the devices.

    Raises:
        UnreadableError: As for `has_nvidia`.
    """
    return has_nvidia(subject) and switches(subject, VENDOR) > 0


def named_nvidia(subject: Subject) -> list[tuple[str, Accelerator]]:
    """NVIDIA's devices, each with the words that a finding calls it by.

    Raises:
        UnreadableError: There are devices, and the tool shows none.
    """
    return [(name, device) for name, device in named(subject) if device.vendor == VENDOR]


def names_by_bus(subject: Subject) -> dict[str, str]:
    """What the devices that the tool shows are called, by bus address."""
    shown = named_nvidia(subject) if subject.facts.accelerators else []
    return {device.bus: name for name, device in shown if device.bus}
