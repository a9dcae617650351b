"""Iluvatar: what to ask `ixsmi`, and how to read what it says.

Tried on captured output only: XML of CoreX 4.2, rows of CoreX 4, tables of CoreX 3.0 and 4.0. Rows of CoreX 3 are
composed from documented fields.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class Iluvatar:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "iluvatar"
    pci_vendor_ids: tuple[str, ...] = ("1e3e",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, Iluvatar devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `ixsmi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Iluvatar()
