"""NVIDIA: what to ask `nvidia-smi`, and how to read what it says."""

from collections.abc import Sequence

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.accelerator import Accelerator
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.simulated_package import SimulatedPackage
from aiops.layers.l0_nodes.vendor import Reading, Reset, SimulatedTool, Vendor


class Nvidia:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "nvidia"
    pci_vendor_ids: tuple[str, ...] = ("10de",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, NVIDIA devices."""
        from .driver import PACKAGES_ASK
        from .reading import ASKS

        return (*ASKS, PACKAGES_ASK)

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from dataclasses import replace

        from .driver import pair_mismatch
        from .reading import read

        return replace(read(record), mismatch=pair_mismatch(record))

    def reset(self, devices: Sequence[Accelerator], all_devices: Sequence[Accelerator], switches: int) -> Reset | None:
        """How `devices` are reset, by `nvidia-smi`. Pure."""
        from .reset import reset

        return reset(devices, all_devices, switches)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `nvidia-smi` for a lab host with `count` devices."""
        from .simulated import simulate

        return simulate(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Nvidia()


@hookimpl
def simulated_packages(vendor: str, driver_version: str | None) -> tuple[SimulatedPackage, ...] | None:
    """Dummies of the driver's packages for the lab; None when another vendor is asked."""
    if vendor != "nvidia":
        return None
    from .packages import DEFAULT_DRIVER, simulated_driver

    return simulated_driver(driver_version or DEFAULT_DRIVER)
