"""Huawei Ascend: what to ask `npu-smi`, and how to read what it says.

Tried on captured output only: tables of npu-smi 20.2 to 25.3 (310, 310P, 310B, 910A, 910B, 910C), health, ECC and HCCS
of a 910B. The table of the 950 is from its published source.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class Ascend:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "ascend"
    pci_vendor_ids: tuple[str, ...] = ("19e5",)
    pci_classes: tuple[str, ...] = ("0x1200",)
    """Every server of Huawei's shows the screen of its management controller on the bus, as a VGA card."""

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, Ascend devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `npu-smi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Ascend()
