"""Biren (experimental): what to ask `brsmi`, and how to read what it says.

The table was tried on captured output of BR-SMI 1.11. The csv query is composed from documented fields and was tried on
none; the PCI vendor id is not confirmed by a capture either.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class Biren:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "biren"
    pci_vendor_ids: tuple[str, ...] = ("1ee0",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, Biren devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `brsmi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Biren()
