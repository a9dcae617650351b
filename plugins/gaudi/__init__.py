"""Intel Gaudi: what to ask `hl-smi`, and how to read what it says.

Tried on captured output only: tables of 1.4 to 1.23, the log (`-L`) of 1.12, csv rows of 1.18 and 1.22. What the csv
fields count is told by the vendor's documentation.
"""

from aiops.layers.core.plugin import hookimpl
from aiops.layers.l0_nodes.ask import Ask, Record
from aiops.layers.l0_nodes.vendor import Reading, SimulatedTool, Vendor


class Gaudi:
    """The vendor, as `aiops.layers.l0_nodes.vendor.Vendor` asks it to be."""

    name = "gaudi"
    pci_vendor_ids: tuple[str, ...] = ("1da3",)

    def asks(self) -> tuple[Ask, ...]:
        """What to fetch on a node that has, or may have, Gaudi devices."""
        from .reading import ASKS

        return ASKS

    def read(self, record: Record) -> Reading:
        """The devices in a record. Pure; what cannot be read becomes `unknown`, never an exception."""
        from .reading import read

        return read(record)

    def simulate(self, count: int, model: str | None) -> SimulatedTool | None:
        """The simulated `hl-smi` for a lab host with `count` devices."""
        from .simulated import SIMULATION

        return SIMULATION.tool(count, model)


@hookimpl
def accelerator_vendor() -> Vendor:
    """The vendor this plugin knows."""
    return Gaudi()
